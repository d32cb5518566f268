"""Runs on embeddings, and heads on finished runs: from the command line's values to a tested classifier."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from birdnet_nl.cli import app
from birdnet_nl.data.sources import DEMO_MARK
from birdnet_nl.data.splits import read_splits
from birdnet_nl.evaluation.predictions_file import read_predictions
from birdnet_nl.inference.classifier import Classifier
from birdnet_nl.inference.predict import predict_calibrated
from birdnet_nl.recordings.folder import read_species_folder
from birdnet_nl.species.table import get_species
from birdnet_nl.training.checkpoint import read_checkpoint
from birdnet_nl.training.distill import distill
from birdnet_nl.util.failure import explain
from tests.runs.conftest import EMBEDDINGS, POOL, read_metrics

pytestmark = pytest.mark.slow

DISTILLED = [
    *EMBEDDINGS,
    "trainer=distilled",
    "embeddings=distilled",
    "embeddings.teacher._target_=my_embeddings.MyLevels",
    "embeddings.steps=3",
    "model.blocks=[192,1080,96,96,96]",
]


@pytest.fixture(scope="module")
def distillations() -> list[int]:
    """Steps of each distillation of `distilled_run`."""
    return []


@pytest.fixture(scope="module")
def distilled_run(train_embeddings, distillations, tmp_path_factory) -> Path:
    """A finished run for two species, which was stopped after the distillation and then resumed."""
    run_dir = tmp_path_factory.mktemp("embeddings") / "distilled"

    def recorded(network, real, synthetic, real_share, params, steps, *settings):
        distillations.append(steps)
        return distill(network, real, synthetic, real_share, params, steps, *settings)

    def stopped(*_):
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("birdnet_nl.training.distill.distill", recorded)
        with patched.context() as also_patched:
            also_patched.setattr("birdnet_nl.runs.train.fit", stopped)
            with pytest.raises(KeyboardInterrupt):
                train_embeddings(run_dir, *DISTILLED, *POOL)
        return train_embeddings(run_dir, *DISTILLED, *POOL, resume=True)


def probabilities_in(folder: Path) -> dict[str, list[float]]:
    return {row.recording_id: list(row.probabilities.values()) for row in read_predictions(folder / "predictions.csv")}


def check_evaluation(run_dir: Path, data: Path, cache: Path, out: Path) -> None:
    """Evaluate a run on its own recordings; the predictions must be those of its test."""
    arguments = ["evaluate", str(run_dir), "--data", str(data), "--cache", str(cache), "--out", str(out)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    evaluated, tested = probabilities_in(out), probabilities_in(run_dir)
    assert evaluated.keys() == tested.keys()
    for id, probabilities in tested.items():
        np.testing.assert_allclose(evaluated[id], probabilities, atol=1e-3)


def test_a_run_on_embeddings_writes_the_files_of_every_run(embeddings_run):
    report = read_metrics(embeddings_run)
    names = ["predictions.csv", "splits.csv", "confusion.png", "reliability.png", "examples.png", "curves.png"]
    assert [name for name in names if not (embeddings_run / name).is_file()] == []
    assert list(embeddings_run.glob("events.out.tfevents*")) and list(embeddings_run.glob("projector_config.pbtxt"))
    assert report["decision"]["pooling"] == "network"
    assert report["epochs"] == 1 and report["calibration"]["fitted_on"] >= 10
    assert read_checkpoint(embeddings_run / "checkpoints/best.ckpt")["birdnet_nl"]["embeddings"] == report["embeddings"]


def test_embeddings_separate_the_types_of_the_demo(embeddings_run, distilled_run):
    assert read_metrics(embeddings_run)["results"]["recording"]["auroc"] > 0.75
    assert read_metrics(distilled_run)["results"]["recording"]["auroc"] > 0.75


def test_an_evaluation_gives_the_predictions_of_the_run(embeddings_run, cache, tmp_path):
    check_evaluation(embeddings_run, cache / "demo", cache, tmp_path / "out")


def test_layers_pretrained_on_synthetic_recordings_are_not_evaluated_on_the_demo(train_embeddings, tmp_path):
    with pytest.raises(Exception) as refused:
        train_embeddings(tmp_path / "run", *POOL, "trainer=frozen")
    assert "embeddings of frozen cannot be evaluated on the demo" in explain(refused.value)


def test_pretrained_layers_are_stored_in_the_checkpoint(embeddings_run, train_embeddings, cache, tmp_path):
    for slug in ("koolmees", "merel"):  # without the mark of the demo, as if real
        folder = cache / "demo" / f"xeno-canto-{slug}"
        shutil.copytree(folder, tmp_path / "real" / folder.name, ignore=shutil.ignore_patterns(DEMO_MARK))
    source = ["data=xeno_canto", f"data.root={tmp_path / 'real'}", "data.synthetic_recordings=0"]
    run_dir = train_embeddings(tmp_path / "run", *POOL, "trainer=frozen", *source)
    report, metadata = read_metrics(run_dir), Classifier.load(run_dir).metadata
    assert report["embeddings"]["name"] == "frozen" and report["results"]["recording"]["auroc"] > 0.75
    assert sum(value.numel() for value in metadata["embedding_state"].values()) > 300_000
    check_evaluation(run_dir, tmp_path / "real", cache, tmp_path / "out")


def test_a_distilled_model_needs_its_teacher_for_training_only(distilled_run, cache, tmp_path, monkeypatch):
    report = read_metrics(distilled_run)
    assert report["embeddings"]["name"] == "distilled" and report["embeddings"]["credit"] == "distilled from my_levels"
    monkeypatch.setattr("my_embeddings.MyLevels.load_for_mels", lambda self: pytest.fail("the teacher was used"))
    check_evaluation(distilled_run, cache / "demo", cache, tmp_path / "out")


def test_a_run_that_was_stopped_after_distillation_does_not_distil_again(distilled_run, distillations):
    assert distillations == [3]


def test_predictions_are_calibrated_and_in_the_given_order(embeddings_run, turbo_pool_run, cache):
    recordings = read_species_folder(cache / "demo" / "xeno-canto-merel", get_species("merel"))
    recordings = [recording for recording in recordings if recording.vocalization_type][:7]
    for run_dir in (embeddings_run, turbo_pool_run):
        classifier = Classifier.load(run_dir)
        probabilities, features = predict_calibrated(classifier, recordings, cache)
        reversed_probabilities, _ = predict_calibrated(classifier, recordings[::-1], cache)
        assert probabilities.shape == (7, 3) and len(features) == 7 and features.isfinite().all()
        torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(7))
        torch.testing.assert_close(probabilities, reversed_probabilities.flip(0), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("base", ["embeddings_run", "turbo_pool_run", "distilled_run"])
def test_a_head_is_tested_on_recordings_that_neither_it_nor_its_base_was_trained_on(
    base, request, train_embeddings, tmp_path
):
    base_dir = request.getfixturevalue(base)
    run_dir = train_embeddings(tmp_path / "head", "species=merel", "trainer=head", f"base={base_dir}")
    report = read_metrics(run_dir)
    assert report["head"]["fitted"] and 0 < report["head"]["mean_change"] < 0.5
    assert report["head"]["pooled"]["count"] == report["results"]["recording"]["count"]
    own, of_base = read_splits(run_dir / "splits.csv"), read_splits(base_dir / "splits.csv")
    assert own == {id: of_base[id if id in of_base else f"merel/{id}"] for id in own}
    seen = {path.parents[1].name for path in Classifier.load(run_dir).trained_on.files}
    assert seen == {"xeno-canto-koolmees", "xeno-canto-merel"}  # in training of the base too


def test_blocks_of_another_length_than_the_embeddings_are_refused(embeddings_run, train_embeddings, tmp_path):
    with pytest.raises(Exception) as caught:
        train_embeddings(tmp_path / "run", *EMBEDDINGS, *POOL, "model.blocks=[96]")
    assert "model.blocks=[96] must add up to 192" in explain(caught.value)


def test_a_head_with_a_huge_penalty_gives_the_predictions_of_its_base(embeddings_run, train_embeddings, tmp_path):
    overrides = ["species=merel", "trainer=head", f"base={embeddings_run}", "model.l2=1e9"]
    report = read_metrics(train_embeddings(tmp_path / "head", *overrides))
    assert report["head"]["mean_change"] < 1e-3
    assert report["results"]["recording"]["auroc"] == pytest.approx(report["head"]["pooled"]["auroc"], abs=1e-3)


def test_with_too_few_recordings_a_head_keeps_the_prediction_for_all_species(
    embeddings_run, train_embeddings, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("birdnet_nl.runs.base_model.MIN_OF_TYPE", 100)
    overrides = ["species=merel", "trainer=head", f"base={embeddings_run}", "evaluation.plots=false"]
    report = read_metrics(train_embeddings(tmp_path / "head", *overrides))
    assert not report["head"]["fitted"] and report["head"]["mean_change"] < 1e-4
    assert "too few training recordings of merel for a head" in " ".join(capsys.readouterr().err.split())


def test_a_species_that_the_base_was_not_trained_on_gets_a_head_too(embeddings_run, train_embeddings, tmp_path):
    overrides = ["species=vink", "trainer=head", f"base={embeddings_run}", "evaluation.plots=false"]
    report = read_metrics(train_embeddings(tmp_path / "head", *overrides))
    assert report["species"]["slug"] == "vink" and report["head"]["fitted"]
    assert all(report["counts"]["recordings"][split] for split in ("train", "val", "test"))


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["trainer=head"], "trainer=head needs base=<run directory>"),
        (["trainer=head", "base=nowhere"], "base=nowhere is not a run directory"),
        (["trainer=head", "base=nowhere", "data.source=spectrograms"], "data=spectrograms holds parts of recordings"),
        ([*EMBEDDINGS, "data.segment_s=5"], "data.segment_s=5 must be 3.0 with embeddings of my_levels"),
        ([*EMBEDDINGS, "model.pooling=mean"], "model.pooling=mean must be a list with one or more of mean"),
        ([*EMBEDDINGS, "model.landmarks=1"], "model.landmarks=1"),
        ([*EMBEDDINGS, "model.l2=0"], "model.l2=0"),
        ([*EMBEDDINGS, "model.gamma=-1"], "model.gamma=-1"),
    ],
)
def test_invalid_values_are_refused_before_anything_takes_time(
    overrides, sentence, train_embeddings, tmp_path, monkeypatch
):
    monkeypatch.setattr(
        "birdnet_nl.data.datamodule.SpeciesDataModule.setup", lambda *_: pytest.fail("recordings were read")
    )
    with pytest.raises(Exception) as caught:
        train_embeddings(tmp_path / "run", "species=merel", *overrides)
    assert sentence in explain(caught.value)
