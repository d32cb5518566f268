"""`birdnet-nl evaluate`: the metrics of a run again, without recordings seen in training; errors in one sentence."""

import csv
import json
import shutil
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from birdnet_nl.cli import app
from birdnet_nl.comparison.finished_runs import find_runs
from birdnet_nl.evaluation.predictions_file import read_predictions

pytestmark = pytest.mark.slow


@pytest.fixture
def evaluate(cache, tmp_path):
    """Calls the command; returns the exit code, the output as one line, and the report if there is one."""

    def called(run: Path, *options: str, data: Path | None = cache / "demo", out: str = "out"):
        arguments = ["evaluate", str(run), "--cache", str(cache), "--out", str(tmp_path / out), *options]
        result = CliRunner().invoke(app, [*arguments, *(["--data", str(data)] if data else [])])
        report = tmp_path / out / "metrics.json"
        output = " ".join(result.output.split())
        return result.exit_code, output, json.loads(report.read_text()) if report.is_file() else None

    return called


@pytest.fixture
def copied(tiny_run, tmp_path):
    """Copies the run without the files of these names."""

    def copy(*names: str) -> Path:
        return Path(shutil.copytree(tiny_run, tmp_path / "copy", ignore=shutil.ignore_patterns(*names)))

    return copy


def splits(run: Path) -> dict[str, list[dict[str, str]]]:
    with (run / "splits.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {split: [row for row in rows if row["split"] == split] for split in ("train", "val", "test")}


def test_on_its_own_recordings_a_run_has_its_test_metrics_again(tiny_run, evaluate, tmp_path):
    """Train and validation recordings are left out; the others are the test split of the run."""
    code, output, report = evaluate(tiny_run)
    before = json.loads((tiny_run / "metrics.json").read_text())
    assert code == 0, output
    assert report["test_fingerprint"] == before["test_fingerprint"]
    assert report["results"] == before["results"]
    assert report["calibration"] == before["calibration"] and report["calibration"]["fitted_on"]
    assert report["decision"] == before["decision"]
    rows = {row.recording_id: row for row in read_predictions(tmp_path / "out" / "predictions.csv")}
    for row in read_predictions(tiny_run / "predictions.csv"):
        again = rows.pop(row.recording_id)
        assert again.probabilities == pytest.approx(row.probabilities, abs=0.01)
        assert (again.segments, again.true_type, again.recordist) == (row.segments, row.true_type, row.recordist)
    assert not rows
    of_split = splits(tiny_run)
    assert report["evaluated"]["seen"]["recordings"] == len(of_split["train"]) + len(of_split["val"])
    assert len(report["left_out"]["seen"]) == report["evaluated"]["seen"]["recordings"]
    assert "trained or validated on" in output and "nothing fitted again" in output
    assert report["synthetic"] is True and "SYNTHETIC" in output
    assert report["evaluated"]["seen"]["by_seen_recordists"] == 0
    assert {"confusion.png", "SYNTHETIC.txt", "predictions.csv"} <= {path.name for path in (tmp_path / "out").iterdir()}


def test_recordings_seen_in_training_are_evaluated_on_request_and_marked(tiny_run, evaluate):
    code, output, report = evaluate(tiny_run, "--with-training-recordings")
    of_split = splits(tiny_run)
    assert code == 0, output
    assert report["results"]["recording"]["count"] == sum(map(len, of_split.values()))
    assert "TRAINED ON THESE" in output and report["evaluated"]["seen"]["evaluated_anyway"] is True
    by_seen, count = report["evaluated"]["seen"]["by_seen_recordists"], report["results"]["recording"]["count"]
    assert by_seen == len(of_split["train"]) + len(of_split["val"])
    assert report["new_recordists"]["recording"]["count"] == count - by_seen == len(of_split["test"])


def test_another_species_is_evaluated_when_named_with_a_warning(tiny_run, evaluate, tmp_path, make_recordings_folder):
    make_recordings_folder(tmp_path / "nas", "merel", {"song": 2, "alarm": 3, "drumming": 1}, duration_s=4)
    code, output, report = evaluate(tiny_run, "--species", "merel", data=tmp_path / "nas")
    assert code == 0, output
    assert "evaluated on merel, which it was not trained on" in output
    assert report["evaluated"]["species"] == {"merel": 5} and report["left_out"]["unclear"] == {"drumming": 1}
    scores = report["results"]["recording"]
    assert scores["counts"] == {"song": 2, "call": 0, "alarm": 3} and scores["recall"]["call"] is None
    assert scores["balanced_accuracy"] is None and "no call" in scores["absent"]["balanced_accuracy"]
    assert scores["accuracy"] is not None and report["synthetic"] is True
    assert {path.name for path in (tmp_path / "out").glob("*.png")} == {"confusion.png"}


def test_a_checkpoint_without_its_run_has_unknown_training_recordings(tiny_run, evaluate, tmp_path):
    alone = Path(shutil.copy(tiny_run / "checkpoints/best.ckpt", tmp_path / "koolmees.ckpt"))
    code, output, report = evaluate(alone)
    assert code == 0, output
    assert "whether it was trained on these recordings is unknown" in output
    assert "absent" in report["evaluated"]["seen"] and "absent" in report["new_recordists"]


def test_a_type_that_the_network_does_not_predict_is_counted_and_left_out(
    two_types_run, evaluate, make_recordings_folder, tmp_path
):
    make_recordings_folder(tmp_path / "nas", "koolmees", {"song": 1, "call": 2, "alarm": 1})
    code, output, report = evaluate(two_types_run, data=tmp_path / "nas")
    assert code == 0, output
    assert (
        report["left_out"]["types"] == {"call": 2}
        and "2 call left out: the network predicts song, alarm only" in output
    )
    assert report["results"]["recording"]["count"] == 2


def test_without_out_the_report_is_in_the_run_directory_and_no_run_of_its_own(
    copied, cache, make_recordings_folder, tmp_path
):
    run = copied("*.png")
    make_recordings_folder(tmp_path / "nas", "koolmees", {"song": 1, "call": 1, "alarm": 1})
    arguments = ["evaluate", str(run), "--data", str(tmp_path / "nas"), "--cache", str(cache)]
    result = CliRunner().invoke(app, arguments)
    (folder,) = (run / "evaluations").iterdir()
    assert result.exit_code == 0, result.output
    assert folder.name.startswith("nas-20") and folder.name.endswith("-synthetic")
    assert [finished.folder for finished in find_runs([run]).runs] == [run]
    shutil.rmtree(tmp_path / "nas" / "xeno-canto-koolmees" / "song")
    refused = CliRunner().invoke(app, [*arguments, "--species", "vink"])
    assert refused.exit_code == 1 and list((run / "evaluations").iterdir()) == [folder]
    (path, reason), *others = find_runs([folder]).broken
    assert path == folder and "from an evaluation, not from a training" in reason and not others


def test_errors_are_one_sentence(tiny_run, copied, evaluate, tmp_path, make_recordings_folder):
    def refuses(result, *parts):
        code, output, report = result
        assert code == 1 and report is None and "Traceback" not in output
        assert all(part in output for part in parts), output

    refuses(evaluate(tmp_path / "absent"), "absent does not exist")
    refuses(evaluate(tiny_run.parent), "is not a run; give one of the runs below it, such as", "koolmees")
    refuses(evaluate(copied("checkpoints")), "has no checkpoints/best.ckpt: the run was stopped", "resume=")
    refuses(evaluate(tiny_run, data=tmp_path / "nas"), "is not a folder")
    folder = make_recordings_folder(tmp_path / "nas", "koolmees", {"song": 0})
    refuses(evaluate(tiny_run, data=tmp_path / "nas"), "koolmees: no sound files in")
    (folder / "song" / "XC1.mp3").write_bytes(b"junk")
    refuses(evaluate(tiny_run, data=tmp_path / "nas"), "none of the 1 files", "XC1.mp3")
    (folder / "song").rename(folder / "drumming")
    refuses(evaluate(tiny_run, data=tmp_path / "nas"), "is plainly one of song, call, alarm", "drumming 1")
    shutil.rmtree(folder)
    trained_on = splits(tiny_run)["train"]
    for row in trained_on:
        copy = folder / row["type"] / Path(row["file"]).name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(row["file"], copy)
    refuses(
        evaluate(tiny_run, data=tmp_path / "nas"),
        f"all {len(trained_on)} usable recordings",
        "--with-training-recordings",
    )
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "metrics.json").write_text("{}")
    code, output, _ = evaluate(tiny_run, out="full")
    assert code == 1 and "is not empty; give another folder with --out" in output


def test_a_checkpoint_of_other_layers_is_refused(tiny_run, evaluate, tmp_path):
    content = torch.load(tiny_run / "checkpoints/best.ckpt", weights_only=True)
    name = next(name for name in content["state_dict"] if name.startswith("network."))
    del content["state_dict"][name]
    torch.save(content, tmp_path / "other.ckpt")
    code, output, _ = evaluate(tmp_path / "other.ckpt")
    assert code == 1 and "other.ckpt was written by another version" in output
