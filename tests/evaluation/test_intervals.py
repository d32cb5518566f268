"""Intervals hold the truth about as often as they say, and admit what few recordists cannot tell."""

import time

import numpy as np
import pytest
from scipy.stats import binomtest

from birdnet_nl.evaluation.intervals import bootstrap_intervals, draw_weights, interval

TYPES = ["song", "call", "alarm"]


def made_up(items: int, groups: int, seed: int, skill: float = 1.5):
    rng = np.random.default_rng(seed)
    truth = np.concatenate([np.arange(3), rng.integers(0, 3, items - 3)])
    of_group = np.concatenate([np.arange(groups), rng.integers(0, groups, items - groups)])
    logits = rng.normal(0, 1, (items, 3)) + rng.normal(0, 0.7, (groups, 3))[of_group]
    logits[np.arange(items), truth] += skill
    shares = np.exp(logits)
    return shares / shares.sum(axis=1, keepdims=True), truth, of_group


def test_every_figure_lies_in_its_interval_and_the_interval_between_0_and_1():
    intervals = bootstrap_intervals(*made_up(60, 30, 1), TYPES)
    names = {"balanced_accuracy", "macro_f1", "accuracy", "auroc", "average_precision"}
    assert names | {f"{figure}/{kind}" for figure in ("recall", "precision") for kind in TYPES} == set(intervals)
    for low, high in intervals.values():
        assert 0 <= low < high <= 1


def test_accuracy_over_single_recordings_has_about_the_binomial_interval():
    """Without groups the accuracy is a binomial share, for which an exact interval is known."""
    probabilities, truth, _ = made_up(80, 80, 3)
    right = int((probabilities.argmax(axis=1) == truth).sum())
    exact = binomtest(right, 80).proportion_ci(method="wilson")
    low, high = bootstrap_intervals(probabilities, truth, np.arange(80), TYPES)["accuracy"]
    assert (low, high) == pytest.approx((exact.low, exact.high), abs=0.03)


def test_recordings_of_one_recordist_count_as_less_than_as_many_recordists():
    probabilities, truth, _ = made_up(30, 30, 4)
    alone = bootstrap_intervals(probabilities, truth, np.arange(30), TYPES)["accuracy"]
    copies = [np.tile(part, (4, 1))[:120] if part.ndim > 1 else np.tile(part, 4) for part in (probabilities, truth)]
    together = bootstrap_intervals(*copies, np.tile(np.arange(30), 4), TYPES)["accuracy"]
    assert together == pytest.approx(alone, abs=1e-6)  # four copies by each recordist tell nothing new
    apart = bootstrap_intervals(*copies, np.arange(120), TYPES)["accuracy"]
    assert apart[1] - apart[0] < 0.6 * (alone[1] - alone[0])


def test_all_right_is_no_certainty():
    low, high = interval(1.0, np.ones(2000), 6)
    assert (low, high) == (pytest.approx(0.025 ** (1 / 6)), 1.0)
    exact = binomtest(6, 6).proportion_ci(method="exact")
    assert low == pytest.approx(exact.low)
    assert interval(0.0, np.zeros(2000), 6) == pytest.approx((0.0, 1 - exact.low))


def test_always_the_same_answer_leaves_chance_in_its_interval():
    probabilities = np.tile([0.8, 0.1, 0.1], (36, 1))
    low, high = bootstrap_intervals(probabilities, np.arange(36) % 3, np.arange(36), TYPES)["balanced_accuracy"]
    assert 0.2 < low < 1 / 3 < high < 0.45


def test_one_recordist_says_nothing_about_others():
    probabilities, truth, _ = made_up(12, 1, 5)
    intervals = bootstrap_intervals(probabilities, truth, np.zeros(12, dtype=int), TYPES)
    assert intervals["accuracy"] == [0.0, 1.0]


def test_a_figure_that_is_not_defined_has_no_interval():
    probabilities, truth, groups = made_up(40, 20, 6)
    intervals = bootstrap_intervals(probabilities, np.minimum(truth, 1), groups, TYPES)
    assert "auroc" not in intervals and "recall/alarm" not in intervals
    assert {"accuracy", "recall/song"} <= set(intervals)


def test_the_same_seed_draws_the_same():
    split = made_up(30, 10, 7)
    assert bootstrap_intervals(*split, TYPES) == bootstrap_intervals(*split, TYPES)
    assert bootstrap_intervals(*split, TYPES, seed=1) != bootstrap_intervals(*split, TYPES)
    weights = draw_weights(10, 500, 0)
    assert weights.shape == (500, 10) and (weights.sum(axis=1) == 10).all()


@pytest.mark.parametrize(("items", "groups", "most_s"), [(60, 40, 2.0), (1000, 1000, 5.0)])
def test_two_thousand_draws_take_seconds_at_most(items, groups, max_s):
    split = made_up(items, groups, 8)
    started = time.process_time()
    bootstrap_intervals(*split, TYPES)
    assert time.process_time() - started < 2 * max_s  # processor time of two threads


@pytest.mark.slow
def test_ninety_five_percent_means_about_ninety_five():
    """The true balanced accuracy is that of very many recordings of the same kind."""
    probabilities, truth, _ = made_up(60_000, 20_000, 100)
    answers = probabilities.argmax(axis=1)
    true = np.mean([(answers[truth == kind] == kind).mean() for kind in range(3)])
    held = []
    for seed in range(200):
        low, high = bootstrap_intervals(*made_up(45, 18, seed), TYPES, draws=500)["balanced_accuracy"]
        held.append(low <= true <= high)
    assert 0.91 < np.mean(held) <= 0.99
