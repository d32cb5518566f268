"""Jobs from start to end: tables that other programs read, continued jobs, failures, several processes, shards."""

import csv
import errno
import hashlib
import json
from pathlib import Path

import crowsetta
import pandas
import pytest
from fake_model import load_fake

from birdnet_nl.prediction import prediction as prediction_module
from birdnet_nl.prediction.csv_tables import segment_columns
from birdnet_nl.prediction.predict import predict_files
from birdnet_nl.prediction.prediction import Prediction, Request
from birdnet_nl.prediction.rows import RowOptions
from birdnet_nl.util.errors import RunError

FORMATS = ("csv", "raven", "audacity", "kaleidoscope", "parquet", "json")


@pytest.fixture
def recordings(tmp_path, write_sound):
    folder = tmp_path / "recordings"
    write_sound(folder / "koolmees" / "SM4_20260501_061233.wav", ("song", 3), ("call", 3))
    write_sound(folder / "koolmees" / "short.wav", ("alarm", 1))
    write_sound(folder / "merel" / '=cmd, "x".wav', ("alarm", 3), ("silent", 3), ("song", 6))
    return folder


@pytest.fixture
def pack(tmp_path, write_pack):
    return write_pack(tmp_path / "pack", "koolmees", "merel")


def run(inputs, model, out=None, **options):
    request = Request(inputs=[inputs], model=model, out=out, load=load_fake, **options)
    prediction = Prediction(request)
    prediction.run()
    if out:
        prediction.write()
    prediction.close()
    return prediction


def content(folder: Path) -> dict[str, bytes]:
    """All files that users see, with their content."""
    files = (path for path in folder.rglob("*") if path.is_file() and ".birdnet_nl" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_tables_have_the_columns_of_the_analyzer_first_and_ours_at_the_end(recordings, pack, tmp_path):
    run(recordings, pack, tmp_path / "out", overlap_s=0.0, formats=FORMATS)
    frame = pandas.read_csv(tmp_path / "out" / "segments.csv")
    assert tuple(frame.columns) == segment_columns(RowOptions()) and list(frame.columns[:6]) == [
        "Start (s)", "End (s)", "Scientific name", "Common name", "Confidence", "File",
    ]  # fmt: skip
    tit = frame[frame["Common name"] == "Great Tit"]
    assert list(tit["vocalization_type"]) == ["song", "call", "alarm"] and list(tit["End (s)"]) == [3, 6, 1]
    assert list(tit["date"].dropna()) == ["2026-05-01"] * 2 and list(tit["time"].dropna()) == ["06:12:33", "06:12:36"]
    thrush = frame[frame["Scientific name"] == "Turdus merula"]
    assert list(thrush["vocalization_type"]) == ["alarm", "silent", "song", "song"]
    assert thrush["File"].iloc[0] == str(recordings / "merel" / '=cmd, "x".wav')
    assert thrush["uncertain"].isna().tolist() == [False, True, False, False] and set(tit["model"]) == {
        "koolmees 2026Q4"
    }
    parquet = pandas.read_parquet(tmp_path / "out" / "segments.parquet")
    assert tuple(parquet.columns) == segment_columns(RowOptions()) and list(
        parquet["p_song"].round(4).dropna()
    ) == list(frame["p_song"].dropna())
    lines = [json.loads(line) for line in (tmp_path / "out" / "segments.jsonl").read_text().splitlines()]
    assert [line["vocalization_type"] for line in lines] == list(frame["vocalization_type"])
    whole = pandas.read_csv(tmp_path / "out" / "recording_predictions.csv")
    assert list(whole["duration_s"]) == [6, 1, 12] and list(whole["segments"]) == [2, 1, 4]


def test_raven_tables_are_read_by_crowsetta_and_their_time_runs_on_over_the_files(recordings, pack, tmp_path):
    run(recordings, pack, tmp_path / "out", overlap_s=0.0, formats=("raven",))
    combined = tmp_path / "out" / "raven_selection_table.txt"
    boxes = crowsetta.formats.bbox.Raven.from_file(combined, annot_col="Common Name").df
    assert list(boxes["begin_time_s"]) == [0, 3, 6, 7, 10, 13, 16]  # 6 s, 1 s and 12 s long
    frame = pandas.read_csv(combined, sep="\t")
    assert list(frame["File Offset (s)"]) == [0, 3, 0, 0, 3, 6, 9] and list(frame["Selection"]) == list(range(1, 8))
    own = tmp_path / "out" / "koolmees" / "short.wav.birdnet_nl.selection.table.txt"
    frame = pandas.read_csv(own, sep="\t")
    assert list(frame["Begin Time (s)"]) == list(frame["File Offset (s)"]) == [0]
    assert frame["Begin Path"][0] == str(recordings / "koolmees" / "short.wav")


def test_audacity_labels_are_read_by_crowsetta(recordings, pack, tmp_path):
    options = RowOptions(language="nl")
    run(recordings, pack, tmp_path / "out", overlap_s=0.0, formats=("audacity",), options=options)
    own = tmp_path / "out" / "koolmees" / "SM4_20260501_061233.wav.birdnet_nl.results.txt"
    labels = pandas.read_csv(own, sep="\t", header=None)
    assert labels.values.tolist() == [[0, 3, "Koolmees zang", 0.8], [3, 6, "Koolmees roep", 0.8]]
    own.write_text("".join("\t".join(line.split("\t")[:3]) + "\n" for line in own.read_text().splitlines()))
    sequence = crowsetta.formats.seq.AudSeq.from_file(own).to_seq()  # reads three columns
    assert list(sequence.labels) == ["Koolmees zang", "Koolmees roep"]


def test_kaleidoscope_finds_the_file_by_its_parts_and_no_cell_is_a_formula(recordings, pack, tmp_path):
    run(recordings, pack, tmp_path / "out", overlap_s=0.0, formats=("kaleidoscope",))
    frame = pandas.read_csv(tmp_path / "out" / "kaleidoscope.csv")
    assert list(frame.columns[:6]) == ["INDIR", "FOLDER", "IN FILE", "OFFSET", "DURATION", "TOP1MATCH"]
    for row in frame.to_dict("records"):
        assert (Path(row["INDIR"]) / row["FOLDER"] / row["IN FILE"]).is_file()
    text = (tmp_path / "out" / "kaleidoscope.csv").read_text()
    assert not [row for row in csv.reader(text.splitlines()) for cell in row if cell.startswith(("=", "+", "@", "-"))]


def test_repeating_a_command_predicts_nothing_again_and_gives_the_same_files(recordings, pack, tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_MODEL_LOG", str(tmp_path / "log"))
    run(recordings, pack, tmp_path / "out", formats=FORMATS)
    first = content(tmp_path / "out")
    run(recordings, pack, tmp_path / "out", formats=FORMATS)
    assert content(tmp_path / "out") == first
    assert len((tmp_path / "log").read_text().splitlines()) == 3


def test_other_rows_need_no_new_prediction_but_other_segments_files_and_models_do(
    recordings, pack, tmp_path, monkeypatch, write_model, write_sound
):
    monkeypatch.setenv("FAKE_MODEL_LOG", str(tmp_path / "log"))

    def predicted(**options):
        (tmp_path / "log").write_text("")
        run(recordings, pack, tmp_path / "out", **options)
        return len((tmp_path / "log").read_text().splitlines())

    assert predicted() == 3
    assert predicted(options=RowOptions(merge=True, min_confidence=0.7)) == 0
    assert predicted(overlap_s=0.0) == 3
    write_sound(recordings / "koolmees" / "short.wav", ("song", 2))
    assert predicted() == 1
    write_model(pack / "merel.fake", "merel", name="better")
    manifest = json.loads((pack / "manifest.json").read_text())
    manifest["models"]["merel"]["sha256"] = hashlib.sha256((pack / "merel.fake").read_bytes()).hexdigest()
    (pack / "manifest.json").write_text(json.dumps(manifest))
    assert predicted() == 1


def test_failures_are_listed_and_go_away_when_the_file_is_repaired(recordings, pack, tmp_path, write_sound):
    (recordings / "merel" / "a.wav").write_bytes(b"")
    (recordings / "merel" / "b.wav").write_bytes(b"RIFF")
    (recordings / "loose.wav").write_bytes(b"")
    (recordings / "roek").mkdir()
    write_sound(recordings / "roek" / "c.wav", ("song", 3))
    prediction = run(recordings, pack, tmp_path / "out")
    failed = pandas.read_csv(tmp_path / "out" / "failures.csv")
    assert [Path(file).name for file in failed["file"]] == ["loose.wav", "a.wav", "b.wav", "c.wav"]
    assert "no species" in failed["reason"][0] and "cannot be decoded" in failed["reason"][1]
    assert failed["reason"][3] == "no model for roek" and len(prediction.failures) == 4
    for name in ("merel/a.wav", "merel/b.wav", "loose.wav"):
        write_sound(recordings / name, ("song", 3))
    run(recordings, pack, tmp_path / "out", species="merel")
    assert not (tmp_path / "out" / "failures.csv").exists()


def test_a_prediction_that_is_not_finite_is_a_failure(recordings, tmp_path, write_model):
    model = write_model(tmp_path / "nan.fake", "koolmees", fault="nan")
    prediction = run(recordings / "koolmees", model)
    assert {failure.reason for failure in prediction.failures} == {"the model predicts numbers that are not finite"}


def test_a_damaged_stored_prediction_is_made_again(recordings, pack, tmp_path):
    prediction = run(recordings, pack, tmp_path / "out")
    first = content(tmp_path / "out")
    for number, task in enumerate(prediction.tasks):
        path = prediction.store.path(task.key)
        raw = path.read_bytes()
        path.write_bytes([b"", raw[:-3], raw[:-1] + bytes([raw[-1] ^ 1])][number])
    run(recordings, pack, tmp_path / "out")
    assert content(tmp_path / "out") == first


def test_several_processes_give_the_same_files_and_survive_one_that_is_killed(recordings, pack, tmp_path, write_sound):
    run(recordings, pack, tmp_path / "one")
    for number in range(4):
        write_sound(recordings / "merel" / f"{number}.wav", ("song", 3))
    run(recordings, pack, tmp_path / "one")
    write_sound(recordings / "merel" / "a killer.wav", ("song", 3))
    prediction = run(recordings, pack, tmp_path / "two", workers=2)
    (failure,) = prediction.failures
    assert failure.file.endswith("a killer.wav") and "was killed" in failure.reason
    (tmp_path / "two" / "failures.csv").unlink()
    assert content(tmp_path / "two") == content(tmp_path / "one")


def test_shards_concatenate_to_the_whole_and_are_joined_without_predicting_again(
    recordings, pack, tmp_path, monkeypatch
):
    run(recordings, pack, tmp_path / "whole")
    monkeypatch.setenv("FAKE_MODEL_LOG", str(tmp_path / "log"))
    for number in (1, 2):
        run(recordings, pack, tmp_path / "out", shard=(number, 2))
    parts = [(tmp_path / "out" / f"segments.{number}-of-2.csv").read_text().splitlines() for number in (1, 2)]
    assert [*parts[0], *parts[1][1:]] == (tmp_path / "whole" / "segments.csv").read_text().splitlines()
    run(recordings, pack, tmp_path / "out")
    assert (tmp_path / "out" / "segments.csv").read_bytes() == (tmp_path / "whole" / "segments.csv").read_bytes()
    assert len((tmp_path / "log").read_text().splitlines()) == 3


def test_the_results_of_other_inputs_are_not_replaced(recordings, pack, tmp_path):
    run(recordings / "koolmees", pack, tmp_path / "out")
    with pytest.raises(
        RunError, match=r"out holds the predictions of .*koolmees; name these too, or give another folder"
    ):
        run(recordings / "merel", pack, tmp_path / "out")
    request = Request(
        inputs=[recordings / "koolmees", recordings / "merel"], model=pack, out=tmp_path / "out", load=load_fake
    )
    Prediction(request)


@pytest.mark.parametrize(
    ("number", "text"), [(errno.ENOSPC, "is full; finished files are kept"), (errno.EACCES, "cannot be written")]
)
def test_a_full_or_locked_disk_ends_the_job_with_one_sentence(recordings, pack, tmp_path, monkeypatch, number, text):
    def fail(*_):
        raise OSError(number, "no")

    monkeypatch.setattr(prediction_module.Store, "write", fail)
    with pytest.raises(RunError, match=text):
        run(recordings, pack, tmp_path / "out")


def test_a_disk_that_is_full_when_the_tables_are_written_keeps_the_predictions(recordings, pack, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOSPC, "no")

    with monkeypatch.context() as patch:
        patch.setattr(prediction_module, "write_tables", fail)
        with pytest.raises(RunError, match="all predictions are kept: repeat the command"):
            run(recordings, pack, tmp_path / "out")
    monkeypatch.setenv("FAKE_MODEL_LOG", str(tmp_path / "log"))
    run(recordings, pack, tmp_path / "out")
    assert not (tmp_path / "log").exists() and (tmp_path / "out" / "segments.csv").is_file()


def test_a_folder_that_cannot_be_made_is_one_sentence(recordings, pack, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"cannot be written .*; give another folder with -o"):
        run(recordings, pack, tmp_path / "file" / "out")


def test_a_damaged_model_of_a_pack_fails_only_its_own_files(recordings, pack, tmp_path):
    (pack / "koolmees.fake").unlink()
    prediction = run(recordings, pack, tmp_path / "out")
    assert [Path(failure.file).parent.name for failure in prediction.failures] == ["koolmees", "koolmees"]
    assert "koolmees.fake is missing" in prediction.failures[0].reason
    assert set(pandas.read_csv(tmp_path / "out" / "segments.csv")["Scientific name"]) == {"Turdus merula"}


def test_very_long_names_and_names_in_other_encodings_are_written(tmp_path, write_sound, write_model):
    folder = tmp_path / "long"
    write_sound(folder / f"{'é' * 120}.wav", ("song", 3))
    odd = write_sound(folder / "odd.wav", ("call", 3))
    odd = odd.rename(folder / "J\udcfcrgen\n.wav")
    model = write_model(tmp_path / "k.fake", "koolmees")
    files, out = [*folder.iterdir()], tmp_path / "out"
    request = Request(inputs=files, model=model, out=out, formats=FORMATS, load=load_fake)
    prediction = Prediction(request)
    prediction.run()
    prediction.write()
    frame = pandas.read_csv(tmp_path / "out" / "segments.csv")
    assert not prediction.failures and any("J\\udcfcrgen\n.wav" in file for file in frame["File"])


def test_predict_files_returns_plain_values_for_notebooks(recordings, pack, use_fake_models):
    predicted = predict_files(recordings, pack, overlap_s=0.0, merge=True)
    assert predicted.failures == [] and [row["vocalization_type"] for row in predicted.recordings][1] == "alarm"
    frame = predicted.frame()
    assert list(frame["vocalization_type"]) == ["song", "call", "alarm", "alarm", "silent", "song"]
    assert frame["p_song"].iloc[0] == 0.8 and "probabilities" not in frame


def test_a_pool_predicts_recordings_of_unknown_species(tmp_path, write_sound, write_model):
    clip = write_sound(tmp_path / "clip.wav", ("song", 3))
    prediction = run(clip, write_model(tmp_path / "pool.fake", "koolmees", "merel", pool=True))
    assert [task.species for task in prediction.tasks] == [""]


def test_a_model_for_one_species_needs_no_species(tmp_path, write_sound, write_model):
    clip = write_sound(tmp_path / "clip.wav", ("song", 3))
    prediction = run(clip, write_model(tmp_path / "m.fake", "merel"))
    assert [task.species for task in prediction.tasks] == ["merel"]
