"""Every weighting gives what scikit-learn gives for the items repeated as often as they weigh."""

import numpy as np
import pytest
import sklearn.metrics

from birdnet_nl.evaluation.weighted_metrics import weighted_metrics

TYPES = ["song", "call", "alarm"]


def answers(items: int, types: int, seed: int, steps: int | None = None):
    """Probabilities (in coarse steps, so that ties occur), true types and groups of the items."""
    rng = np.random.default_rng(seed)
    truth = np.concatenate([np.arange(types), rng.integers(0, types, items - types)])
    logits = rng.normal(0, 1, (items, types))
    logits[np.arange(items), truth] += 0.8
    if steps:
        logits = np.round(logits * steps) / steps
    groups = np.concatenate([np.arange(6), rng.integers(0, 6, items - 6)])
    shares = np.exp(logits)
    return shares / shares.sum(axis=1, keepdims=True), truth, groups


@pytest.mark.parametrize("types", [2, 3])
@pytest.mark.parametrize("steps", [None, 1])
@pytest.mark.parametrize("seed", range(3))
def test_weighted_figures_are_scikit_learns_for_repeated_items(types, steps, seed):
    probabilities, truth, groups = answers(40, types, seed, steps)
    weights = np.random.default_rng(seed).integers(0, 3, (8, 6)) + (np.arange(6) == 2)
    figures = weighted_metrics(probabilities, truth, groups, TYPES[:types], weights)
    for draw, of_group in enumerate(weights):
        repeated = np.repeat(np.arange(40), of_group[groups])
        p, y = probabilities[repeated], truth[repeated]
        if len(set(y)) < types:
            assert np.isnan(figures["balanced_accuracy"][draw])
            continue
        given = p.argmax(axis=1)
        metrics = sklearn.metrics
        expected = {
            "balanced_accuracy": metrics.balanced_accuracy_score(y, given),
            "macro_f1": metrics.f1_score(y, given, average="macro", labels=range(types), zero_division=0),
            "accuracy": metrics.accuracy_score(y, given),
            "auroc": np.mean([metrics.roc_auc_score(y == k, p[:, k]) for k in range(types)]),
            "average_precision": np.mean([metrics.average_precision_score(y == k, p[:, k]) for k in range(types)]),
            "recall/call": metrics.recall_score(y, given, average=None, labels=range(types))[1],
        }
        for name, value in expected.items():
            assert figures[name][draw] == pytest.approx(value, abs=1e-6), name
        if (given == 0).any():
            precision = metrics.precision_score(y, given, average=None, labels=range(types), zero_division=0)[0]
            assert figures["precision/song"][draw] == pytest.approx(precision)


def test_what_a_draw_does_not_define_is_nan():
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3]])
    figures = weighted_metrics(
        probabilities, np.array([0, 0, 1]), np.array([0, 1, 2]), ["song", "call"], np.array([[1, 2, 0], [1, 1, 1]])
    )
    for name in ("balanced_accuracy", "macro_f1", "auroc", "average_precision", "recall/call"):
        assert np.isnan(figures[name][0]) and np.isfinite(figures[name][1]), name
    assert np.isnan(figures["precision/call"]).all()  # never answered
    assert figures["accuracy"].tolist() == pytest.approx([1.0, 2 / 3])
    assert figures["recall/song"].tolist() == [1.0, 1.0]
