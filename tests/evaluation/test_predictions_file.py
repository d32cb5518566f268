"""predictions.csv is read as written, and a broken file raises."""

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest

from birdnet_nl.evaluation.predictions_file import read_predictions, recording_predictions, write_predictions
from birdnet_nl.recordings.recording import Recording
from birdnet_nl.util.errors import DataError, RunError

TYPES = ["song", "alarm"]


@pytest.fixture
def predictions():
    recordings = [
        Recording("XC1", Path("/data/song/XC1.mp3"), "merel", "song", "song", recordist='Anna "de Wit", Zwolle'),
        Recording("call/7, oud", Path("/data/alarm/7.wav"), "merel", "alarm", "alarm"),
    ]
    probabilities = np.array([[0.9, 0.1], [0.55, 0.45]], dtype=np.float32)
    return recording_predictions(
        recordings, probabilities, np.array([0, 1]), np.array([True, False]), np.array([12, 1]), TYPES
    )


def test_rows_are_read_as_written_and_the_columns_follow_the_types_of_the_run(predictions, tmp_path):
    write_predictions(tmp_path / "predictions.csv", predictions)
    rows = read_predictions(tmp_path / "predictions.csv")
    for written, row in zip(predictions, rows, strict=True):
        assert row.probabilities == pytest.approx(written.probabilities, abs=1e-6)
        assert {**vars(row), "probabilities": 0} == {**vars(written), "probabilities": 0}
    assert [(row.true_type, row.predicted_type, row.certain) for row in rows] == [
        ("song", "song", True),
        ("alarm", "song", False),
    ]
    with (tmp_path / "predictions.csv").open(encoding="utf-8", newline="") as file:
        head, first, _ = csv.reader(file)
    assert head == [
        "recording_id", "file", "species", "recordist", "true_type", "p_song", "p_alarm", "predicted_type", "certain",
        "segments",
    ]  # fmt: skip
    assert first[-3:] == ["song", "true", "12"]


def test_a_missing_or_broken_file_raises(tmp_path):
    with pytest.raises(RunError, match="does not exist; a run writes it at its end"):
        read_predictions(tmp_path / "predictions.csv")
    for content in ("id,split\nXC1,test\n", "recording_id,file,species,recordist,true_type,p_song,answer\nXC1,a,b\n"):
        (tmp_path / "predictions.csv").write_text(content)
        with pytest.raises(RunError, match="is not the list of predictions of a run"):
            read_predictions(tmp_path / "predictions.csv")


@pytest.mark.parametrize("value", ["nan", "inf", ""])
def test_a_probability_that_is_no_finite_number_is_neither_written_nor_read(predictions, tmp_path, value):
    recordings = [Recording("XC1", Path("/data/song/XC1.mp3"), "merel", "song", "song")]
    arrays = np.array([0]), np.array([True]), np.array([12])
    with pytest.raises(DataError, match=r"the prediction for /data/song/XC1\.mp3 is not a finite number"):
        recording_predictions(recordings, np.array([[np.nan, 0.5]]), *arrays, TYPES)
    path = tmp_path / "predictions.csv"
    write_predictions(path, predictions)
    text = path.read_text()
    assert ",0.9," in text
    path.write_text(text.replace(",0.9,", f",{value},"))
    with pytest.raises(RunError, match=r"is not the list of predictions"):
        read_predictions(path)


def test_the_name_of_a_file_that_is_not_utf8_is_read_back(predictions, tmp_path):
    rows = [dataclasses.replace(predictions[0], file="d\udce4ta/J\udcfc.mp3")]
    write_predictions(tmp_path / "predictions.csv", rows)
    assert read_predictions(tmp_path / "predictions.csv")[0].file == "d\udce4ta/J\udcfc.mp3"
