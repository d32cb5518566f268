"""The table of variants: its figures against scikit-learn, and that nothing is trained twice."""

import io
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from benchmarks import accuracy, search
from birdnet_nl.comparison.finished_runs import read_run


@pytest.fixture
def runs(tmp_path, make_finished_run):
    """Two seeds of three folds."""
    folders = [
        make_finished_run(
            tmp_path / f"{seed}-{fold}", "turbo", seed=seed, fold=fold, folds=3, pool=["koolmees", "vink"]
        )
        for seed in (1, 2)
        for fold in range(3)
    ]
    return [read_run(folder) for folder in folders]


def test_figures_are_means_over_seeds_of_all_folds_together(runs):
    summary = accuracy.summarise(runs)
    assert summary["seeds"] == [1, 2] and summary["recordings"] == 3 * 36
    expected = {"balanced_accuracy": [], "auroc": [], "song_call": []}
    for seed in (1, 2):
        answers = accuracy.join_folds([run for run in runs if run.seed == seed]).answers
        truth, chances = answers.truth, answers.probabilities
        expected["balanced_accuracy"].append(balanced_accuracy_score(truth, chances.argmax(axis=1)))
        one_hot = np.eye(3)[truth]
        expected["auroc"].append(np.mean([roc_auc_score(one_hot[:, k], chances[:, k]) for k in range(3)]))
        pair = truth < 2
        ratio = chances[pair, 0] / chances[pair, :2].sum(axis=1)
        expected["song_call"].append(roc_auc_score(truth[pair] == 0, ratio))
    for name, values in expected.items():
        figure = summary["test"][name]
        assert figure["mean"] == pytest.approx(np.mean(values), abs=1e-6)
        assert figure["low"] < figure["mean"] < figure["high"]


def test_two_variants_are_joined_by_multiplying_their_probabilities(runs):
    answers = accuracy.join_folds(runs[:3]).answers
    squared = answers.probabilities**2
    by_hand = squared / squared.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(accuracy.multiply(answers, answers).probabilities, by_hand, atol=1e-4)
    joined = accuracy.join_variants(runs, runs)
    alone = accuracy.summarise(runs)["test"]["balanced_accuracy"]["mean"]
    assert joined["test"]["balanced_accuracy"]["mean"] == pytest.approx(alone)  # both say the same
    with pytest.raises(ValueError, match="not tested on the same recordings"):
        accuracy.multiply(answers, accuracy.join_folds(runs[3:]).answers)


def test_the_table_of_validation_shows_nothing_of_the_test(runs):
    summary = {"turbo": accuracy.summarise(runs)}
    drawn = {}
    for validation in (False, True):
        console = Console(width=160, record=True, file=io.StringIO())
        console.print(accuracy.table(summary, validation))
        drawn[validation] = console.export_text()
    of_the_test = f"{summary['turbo']['test']['auroc']['mean']:.3f}"
    assert of_the_test in drawn[False] and "song against call" in drawn[False]
    assert of_the_test not in drawn[True] and "song against call" not in drawn[True]


def test_a_run_that_is_there_is_not_repeated(runs, monkeypatch):
    monkeypatch.setattr(accuracy.subprocess, "run", lambda *_, **__: pytest.fail("trained again"))
    accuracy.train(["trainer=turbo"], runs[0].folder)


def test_a_run_that_was_stopped_goes_on(tmp_path, monkeypatch):
    (tmp_path / "config.yaml").write_text("seed: 1\n")
    asked = []

    class Done:
        returncode = 0

    monkeypatch.setattr(accuracy.subprocess, "run", lambda words, **_: asked.append(words) or Done())
    accuracy.train(["trainer=turbo"], tmp_path)
    accuracy.train(["trainer=turbo"], tmp_path / "new")
    assert asked[0][2:] == [f"resume={tmp_path}"]
    assert asked[1][2:] == ["trainer=turbo", f"hydra.run.dir={tmp_path / 'new'}"]


def test_an_unknown_variant_is_told(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sys, "argv", ["accuracy", "--root", str(tmp_path), "--variants", "trubo"])
    with pytest.raises(SystemExit):
        accuracy.main()
    assert "there is no variant called trubo; choose from turbo, turbo without practice" in capsys.readouterr().err


def test_the_search_looks_at_validation_alone(runs, monkeypatch):
    monkeypatch.setattr(accuracy.subprocess, "run", lambda *_, **__: pytest.fail("trained again"))
    report = runs[0].report
    assert search.run_one(["trainer=turbo"], runs[0].folder) == report["validation"] | {"train_s": 100.0}
