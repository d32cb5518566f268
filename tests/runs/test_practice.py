"""`birdnet-nl pretrain`: from nothing to a file that a training starts from."""

import json
import shutil

import pytest
from typer.testing import CliRunner

from birdnet_nl.audio import invented
from birdnet_nl.cli import app
from birdnet_nl.data.sources import DEMO_MARK
from birdnet_nl.embeddings import synthetic as features_practice
from birdnet_nl.models.pretrained import read_pretrained
from birdnet_nl.runs.train import run
from birdnet_nl.synthetic.generator import GENERATOR
from birdnet_nl.training.distill import imitate


def pretrain(*arguments: str):
    return CliRunner().invoke(app, ["practise", *arguments])


@pytest.mark.slow
def test_a_file_is_made_and_a_run_starts_from_it(tmp_path, monkeypatch, compose_config, make_recordings_folder):
    monkeypatch.setattr(invented, "IN_A_FILE", 30)
    out = tmp_path / "mine.pt"
    done = pretrain(
        "--recordings", "60", "--steps", "3", "--judged", "60", "--out", str(out), "--cache", str(tmp_path / "cache")
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    card = read_pretrained(out).card
    assert (card["recordings"], card["steps"], card["generator"]) == (60, 3, GENERATOR)
    make_recordings_folder(tmp_path / "data", "koolmees", {"song": 6, "call": 6}, duration_s=4.0, sample_rate_hz=32000)
    cfg = compose_config(
        "species=koolmees", f"data.root={tmp_path / 'data'}", "data=xeno_canto", "trainer=turbo",
        f"practice.use={out}", "trainer.max_epochs=1", "data.crops.per_epoch=48", f"paths.cache={tmp_path / 'cache'}",
        "parameter_set=turbo", "evaluation.figures=false", "data.num_workers=0",
    )  # fmt: skip
    run(cfg, tmp_path / "run")
    report = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert report["practice"]["recordings"] == 60
    assert report["parameters"]["learning_rate"] == pytest.approx(2e-3)
    shutil.copytree(tmp_path / "data", tmp_path / "demo")
    (tmp_path / "demo" / "xeno-canto-koolmees" / DEMO_MARK).write_text("{}")
    for folder in ("data", "demo"):
        where = ["--data", str(tmp_path / folder), "--cache", str(tmp_path / "cache"), "--with-training-recordings"]
        judged = CliRunner().invoke(app, ["evaluate", str(tmp_path / "run"), *where])
        assert judged.exit_code == 0, judged.output
        assert ("has practised on invented birds" in " ".join(judged.output.split())) == (folder == "demo")


@pytest.mark.slow
def test_a_student_hears_invented_birds_too_where_recordings_are_real(
    tmp_path, monkeypatch, compose_config, make_recordings_folder
):
    monkeypatch.setattr(invented, "IN_A_FILE", 6)
    monkeypatch.setattr(features_practice, "IN_A_FILE", 6)
    heard: list[tuple[int, int]] = []

    def watched(network, real, invented_birds, *settings):
        heard.append((len(real.mels), len(invented_birds.mels)))
        return imitate(network, real, invented_birds, *settings)

    monkeypatch.setattr("birdnet_nl.training.imitating.imitate", watched)
    make_recordings_folder(tmp_path / "data", "koolmees", {"song": 6, "call": 6}, duration_s=4.0, sample_rate_hz=32000)
    cfg = compose_config(
        "species=koolmees", f"data.root={tmp_path / 'data'}", "data=xeno_canto", "model=student",
        "data.features.teacher._target_=birdnet_nl.embeddings.bands.Bands", "model.dimensions=[64,1080,96,96,96]",
        "data.features.steps=2", "data.features.invented=12", "practice.recordings=6", "evaluation.figures=false",
        "parameter_set=student", f"paths.cache={tmp_path / 'cache'}", "data.num_workers=0",
    )  # fmt: skip
    run(cfg, tmp_path / "run")
    report = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert heard == [(sum(report["counts"]["recordings"]["train"].values()), 12)]
    assert report["practice"]["recordings"] == 6 and report["features"]["name"] == "student"
