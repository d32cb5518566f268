"""Statistics equal scipy's, enumeration of all signs, and arithmetic by hand."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from birdnet_nl.comparison.statistics import (
    Estimate,
    hodges_lehmann,
    holm,
    mcnemar,
    mean_estimate,
    percentile_interval,
    signed_rank,
)


@pytest.mark.parametrize("count", [6, 9, 14, 40])
def test_the_signed_rank_test_equals_scipys(count):
    values = np.random.default_rng(count).normal(0.02, 0.05, count)
    estimate = signed_rank(values)
    assert estimate.p == pytest.approx(stats.wilcoxon(values).pvalue)
    assert estimate.species == count


def test_species_without_a_difference_count_for_the_estimate_but_not_for_the_test():
    values = [0.0, 0.0, 0.02, 0.03, -0.01, 0.05, 0.04, 0.06]
    assert signed_rank(values).p == pytest.approx(stats.wilcoxon(values, zero_method="wilcox").pvalue)
    assert signed_rank([0.0] * 8).p is None
    assert signed_rank(values).shift.value == pytest.approx(brute_hodges_lehmann(values)[0])


def brute_hodges_lehmann(values):
    """Median of all pair means, and the most extreme shifts that the exact two-sided test does not reject."""
    means = sorted((values[i] + values[j]) / 2 for i in range(len(values)) for j in range(i, len(values)))
    every_sign = itertools.product((0, 1), repeat=len(values))
    sums = [sum(rank for rank, sign in enumerate(signs, 1) if sign) for signs in every_sign]
    middle = len(means) // 2
    median = means[middle] if len(means) % 2 else (means[middle - 1] + means[middle]) / 2
    # a shift with k means below it has rank sum k; the first that is not rejected is above the k-th mean
    first = next(k for k in range(len(means)) if sum(rank_sum <= k for rank_sum in sums) / len(sums) > 0.025)
    return median, means[first - 1], means[len(means) - first]


@pytest.mark.parametrize(("count", "seed"), [(6, 0), (7, 1), (10, 2), (12, 3), (13, 4)])
def test_hodges_lehmann_equals_enumeration_of_all_signs(count, seed):
    values = np.random.default_rng(seed).normal(-0.03, 0.06, count).tolist()
    estimate = hodges_lehmann(values)
    assert (estimate.value, estimate.low, estimate.high) == pytest.approx(brute_hodges_lehmann(values))


def test_five_species_give_an_estimate_and_no_interval():
    estimate = hodges_lehmann([0.01, 0.02, 0.03, 0.04, 0.05])
    assert estimate.value == pytest.approx(0.03) and not estimate.has_interval
    assert estimate.absent == "fewer than 6 species"


@pytest.mark.parametrize(
    ("only_baseline", "only_other", "p"),
    [(0, 0, 1.0), (1, 0, 1.0), (0, 5, 2 / 32), (1, 5, 2 * 7 / 64), (2, 8, 2 * (1 + 10 + 45) / 1024), (4, 4, 1.0)],
)
def test_mcnemar_is_a_binomial_test(only_baseline, only_other, p):
    assert mcnemar(only_baseline, only_other).p == pytest.approx(p)


def test_holm_equals_arithmetic_by_hand():
    # sorted: .01 × 4, .02 × 3, .03 × 2, .04 × 1 -> .04, .06, .06, .06: never below the one before
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []


def test_a_mean_of_few_values_has_students_interval_and_of_two_none():
    values = [0.01, 0.05, -0.02, 0.04]
    low, high = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    estimate = mean_estimate(values)
    assert (estimate.value, estimate.low, estimate.high) == pytest.approx((0.02, low, high))
    assert mean_estimate([0.1, 0.2]) == Estimate(pytest.approx(0.15), absent="fewer than 3 species")


def test_the_bootstrap_interval_of_many_values_is_students():
    values = np.random.default_rng(3).normal(0, 1, 200)
    low, high = stats.t.interval(0.95, 199, values.mean(), stats.sem(values))
    estimate = mean_estimate(values)
    assert (estimate.low, estimate.high) == pytest.approx((low, high), abs=0.02)
    assert mean_estimate(values) == estimate


def test_a_decreasing_transform_swaps_the_ends():
    assert Estimate(2.0, 1.0, 4.0).transform(lambda ratio: 1 / ratio) == Estimate(0.5, 0.25, 1.0)
    assert Estimate(0.0, absent="few").transform(math.exp) == Estimate(1.0, absent="few")


def test_undefined_draws_are_ignored():
    draws = np.array([np.nan, *range(1001)], dtype=float)
    assert percentile_interval(7.0, draws, 100_000) == Estimate(
        7.0, pytest.approx(25, abs=0.1), pytest.approx(975, abs=0.1)
    )
    assert not percentile_interval(7.0, np.full(3, np.nan), 100).has_interval
    assert not percentile_interval(7.0, draws, 2).has_interval


def test_few_resampled_units_widen_the_interval_as_students_t():
    draws = np.random.default_rng(0).normal(0, 1, 200_000)
    for count in (6, 10, 30):
        estimate = percentile_interval(0.0, draws, count)
        assert estimate.high == pytest.approx(stats.t.ppf(0.975, count - 1) * math.sqrt(count / (count - 1)), rel=0.03)
        assert estimate.low == pytest.approx(-estimate.high, rel=0.05)
