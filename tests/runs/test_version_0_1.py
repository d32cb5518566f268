"""Runs of version 0.1: evaluated, compared and used as a base; not resumed, because their configuration differs."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from birdnet_nl.cli import app
from birdnet_nl.comparison.compare import compare_runs
from birdnet_nl.comparison.finished_runs import find_runs
from birdnet_nl.evaluation.predictions_file import read_predictions
from tests.runs.conftest import DEMO, read_metrics

CONFIG = """\
seed: 1
resume: null
teacher: null
teacher_knows_test: false
trunk: null
parameter_set: fast
trainer: {_target_: lightning.Trainer, max_epochs: 4}
crops_per_epoch: 960
crops_per_batch: 48
practice: {_target_: birdnet_nl.practice.PracticeSettings, use: never, rate_share: 0.5, recordings: 1500, weight: 1.0}
loss: {_target_: birdnet_nl.training.objective.LossSettings, label_smoothing: 0.0, kind: one}
evaluation: {wanted_accuracy: 0.8, figures: true}
species: {slug: koolmees, dutch: Koolmees, english: Great Tit, scientific: Parus major, birdnet: '', priority: 1}
data:
  _target_: birdnet_nl.data.datamodule.SpeciesDataModule
  source: demo
  flight_call: call
  split_by: recording
  least_recordings: 3
  crops: null
  features: null
model: {_target_: birdnet_nl.models.emsn_cnn.EmsnCnn, channels: [8, 16, 16, 32], hidden: 32}
scheduler: {_target_: birdnet_nl.training.schedules.follow_validation, _partial_: true, factor: 0.5, patience: 3}
"""
OLD_NAMES = {  # of this version -> of 0.1
    "embeddings": "features",
    "embedding_state": "feature_weights",
    "base": "trunk",
    "pretraining": "practice",
    "target_accuracy": "wanted_accuracy",
    "certain_share": "answered",
    "accuracy_certain": "accuracy_answered",
    "multilabel": "several_types",
}


def with_old_names(values: dict) -> dict:
    return {OLD_NAMES.get(name, name): value for name, value in values.items()}


@pytest.fixture
def as_version_0_1(tmp_path):
    """Copy a finished run, with the configuration, checkpoint and report that version 0.1 wrote."""

    def converted(run_dir: Path) -> Path:
        ignored = shutil.ignore_patterns("*.png", "events.*", "0*")
        old = Path(shutil.copytree(run_dir, tmp_path / "version-0.1", ignore=ignored))
        (old / "config.yaml").write_text(CONFIG)
        checkpoint = torch.load(old / "checkpoints/best.ckpt", weights_only=True)
        metadata = with_old_names(checkpoint["birdnet_nl"]) | {"version": "0.1.0", "teacher": None}
        torch.save(checkpoint | {"birdnet_nl": metadata}, old / "checkpoints/best.ckpt")
        report = with_old_names(read_metrics(old)) | {"birdnet_nl": "0.1.0", "teacher": None}
        for name in ("decision", "counts"):
            report[name] = with_old_names(report[name])
        (old / "metrics.json").write_text(json.dumps(report))
        return old

    return converted


@pytest.mark.slow
def test_a_mel_network_is_evaluated_with_the_results_of_its_run(tiny_run, as_version_0_1, cache, tmp_path):
    old, out = as_version_0_1(tiny_run), tmp_path / "out"
    arguments = ["evaluate", str(old), "--data", str(cache / "demo"), "--cache", str(cache), "--out", str(out)]
    result = CliRunner().invoke(app, [*arguments, "--species", "koolmees"])
    assert result.exit_code == 0, result.output
    assert read_metrics(out)["results"] == read_metrics(tiny_run)["results"]
    assert read_metrics(out)["decision"] == read_metrics(tiny_run)["decision"]
    ids = [row.recording_id for row in read_predictions(out / "predictions.csv")]
    assert sorted(ids) == sorted(row.recording_id for row in read_predictions(tiny_run / "predictions.csv"))


def test_an_unfinished_run_is_not_resumed(main, tmp_path):
    (tmp_path / "config.yaml").write_text(CONFIG)
    code, screen = main(f"resume={tmp_path}")
    assert code == 1 and "Traceback" not in screen
    assert "was started by version 0.1, whose configuration this version cannot train; start the run again" in screen
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


@pytest.mark.slow
def test_a_run_is_compared_with_one_of_this_version(tiny_run, as_version_0_1):
    old = as_version_0_1(tiny_run)
    report = json.loads((old / "metrics.json").read_text())
    (old / "metrics.json").write_text(json.dumps(report | {"parameter_set": "legacy"}))
    found = find_runs([old, tiny_run])
    assert len(found.runs) == 2 and not found.broken
    (section,) = compare_runs(found).sections
    (compared,) = section.sets
    assert (compared.baseline, compared.parameter_set) == ("legacy", "fast")
    assert compared.species[0].differences["balanced_accuracy"].value == 0


@pytest.mark.slow
def test_a_network_of_several_species_is_the_base_of_a_head(turbo_pool_run, as_version_0_1, train, tmp_path):
    old = as_version_0_1(turbo_pool_run)
    overrides = ["species=merel", "trainer=head", f"base={old}", "evaluation.plots=false"]
    report = read_metrics(train(tmp_path / "head", DEMO, *overrides))
    assert report["head"]["base"] == str(old) and report["head"]["fitted"]
