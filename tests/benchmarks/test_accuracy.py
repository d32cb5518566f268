"""Accuracy of variants: metrics against scikit-learn, valid overrides, and no run that is trained twice."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from benchmarks import accuracy
from birdnet_nl.comparison.finished_runs import read_run
from birdnet_nl.comparison.results import join_folds
from birdnet_nl.species.selection import prepare_arguments


@pytest.fixture(scope="module")
def runs(tmp_path_factory, make_finished_run):
    """Two seeds of three folds."""
    folder = tmp_path_factory.mktemp("accuracy")
    pool = ["koolmees", "vink"]
    return [
        read_run(make_finished_run(folder / f"{seed}-{fold}", "turbo", seed=seed, fold=fold, folds=3, pool=pool))
        for seed in (1, 2)
        for fold in range(3)
    ]


@pytest.fixture(scope="module")
def summary(runs):
    return accuracy.summarise(runs)


@pytest.mark.parametrize("variant", accuracy.VARIANTS)
def test_the_overrides_of_every_variant_compose(compose_config, variant):
    overrides = accuracy.run_overrides("/recordings", 5, 2, 1, accuracy.VARIANTS[variant])
    cfg = compose_config(*prepare_arguments(overrides))
    assert (cfg.data.pool, cfg.data.root, cfg.data.folds, cfg.data.fold, cfg.seed) == ("all", "/recordings", 5, 2, 1)
    assert cfg.data.shuffle_types == ("shuffled types" in variant)
    if "without synthetic recordings" in variant:
        assert cfg.data.synthetic_recordings == 0
    assert (cfg.model.get("pretrained") == "synthetic") == (variant.startswith("turbo") and "random" not in variant)


def test_metrics_are_means_over_seeds_of_all_folds_together(runs, summary):
    assert summary["seeds"] == [1, 2] and summary["recordings"] == 3 * 36
    expected = {"balanced_accuracy": [], "auroc": [], "song_call": []}
    for seed in (1, 2):
        predictions = join_folds([run for run in runs if run.seed == seed]).predictions
        truth, probabilities = predictions.truth, predictions.probabilities
        expected["balanced_accuracy"].append(balanced_accuracy_score(truth, probabilities.argmax(axis=1)))
        one_hot = np.eye(3)[truth]
        expected["auroc"].append(np.mean([roc_auc_score(one_hot[:, k], probabilities[:, k]) for k in range(3)]))
        pair = truth < 2
        ratio = probabilities[pair, 0] / probabilities[pair, :2].sum(axis=1)
        expected["song_call"].append(roc_auc_score(truth[pair] == 0, ratio))
    for name, values in expected.items():
        metric = summary["test"][name]
        assert metric["mean"] == pytest.approx(np.mean(values), abs=1e-6)
        assert metric["low"] < metric["mean"] < metric["high"]


def test_two_variants_are_joined_by_multiplying_their_probabilities(runs, summary):
    first, second = (join_folds([run for run in runs if run.seed == seed]).predictions for seed in (1, 2))
    squared = first.probabilities**2
    by_hand = squared / squared.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(accuracy.multiply(first, first).probabilities, by_hand, atol=1e-4)
    joined = accuracy.join_variants(runs, runs)["test"]["balanced_accuracy"]["mean"]
    assert joined == pytest.approx(summary["test"]["balanced_accuracy"]["mean"])  # both have the same predictions
    with pytest.raises(ValueError, match="not tested on the same recordings"):
        accuracy.multiply(first, second)


def test_the_table_of_validation_shows_nothing_of_the_test(summary, print_table):
    test, validation = (print_table(accuracy.table({"turbo": summary}, validation)) for validation in (False, True))
    auroc = f"{summary['test']['auroc']['mean']:.3f}"
    assert auroc in test and "song against call" in test
    assert auroc not in validation and "song against call" not in validation


def test_a_finished_run_is_not_repeated(runs, monkeypatch):
    monkeypatch.setattr(accuracy.subprocess, "run", lambda *_, **__: pytest.fail("trained again"))
    accuracy.train(["trainer=turbo"], runs[0].folder)


def test_a_stopped_run_is_resumed(tmp_path, monkeypatch):
    (tmp_path / "config.yaml").write_text("seed: 1\n")
    commands = []

    def record(command, **_):
        commands.append(command[2:])
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(accuracy.subprocess, "run", record)
    accuracy.train(["trainer=turbo"], tmp_path)
    accuracy.train(["trainer=turbo"], tmp_path / "new")
    assert commands == [[f"resume={tmp_path}"], ["trainer=turbo", f"hydra.run.dir={tmp_path / 'new'}"]]


def test_an_unknown_variant_is_an_error_that_lists_the_variants(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sys, "argv", ["accuracy", "--root", str(tmp_path), "--variants", "trubo"])
    with pytest.raises(SystemExit):
        accuracy.main()
    assert "there is no variant trubo; choose from turbo; turbo from random weights" in capsys.readouterr().err
