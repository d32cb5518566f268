"""Bootstrap intervals have their nominal coverage; weighted metrics equal scikit-learn's of repeated items."""

import time

import numpy as np
import pytest
import sklearn.metrics
from scipy.stats import binomtest

from birdnet_nl.evaluation.intervals import bootstrap_intervals, class_metrics, draw_weights, interval, weighted_metrics

TYPES = ["song", "call", "alarm"]


def random_predictions(items: int, groups: int, seed: int, types: int = 3, steps: int | None = None):
    """Probabilities (with `steps` in coarse steps, so that ties occur), true types and groups of the items."""
    rng = np.random.default_rng(seed)
    truth = np.concatenate([np.arange(types), rng.integers(0, types, items - types)])
    of_group = np.concatenate([np.arange(groups), rng.integers(0, groups, items - groups)])
    logits = rng.normal(0, 1, (items, types)) + rng.normal(0, 0.7, (groups, types))[of_group]
    logits[np.arange(items), truth] += 1.5
    if steps:
        logits = np.round(logits * steps) / steps
    shares = np.exp(logits)
    return shares / shares.sum(axis=1, keepdims=True), truth, of_group


def test_every_metric_has_an_interval_between_0_and_1():
    intervals = bootstrap_intervals(*random_predictions(60, 30, 1), TYPES)
    names = {"balanced_accuracy", "macro_f1", "accuracy", "auroc", "average_precision"}
    assert names | {f"{metric}/{name}" for metric in ("recall", "precision") for name in TYPES} == set(intervals)
    for low, high in intervals.values():
        assert 0 <= low < high <= 1


def test_the_interval_of_accuracy_without_groups_is_binomial():
    probabilities, truth, _ = random_predictions(80, 80, 3)
    correct = int((probabilities.argmax(axis=1) == truth).sum())
    exact = binomtest(correct, 80).proportion_ci(method="wilson")
    low, high = bootstrap_intervals(probabilities, truth, np.arange(80), TYPES)["accuracy"]
    assert (low, high) == pytest.approx((exact.low, exact.high), abs=0.03)


def test_copies_by_the_same_recordist_do_not_narrow_the_interval():
    probabilities, truth, _ = random_predictions(30, 30, 4)
    alone = bootstrap_intervals(probabilities, truth, np.arange(30), TYPES)["accuracy"]
    copies = [np.tile(part, (4, 1))[:120] if part.ndim > 1 else np.tile(part, 4) for part in (probabilities, truth)]
    together = bootstrap_intervals(*copies, np.tile(np.arange(30), 4), TYPES)["accuracy"]
    assert together == pytest.approx(alone, abs=1e-6)  # four copies by each recordist
    apart = bootstrap_intervals(*copies, np.arange(120), TYPES)["accuracy"]
    assert apart[1] - apart[0] < 0.6 * (alone[1] - alone[0])


def test_a_perfect_metric_has_the_clopper_pearson_bound():
    low, high = interval(1.0, np.ones(2000), 6)
    assert (low, high) == (pytest.approx(0.025 ** (1 / 6)), 1.0)
    exact = binomtest(6, 6).proportion_ci(method="exact")
    assert low == pytest.approx(exact.low)
    assert interval(0.0, np.zeros(2000), 6) == pytest.approx((0.0, 1 - exact.low))


def test_a_constant_prediction_has_chance_within_its_interval():
    probabilities = np.tile([0.8, 0.1, 0.1], (36, 1))
    low, high = bootstrap_intervals(probabilities, np.arange(36) % 3, np.arange(36), TYPES)["balanced_accuracy"]
    assert 0.2 < low < 1 / 3 < high < 0.45


def test_a_single_recordist_gives_the_widest_interval():
    probabilities, truth, _ = random_predictions(12, 1, 5)
    intervals = bootstrap_intervals(probabilities, truth, np.zeros(12, dtype=int), TYPES)
    assert intervals["accuracy"] == [0.0, 1.0]


def test_an_undefined_metric_has_no_interval():
    probabilities, truth, groups = random_predictions(40, 20, 6)
    intervals = bootstrap_intervals(probabilities, np.minimum(truth, 1), groups, TYPES)
    assert "auroc" not in intervals and "recall/alarm" not in intervals
    assert {"accuracy", "recall/song"} <= set(intervals)


def test_draws_depend_on_the_seed():
    split = random_predictions(30, 10, 7)
    assert bootstrap_intervals(*split, TYPES) == bootstrap_intervals(*split, TYPES)
    assert bootstrap_intervals(*split, TYPES, seed=1) != bootstrap_intervals(*split, TYPES)
    weights = draw_weights(10, 500, 0)
    assert weights.shape == (500, 10) and (weights.sum(axis=1) == 10).all()


def test_two_thousand_draws_of_a_thousand_recordings_take_seconds():
    predictions = random_predictions(1000, 1000, 8)
    started = time.process_time()
    bootstrap_intervals(*predictions, TYPES)
    assert time.process_time() - started < 10


@pytest.mark.slow
def test_intervals_cover_the_true_value_in_95_percent():
    """The true balanced accuracy is estimated from many recordings."""
    probabilities, truth, _ = random_predictions(60_000, 20_000, 100)
    predicted = probabilities.argmax(axis=1)
    true = np.mean([(predicted[truth == index] == index).mean() for index in range(3)])
    covered = []
    for seed in range(200):
        low, high = bootstrap_intervals(*random_predictions(45, 18, seed), TYPES, draws=500)["balanced_accuracy"]
        covered.append(low <= true <= high)
    assert 0.91 < np.mean(covered) <= 0.99


@pytest.mark.parametrize("types", [2, 3])
@pytest.mark.parametrize("steps", [None, 1])
@pytest.mark.parametrize("seed", range(3))
def test_weighted_metrics_equal_scikit_learns_for_repeated_items(types, steps, seed):
    probabilities, truth, groups = random_predictions(40, 6, seed, types, steps)
    weights = np.random.default_rng(seed).integers(0, 3, (8, 6)) + (np.arange(6) == 2)
    actual = weighted_metrics(probabilities, truth, groups, TYPES[:types], weights)
    for draw, of_group in enumerate(weights):
        repeated = np.repeat(np.arange(40), of_group[groups])
        p, y = probabilities[repeated], truth[repeated]
        if len(set(y)) < types:
            assert np.isnan(actual["balanced_accuracy"][draw])
            continue
        predicted = p.argmax(axis=1)
        expected = {
            "balanced_accuracy": sklearn.metrics.balanced_accuracy_score(y, predicted),
            "macro_f1": sklearn.metrics.f1_score(y, predicted, average="macro", labels=range(types), zero_division=0),
            "accuracy": sklearn.metrics.accuracy_score(y, predicted),
            "auroc": np.mean([sklearn.metrics.roc_auc_score(y == k, p[:, k]) for k in range(types)]),
            "average_precision": np.mean(
                [sklearn.metrics.average_precision_score(y == k, p[:, k]) for k in range(types)]
            ),
            "recall/call": sklearn.metrics.recall_score(y, predicted, average=None, labels=range(types))[1],
        }
        for name, value in expected.items():
            assert actual[name][draw] == pytest.approx(value, abs=1e-6), name
        if (predicted == 0).any():
            precision = sklearn.metrics.precision_score(
                y, predicted, average=None, labels=range(types), zero_division=0
            )[0]
            assert actual["precision/song"][draw] == pytest.approx(precision)


def test_metrics_that_a_draw_does_not_define_are_nan():
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3]])
    actual = weighted_metrics(
        probabilities, np.array([0, 0, 1]), np.array([0, 1, 2]), ["song", "call"], np.array([[1, 2, 0], [1, 1, 1]])
    )
    for name in ("balanced_accuracy", "macro_f1", "auroc", "average_precision", "recall/call"):
        assert np.isnan(actual[name][0]) and np.isfinite(actual[name][1]), name
    assert np.isnan(actual["precision/call"]).all()  # never predicted
    assert actual["accuracy"].tolist() == pytest.approx([1.0, 2 / 3])
    assert actual["recall/song"].tolist() == [1.0, 1.0]


def test_class_metrics_equal_scikit_learns_and_are_nan_where_undefined():
    truth, predicted = np.array([0, 0, 0, 1, 1]), np.array([0, 0, 1, 1, 0])
    confusion = sklearn.metrics.confusion_matrix(truth, predicted, labels=range(3))
    recall, precision, f1 = class_metrics(np.stack([confusion, 2 * confusion]))
    expected = sklearn.metrics.precision_recall_fscore_support(truth, predicted)
    for actual, values in zip((precision, recall, f1), expected[:3], strict=True):
        np.testing.assert_allclose(actual, [[*values, np.nan]] * 2)
