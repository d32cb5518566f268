"""`birdnet-nl evaluate`: the figures of a run once more, what was met before apart, and mistakes in one sentence."""

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


@pytest.fixture(scope="module")
def finished(train_in_process, tmp_path_factory) -> Path:
    run_dir = tmp_path_factory.mktemp("evaluate") / "koolmees"
    shares = "data.shares={train: 0.4, val: 0.4, test: 0.2}"  # enough validation recordings to fit a temperature
    return train_in_process(run_dir, "species=koolmees", "trainer.max_epochs=4", "trainer.accelerator=cpu", shares)


@pytest.fixture
def evaluate(cache, tmp_path):
    """Calls the command; gives the exit code, what it said in one line, and the report if there is one."""

    def called(run: Path, *options: str, data: Path | None = cache / "demo", out: str = "out"):
        words = ["evaluate", str(run), "--cache", str(cache), "--out", str(tmp_path / out), *options]
        result = CliRunner().invoke(app, [*words, *(["--data", str(data)] if data else [])])
        report = tmp_path / out / "metrics.json"
        said = " ".join(result.output.split())
        return result.exit_code, said, json.loads(report.read_text()) if report.is_file() else None

    return called


@pytest.fixture
def copied(finished, tmp_path):
    """A copy of the run without what `names` says."""

    def copy(*names: str) -> Path:
        return Path(shutil.copytree(finished, tmp_path / "copy", ignore=shutil.ignore_patterns(*names)))

    return copy


def splits(run: Path) -> dict[str, list[dict[str, str]]]:
    with (run / "splits.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {split: [row for row in rows if row["split"] == split] for split in ("train", "val", "test")}


def test_on_its_own_folder_the_run_s_test_figures_come_out_again(finished, evaluate, tmp_path):
    """Train and validation are left out, and what remains was answered by the run itself."""
    code, said, report = evaluate(finished)
    before = json.loads((finished / "metrics.json").read_text())
    assert code == 0, said
    assert report["test_fingerprint"] == before["test_fingerprint"]
    assert report["results"] == before["results"]
    assert report["calibration"] == before["calibration"] and report["calibration"]["fitted_on"]
    assert report["decision"] == before["decision"]
    rows = {row.recording_id: row for row in read_predictions(tmp_path / "out" / "predictions.csv")}
    for row in read_predictions(finished / "predictions.csv"):
        again = rows.pop(row.recording_id)
        assert again.probabilities == pytest.approx(row.probabilities, abs=0.01)
        assert (again.segments, again.true_type, again.recordist) == (row.segments, row.true_type, row.recordist)
    assert not rows
    known = splits(finished)
    assert report["evaluated"]["known"]["recordings"] == len(known["train"]) + len(known["val"])
    assert len(report["left_out"]["known"]) == report["evaluated"]["known"]["recordings"]
    assert "trained on or validated with" in said and "nothing fitted anew" in said
    assert report["synthetic"] is True and "SYNTHETIC" in said
    assert report["evaluated"]["known"]["by_known_recordists"] == 0
    assert {"confusion.png", "SYNTHETIC.txt", "predictions.csv"} <= {path.name for path in (tmp_path / "out").iterdir()}


def test_recordings_trained_on_are_judged_when_asked_for_and_marked(finished, evaluate):
    code, said, report = evaluate(finished, "--with-training-recordings")
    known = splits(finished)
    assert code == 0, said
    assert report["results"]["recording"]["count"] == sum(map(len, known.values()))
    assert "TRAINED ON THESE" in said and report["evaluated"]["known"]["judged_all_the_same"] is True
    by_known, count = report["evaluated"]["known"]["by_known_recordists"], report["results"]["recording"]["count"]
    assert by_known == len(known["train"]) + len(known["val"])
    assert report["new_recordists"]["recording"]["count"] == count - by_known == len(known["test"])


def test_another_species_is_judged_when_named_and_said(finished, evaluate, tmp_path, make_recordings_folder):
    make_recordings_folder(tmp_path / "nas", "merel", {"song": 2, "alarm": 3, "drumming": 1}, duration_s=4)
    code, said, report = evaluate(finished, "--species", "merel", data=tmp_path / "nas")
    assert code == 0, said
    assert "judged on merel, which it was not trained on" in said
    assert report["evaluated"]["species"] == {"merel": 5} and report["left_out"]["unclear"] == {"drumming": 1}
    scores = report["results"]["recording"]
    assert scores["counts"] == {"song": 2, "call": 0, "alarm": 3} and scores["recall"]["call"] is None
    assert scores["balanced_accuracy"] is None and "no call" in scores["absent"]["balanced_accuracy"]
    assert scores["accuracy"] is not None and report["synthetic"] is True
    assert {path.name for path in (tmp_path / "out").glob("*.png")} == {"confusion.png"}


def test_a_checkpoint_that_stands_alone_says_what_is_not_known(finished, evaluate, tmp_path):
    alone = Path(shutil.copy(finished / "checkpoints/best.ckpt", tmp_path / "koolmees.ckpt"))
    code, said, report = evaluate(alone)
    assert code == 0, said
    assert "whether it was trained on these recordings is not known" in said
    assert "absent" in report["evaluated"]["known"] and "absent" in report["new_recordists"]


def test_a_type_the_network_does_not_know_is_counted_and_left_out(
    train_in_process, evaluate, make_recordings_folder, tmp_path
):
    two = train_in_process(tmp_path / "two", "species=koolmees", "data.types=[song,alarm]", "trainer.max_epochs=1")
    make_recordings_folder(tmp_path / "nas", "koolmees", {"song": 1, "call": 2, "alarm": 1})
    code, said, report = evaluate(two, data=tmp_path / "nas")
    assert code == 0, said
    assert report["left_out"]["types"] == {"call": 2} and "2 call left out: the network tells song, alarm apart" in said
    assert report["results"]["recording"]["count"] == 2


def test_without_out_it_lies_in_the_run_and_is_no_run_of_its_own(copied, cache, make_recordings_folder, tmp_path):
    run = copied("*.png")
    make_recordings_folder(tmp_path / "nas", "koolmees", {"song": 1, "call": 1, "alarm": 1})
    words = ["evaluate", str(run), "--data", str(tmp_path / "nas"), "--cache", str(cache)]
    result = CliRunner().invoke(app, words)
    (folder,) = (run / "evaluations").iterdir()
    assert result.exit_code == 0, result.output
    assert folder.name.startswith("nas-20") and folder.name.endswith("-synthetic")
    assert [found.folder for found in find_runs([run]).runs] == [run]
    shutil.rmtree(tmp_path / "nas" / "xeno-canto-koolmees" / "song")
    refused = CliRunner().invoke(app, [*words, "--species", "vink"])
    assert refused.exit_code == 1 and list((run / "evaluations").iterdir()) == [folder]
    (elsewhere, why), *others = find_runs([folder]).broken
    assert elsewhere == folder and "of an evaluation, not of a training" in why and not others


def test_mistakes_are_told_in_one_sentence(finished, copied, evaluate, tmp_path, make_recordings_folder):
    def refuses(result, *parts):
        code, said, report = result
        assert code == 1 and report is None and "Traceback" not in said
        assert all(part in said for part in parts), said

    refuses(evaluate(tmp_path / "absent"), "absent is not there")
    refuses(evaluate(finished.parent), "is not a run; give one of the runs below it, such as", "koolmees")
    refuses(evaluate(copied("checkpoints")), "holds no checkpoints/best.ckpt: the run was stopped", "resume=")
    refuses(evaluate(finished, data=tmp_path / "nas"), "is not a folder")
    folder = make_recordings_folder(tmp_path / "nas", "koolmees", {"song": 0})
    refuses(evaluate(finished, data=tmp_path / "nas"), "koolmees: no sound files in")
    (folder / "song" / "XC1.mp3").write_bytes(b"junk")
    refuses(evaluate(finished, data=tmp_path / "nas"), "none of the 1 files", "XC1.mp3")
    (folder / "song").rename(folder / "drumming")
    refuses(evaluate(finished, data=tmp_path / "nas"), "is plainly one of song, call, alarm", "drumming 1")
    shutil.rmtree(folder)
    learned_from = splits(finished)["train"]
    for row in learned_from:
        copy = folder / row["type"] / Path(row["file"]).name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(row["file"], copy)
    refuses(
        evaluate(finished, data=tmp_path / "nas"),
        f"all {len(learned_from)} usable recordings",
        "--with-training-recordings",
    )
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "metrics.json").write_text("{}")
    code, said, _ = evaluate(finished, out="full")
    assert code == 1 and "is not empty; give another folder with --out" in said


def test_a_checkpoint_of_other_layers_is_told(finished, evaluate, tmp_path):
    content = torch.load(finished / "checkpoints/best.ckpt", weights_only=True)
    name = next(name for name in content["state_dict"] if name.startswith("network."))
    del content["state_dict"][name]
    torch.save(content, tmp_path / "other.ckpt")
    code, said, _ = evaluate(tmp_path / "other.ckpt")
    assert code == 1 and "other.ckpt was written by another version" in said
