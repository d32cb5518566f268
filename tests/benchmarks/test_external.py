"""The external test: recordists that were seen in training are left out, and metrics are scikit-learn's."""

import subprocess
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from benchmarks.accuracy import external_table
from benchmarks.external import by_others, external_metrics, predict_external
from birdnet_nl.comparison.predictions import RunPredictions


@pytest.fixture
def predictions() -> RunPredictions:
    probabilities = np.random.default_rng(1).dirichlet(np.ones(3), 60)
    ids = tuple(f"merel/XC{index}" for index in range(60))
    recordists = tuple(["Ann  Bee", "", "Carl"][index % 3] for index in range(60))
    truth = np.arange(60) // 3 % 3
    return RunPredictions(
        ("song", "call", "alarm"), ids, recordists, truth, probabilities.argmax(axis=1), probabilities
    )


def test_recordists_seen_in_training_are_left_out(predictions):
    kept = by_others(predictions, frozenset({"recordist:ann bee"}))
    assert set(kept.recordists) == {"", "Carl"} and len(kept.ids) == len(kept.truth) == len(kept.probabilities) == 40
    assert kept.ids[0] == "merel/XC1" and kept.truth[0] == predictions.truth[1]


def test_recordings_of_all_species_are_evaluated_and_a_failure_stops(tmp_path, monkeypatch):
    commands = []

    def run(command, **options):
        commands.append(command)
        return subprocess.CompletedProcess(command, 1, "", "no recordings")

    monkeypatch.setattr("benchmarks.external.subprocess.run", run)
    with pytest.raises(SystemExit, match="no recordings"):
        predict_external(SimpleNamespace(folder=tmp_path), tmp_path / "more")
    (command,) = commands
    assert command[command.index("--species") + 1] == "all" and str(tmp_path / "more") in command


def test_metrics_are_scikit_learns(predictions):
    metrics = external_metrics(predictions)
    pair = predictions.truth < 2
    truth, probabilities = predictions.truth[pair], predictions.probabilities[pair]
    ratio = probabilities[:, 1] / probabilities[:, :2].sum(axis=1)
    assert metrics["song_call"] == pytest.approx(roc_auc_score(truth, ratio))
    assert metrics["song_call_balanced_accuracy"] == pytest.approx(balanced_accuracy_score(truth, ratio > 0.5))
    assert metrics["recall_call"] == pytest.approx(np.mean(predictions.predicted[predictions.truth == 1] == 1))


def test_the_table_has_the_variants_with_an_external_test(predictions, print_table):
    shown = print_table(external_table({"turbo": {"external": external_metrics(predictions)}, "other": {}}))
    assert "turbo" in shown and "other" not in shown
