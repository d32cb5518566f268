"""The final model: trained on all recordings, with the length, calibration and threshold of finished folds."""

import csv
import math

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from typer.testing import CliRunner

from birdnet_nl.cli import app
from birdnet_nl.comparison.finished_runs import find_runs
from birdnet_nl.comparison.pairing import pair_runs
from birdnet_nl.deploy.promotion import choose_candidates
from birdnet_nl.evaluation.predictions_file import read_predictions
from birdnet_nl.inference.classifier import Classifier
from birdnet_nl.runs.final import repeat_learning_rates
from birdnet_nl.training.checkpoint import read_checkpoint
from birdnet_nl.util.errors import RunError
from tests.runs.conftest import EMBEDDINGS, POOL, TINY, TINY_TURBO, read_metrics

pytestmark = pytest.mark.slow

SETTINGS = {
    "turbo": [*TINY_TURBO, "species=koolmees"],
    "fast": [*TINY, "species=koolmees"],
    "embeddings": [*EMBEDDINGS, *POOL],
}
FOLDS = 3


@pytest.fixture(scope="module", params=SETTINGS)
def folds_and_final(request, train, extension, tmp_path_factory):
    """Settings, the folder of three folds, and the final model that was trained after them."""
    folder, settings = tmp_path_factory.mktemp(request.param), [*SETTINGS[request.param], "evaluation.plots=false"]
    for fold in range(FOLDS):
        train(folder / "folds" / str(fold), settings, f"data.folds={FOLDS}", f"data.fold={fold}")
    return settings, folder / "folds", train(folder / "final", settings, f"final={folder / 'folds'}")


def reports_of(folds):
    return [read_metrics(folds / str(fold)) for fold in range(FOLDS)]


def test_it_trains_on_every_recording_for_as_long_as_the_folds(folds_and_final):
    _, folds, final = folds_and_final
    report, of_folds = read_metrics(final), reports_of(folds)
    with (final / "splits.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["split"] for row in rows} == {"train"}
    tested = {
        row.recording_id for fold in range(FOLDS) for row in read_predictions(folds / str(fold) / "predictions.csv")
    }
    assert {row["id"] for row in rows} >= tested
    assert report["epochs"] == sorted(fold["best_epoch"] + 1 for fold in of_folds)[1] == report["final"]["epochs"]
    assert report["counts"]["recordings"]["val"] == report["counts"]["recordings"]["test"] == {}


def test_its_metrics_are_those_of_the_folds_and_nothing_was_measured_on_its_own_recordings(folds_and_final):
    _, folds, final = folds_and_final
    report, of_folds = read_metrics(final), reports_of(folds)
    assert not any(name.startswith("val/") or "accuracy" in name for row in report["history"] for name in row)
    scores = report["results"]["recording"]
    counts = np.sum([fold["results"]["recording"]["confusion"] for fold in of_folds], axis=0)
    np.testing.assert_array_equal(scores["confusion"], counts)
    assert scores["balanced_accuracy"] == pytest.approx((counts.diagonal() / counts.sum(axis=1)).mean())
    assert scores["intervals"]["balanced_accuracy"][0] < scores["balanced_accuracy"]
    validation = [fold["validation"]["recording_balanced_accuracy"] for fold in of_folds]
    assert report["validation"] == {"recording_balanced_accuracy": pytest.approx(np.mean(validation))}
    assert list(report["results"]) == ["recording"] and not (final / "examples.png").exists()


def test_its_checkpoint_has_the_calibration_and_the_threshold_of_the_folds(folds_and_final):
    _, folds, final = folds_and_final
    classifier, report = Classifier.load(final), read_metrics(final)
    assert classifier.metadata["final"] == report["final"] and len(report["final"]["runs"]) == FOLDS
    decisions = [Classifier.load(folds / str(fold)).calibration for fold in range(FOLDS)]
    same = [decision.temperature for decision in decisions if decision.pooling == classifier.calibration.pooling]
    assert classifier.calibration.temperature == pytest.approx(math.exp(np.mean(np.log(same))), abs=1e-3)
    rows = read_predictions(final / "predictions.csv")
    certain = [row for row in rows if max(row.probabilities.values()) >= classifier.threshold]
    assert [row for row in rows if row.certain] == certain
    choice = report["threshold_choice"]
    accuracy = np.mean([row.predicted_type == row.true_type for row in certain])
    assert choice["recordings"] == len(rows) and choice["accuracy"] == pytest.approx(accuracy)


def test_an_evaluation_on_its_recordings_is_refused(folds_and_final, cache, tmp_path):
    final = folds_and_final[2]
    arguments = ["evaluate", str(final), "--data", str(cache / "demo"), "--cache", str(cache)]
    result = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "out")])
    assert result.exit_code == 1 and "were used for training" in " ".join(result.output.split())


def test_it_is_promoted_with_the_metrics_of_the_folds_and_compared_with_nothing(folds_and_final, tmp_path):
    _, folds, final = folds_and_final
    runs = find_runs([folds, final]).runs
    (chosen,) = choose_candidates(runs, allow_synthetic=True)[0].values()
    assert chosen.folder == final.resolve() and chosen.is_final
    pairing = pair_runs(runs, chosen.parameter_set, ())
    assert all(not run.is_final for case in pairing.results.values() for result in case.values() for run in result.runs)
    reason = next(left.reason for left in pairing.left_out if left.what == str(chosen.folder))
    assert "trained on all recordings; in the folds, balanced accuracy" in reason
    arguments = ["promote", str(final), "--version", "1", "--models", str(tmp_path / "models"), "--allow-synthetic"]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    (entry,) = OmegaConf.load(tmp_path / "models" / "1" / "manifest.json")["models"].values()
    assert entry["final"]["runs"] and entry["test"]["intervals"]["balanced_accuracy"]


def test_folds_that_are_missing_or_trained_otherwise_are_refused(folds_and_final, train, tmp_path):
    settings, folds, _ = folds_and_final
    with pytest.raises(RunError, match="seed 1: fold 1, 2 of 3"):
        train(tmp_path / "one", settings, f"final={folds / '0'}")
    with pytest.raises(RunError, match="is not a folder"):
        train(tmp_path / "two", settings, f"final={tmp_path / 'nowhere'}")
    (tmp_path / "three" / ".hydra").mkdir(parents=True)
    (tmp_path / "three" / ".hydra" / "overrides.yaml").write_text("- model=emsn_cnn\n")
    with pytest.raises(RunError, match="with model=emsn_cnn; folds with other arguments"):
        train(tmp_path / "three", settings, f"final={folds}")
    with pytest.raises(ValueError, match=r"data\.fold=0 and final= exclude each other"):
        train(tmp_path / "four", settings, f"final={folds}", f"data.folds={FOLDS}", "data.fold=0")


def test_learning_rates_are_repeated_epoch_by_epoch():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    scheduler, rates = repeat_learning_rates(optimizer, [0.1, 0.1, 0.05]), []
    for _ in range(4):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert rates == pytest.approx([0.1, 0.1, 0.05, 0.05])


def test_a_final_model_can_be_found_in_the_logs_and_resumed_when_it_is_finished(folds_and_final, train, tmp_path):
    settings, folds, final = folds_and_final
    again = train(tmp_path / "again", settings, "final=true", f"paths.logs={folds}")
    first, second = (read_checkpoint(run / "checkpoints/best.ckpt")["state_dict"] for run in (final, again))
    assert all(torch.equal(first[name], second[name]) for name in first if name.startswith("network."))
    before = read_metrics(again)
    assert read_metrics(train(again, settings, "final=true", f"paths.logs={folds}", resume=True)) == before
