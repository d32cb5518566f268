"""The statistics of a comparison: signed ranks, Hodges–Lehmann, McNemar, Holm and intervals of a mean over species."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

LEVEL = 0.95
DRAWS = 2000
MIN_FOR_RANKS = 6  # species: of five, not even all in one direction is below 5 % in a signed-rank test
MIN_FOR_BOOTSTRAP = 6  # fewer values redrawn never leave the range of the values themselves
MIN_FOR_INTERVAL = 3


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval; `low` and `high` are None, with the reason, where the data give none."""

    value: float
    low: float | None = None
    high: float | None = None
    absent: str = ""

    @property
    def has_interval(self) -> bool:
        return self.low is not None and self.high is not None

    def changed(self, function: Callable[[float], float]) -> "Estimate":
        """On another scale; a falling `function` swaps the ends of the interval."""
        if not self.has_interval:
            return Estimate(function(self.value), absent=self.absent)
        low, high = sorted((function(self.low), function(self.high)))
        return Estimate(function(self.value), low, high)


@dataclass(frozen=True)
class SignedRank:
    """Wilcoxon's test over species (two-sided p) and the Hodges–Lehmann estimate of the difference."""

    p: float | None
    shift: Estimate
    species: int


@dataclass(frozen=True)
class McNemar:
    """Recordings that only the baseline or only the other set answered rightly; exact two-sided p, and Holm's."""

    only_baseline: int
    only_other: int
    p: float
    p_holm: float = math.nan


@dataclass(frozen=True)
class Overall:
    """A figure's difference over all species: for species like these, for these very species, and by signed ranks."""

    over_species: Estimate
    these_species: Estimate
    ranks: SignedRank


def signed_rank(differences: Sequence[float]) -> SignedRank:
    """Zeros are dropped for the test (Wilcoxon's own rule) and kept for the estimate."""
    values = np.asarray(differences, dtype=float)
    moved = values[np.abs(values) > 1e-12]
    p = float(stats.wilcoxon(moved.round(12)).pvalue) if len(moved) else None  # exact when small
    return SignedRank(p, hodges_lehmann(values), len(values))


def hodges_lehmann(differences: Sequence[float]) -> Estimate:
    """Median of the means of all pairs (each value with itself too), with the interval the signed-rank test gives."""
    values = np.asarray(differences, dtype=float)
    first, second = np.triu_indices(len(values))
    means = np.sort((values[first] + values[second]) / 2)
    rank = _signed_rank_limit(len(values))
    if rank == 0:
        return Estimate(float(np.median(means)), absent=f"fewer than {MIN_FOR_RANKS} species")
    return Estimate(float(np.median(means)), float(means[rank - 1]), float(means[-rank]))


def _signed_rank_limit(count: int) -> int:
    """How many of the lowest and of the highest pair means lie outside the interval, plus one; 0 when none may."""
    ways = np.zeros(count * (count + 1) // 2 + 1)  # share of the sign patterns with each rank sum
    ways[0] = 1.0
    for rank in range(1, count + 1):
        ways[rank:] = (ways[rank:] + ways[:-rank]) / 2
        ways[:rank] /= 2
    return int(np.searchsorted(np.cumsum(ways), (1 - LEVEL) / 2, side="right"))


def mcnemar(only_baseline: int, only_other: int) -> McNemar:
    """Exact: were the recordings on which the sets differ dealt out by a fair coin?"""
    differing = only_baseline + only_other
    p = float(stats.binomtest(only_other, differing, 0.5).pvalue) if differing else 1.0
    return McNemar(only_baseline, only_other, p)


def holm(p_values: Sequence[float]) -> list[float]:
    """Each p corrected for the number of tests, in the order given; at most 1, and never below a smaller p's."""
    adjusted, running = [1.0] * len(p_values), 0.0
    for place, index in enumerate(np.argsort(p_values, kind="stable")):
        running = max(running, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = running
    return adjusted


def mean_estimate(values: Sequence[float], what: str = "species", seed: int = 0) -> Estimate:
    """Mean, with the interval for others of the kind (species like these): the values are redrawn, 2,000 times.

    Three to five values get Student's interval instead, fewer none.
    """
    values = np.asarray(values, dtype=float)
    count, mean = len(values), float(values.mean())
    if count < MIN_FOR_INTERVAL:
        return Estimate(mean, absent=f"fewer than {MIN_FOR_INTERVAL} {what}")
    if count < MIN_FOR_BOOTSTRAP:
        half = stats.t.ppf((1 + LEVEL) / 2, count - 1) * values.std(ddof=1) / math.sqrt(count)
        return Estimate(mean, float(mean - half), float(mean + half))
    chosen = np.random.default_rng(seed).integers(0, count, (DRAWS, count))
    return percentile_interval(mean, values[chosen].mean(axis=1), count)


def percentile_interval(value: float, draws: np.ndarray, redrawn: int) -> Estimate:
    """`value` with the middle 95 % of bootstrap draws, each of `redrawn` things; draws that are NaN do not count.

    The percentiles are moved out as far as Student's t lies beyond the normal for so few things (Hesterberg 2015, "What
    teachers should know about the bootstrap"): plain ones would hold the truth in 86 % of the cases with 6 species and
    in 87 % with 8 recordists (benchmarks/comparison_coverage.py).
    """
    known = draws[np.isfinite(draws)]
    if not len(known) or redrawn < MIN_FOR_INTERVAL:
        return Estimate(value, absent="too few recordists to redraw")
    t = stats.t.ppf((1 + LEVEL) / 2, redrawn - 1)
    outside = stats.norm.cdf(-t * math.sqrt(redrawn / (redrawn - 1)))
    low, high = np.quantile(known, [outside, 1 - outside])
    return Estimate(value, float(low), float(high))
