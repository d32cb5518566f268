"""predictions.csv comes back as it was written, and says so when it does not."""

import csv
from pathlib import Path

import numpy as np
import pytest

from birdnet_nl.evaluation.predictions_file import read_predictions, recording_predictions, write_predictions
from birdnet_nl.recordings.recording import Recording
from birdnet_nl.util.errors import RunError

TYPES = ["song", "alarm"]


@pytest.fixture
def answers():
    recordings = [
        Recording("XC1", Path("/data/song/XC1.mp3"), "merel", "song", "song", recordist='Anna "de Wit", Zwolle'),
        Recording("call/7, oud", Path("/data/alarm/7.wav"), "merel", "alarm", "alarm"),
    ]
    probabilities = np.array([[0.9, 0.1], [0.55, 0.45]], dtype=np.float32)
    return recording_predictions(
        recordings, probabilities, np.array([0, 1]), np.array([True, False]), np.array([12, 1]), TYPES
    )


def test_rows_are_read_as_they_were_written(answers, tmp_path):
    write_predictions(tmp_path / "predictions.csv", answers)
    found = read_predictions(tmp_path / "predictions.csv")
    for was, now in zip(answers, found, strict=True):
        assert now.probabilities == pytest.approx(was.probabilities, abs=1e-6)
        assert {**vars(now), "probabilities": 0} == {**vars(was), "probabilities": 0}
    assert [(row.true_type, row.answer, row.certain) for row in found] == [
        ("song", "song", True),
        ("alarm", "song", False),
    ]


def test_the_columns_are_those_of_the_run_in_its_order(answers, tmp_path):
    write_predictions(tmp_path / "predictions.csv", answers)
    with (tmp_path / "predictions.csv").open(encoding="utf-8", newline="") as file:
        head, first, _ = csv.reader(file)
    assert head == [
        "recording_id", "file", "species", "recordist", "true_type", "p_song", "p_alarm", "answer", "certain",
        "segments",
    ]  # fmt: skip
    assert first[-3:] == ["song", "true", "12"]


def test_a_file_that_is_not_there_or_another_one_is_told(tmp_path):
    with pytest.raises(RunError, match="is not there; a run writes it when it is tested"):
        read_predictions(tmp_path / "predictions.csv")
    (tmp_path / "predictions.csv").write_text("id,split\nXC1,test\n")
    with pytest.raises(RunError, match="is not a list of predictions of a run"):
        read_predictions(tmp_path / "predictions.csv")
    (tmp_path / "predictions.csv").write_text("recording_id,file,species,recordist,true_type,p_song,answer\nXC1,a,b\n")
    with pytest.raises(RunError, match="is not a list of predictions of a run"):
        read_predictions(tmp_path / "predictions.csv")
