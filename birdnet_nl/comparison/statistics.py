"""Statistics of a comparison: signed-rank test, Hodges–Lehmann, McNemar, Holm, and bootstrap over recordists."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from birdnet_nl.comparison.pairing import Pair
from birdnet_nl.comparison.predictions import RunPredictions, balanced_accuracy, macro_f1

LEVEL = 0.95
DRAWS = 2000
MIN_FOR_RANKS = 6  # species; with five of the same sign, a signed-rank test still has p above 5 %
MIN_FOR_BOOTSTRAP = 6  # values; resampling fewer never leaves the range of the values
MIN_FOR_INTERVAL = 3
METRICS: dict[str, Callable[[np.ndarray], np.ndarray]] = {"balanced_accuracy": balanced_accuracy, "macro_f1": macro_f1}


@dataclass(frozen=True)
class Estimate:
    """Estimate with a 95 % interval; `low` and `high` are None, with the reason in `absent`, where there is none."""

    value: float
    low: float | None = None
    high: float | None = None
    absent: str = ""

    @property
    def has_interval(self) -> bool:
        return self.low is not None and self.high is not None

    def transform(self, function: Callable[[float], float]) -> "Estimate":
        """Convert to another scale; a decreasing `function` swaps the ends of the interval."""
        if not self.has_interval:
            return Estimate(function(self.value), absent=self.absent)
        low, high = sorted((function(self.low), function(self.high)))
        return Estimate(function(self.value), low, high)


@dataclass(frozen=True)
class SignedRank:
    """Wilcoxon signed-rank test over species (two-sided p), and the Hodges–Lehmann estimate of the difference."""

    p: float | None
    shift: Estimate
    species: int


@dataclass(frozen=True)
class McNemar:
    """Recordings predicted correctly by one of two sets only; exact two-sided p, and p after Holm's correction."""

    only_baseline: int
    only_other: int
    p: float
    p_holm: float = math.nan


@dataclass(frozen=True)
class Overall:
    """Difference of a metric over all species: for similar species, for these species only, and by signed ranks."""

    over_species: Estimate
    these_species: Estimate
    ranks: SignedRank


def signed_rank(differences: Sequence[float]) -> SignedRank:
    """Test and estimate the difference; zeros are dropped for the test (Wilcoxon's rule) and kept for the estimate."""
    values = np.asarray(differences, dtype=float)
    nonzero = values[np.abs(values) > 1e-12]
    p = float(stats.wilcoxon(nonzero.round(12)).pvalue) if len(nonzero) else None  # exact when small
    return SignedRank(p, hodges_lehmann(values), len(values))


def hodges_lehmann(differences: Sequence[float]) -> Estimate:
    """Compute the median of all pair means (including each value with itself), with the signed-rank interval."""
    values = np.asarray(differences, dtype=float)
    first, second = np.triu_indices(len(values))
    means = np.sort((values[first] + values[second]) / 2)
    rank = _signed_rank_limit(len(values))
    if rank == 0:
        return Estimate(float(np.median(means)), absent=f"fewer than {MIN_FOR_RANKS} species")
    return Estimate(float(np.median(means)), float(means[rank - 1]), float(means[-rank]))


def _signed_rank_limit(count: int) -> int:
    """Rank of the first pair mean within the interval, from both ends; 0 when no interval exists."""
    ways = np.zeros(count * (count + 1) // 2 + 1)  # share of the sign patterns with each rank sum
    ways[0] = 1.0
    for rank in range(1, count + 1):
        ways[rank:] = (ways[rank:] + ways[:-rank]) / 2
        ways[:rank] /= 2
    return int(np.searchsorted(np.cumsum(ways), (1 - LEVEL) / 2, side="right"))


def mcnemar(only_baseline: int, only_other: int) -> McNemar:
    """Run the exact test that the recordings on which the sets differ are equally likely to favour either."""
    differing = only_baseline + only_other
    p = float(stats.binomtest(only_other, differing, 0.5).pvalue) if differing else 1.0
    return McNemar(only_baseline, only_other, p)


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p values for the number of tests (Holm), in the order given."""
    adjusted, running = [1.0] * len(p_values), 0.0
    for rank, index in enumerate(np.argsort(p_values, kind="stable")):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted


def mean_estimate(values: Sequence[float], unit: str = "species", seed: int = 0) -> Estimate:
    """Compute the mean with its interval for the population (similar species), from 2,000 resamples of the values.

    Three to five values get Student's t interval instead, fewer none.
    """
    values = np.asarray(values, dtype=float)
    count, mean = len(values), float(values.mean())
    if count < MIN_FOR_INTERVAL:
        return Estimate(mean, absent=f"fewer than {MIN_FOR_INTERVAL} {unit}")
    if count < MIN_FOR_BOOTSTRAP:
        half = stats.t.ppf((1 + LEVEL) / 2, count - 1) * values.std(ddof=1) / math.sqrt(count)
        return Estimate(mean, float(mean - half), float(mean + half))
    chosen = np.random.default_rng(seed).integers(0, count, (DRAWS, count))
    return percentile_interval(mean, values[chosen].mean(axis=1), count)


def percentile_interval(value: float, draws: np.ndarray, units: int) -> Estimate:
    """Return `value` with the middle 95 % of bootstrap draws of `units` resampled units; NaN draws are ignored.

    The percentiles are widened as Student's t exceeds the normal distribution for few units (Hesterberg 2015, "What
    teachers should know about the bootstrap"): plain ones would cover the true value in 86 % of the cases with 6
    species and in 87 % with 8 recordists (benchmarks/comparison_coverage.py).
    """
    defined = draws[np.isfinite(draws)]
    if not len(defined) or units < MIN_FOR_INTERVAL:
        return Estimate(value, absent="too few recordists to resample")
    t = stats.t.ppf((1 + LEVEL) / 2, units - 1)
    outside = stats.norm.cdf(-t * math.sqrt(units / (units - 1)))
    low, high = np.quantile(defined, [outside, 1 - outside])
    return Estimate(value, float(low), float(high))


@dataclass(frozen=True)
class Draws:
    """Bootstrap draws [2,000] of each metric's difference, and the number of recordists that were resampled."""

    metrics: Mapping[str, np.ndarray]
    recordists: int


def difference_draws(pairs: Sequence[Pair], seed: int = 0) -> Draws | None:
    """Draw the difference, other minus baseline, for the pairs of one species; None when a run has no predictions.

    Both sets are evaluated on the same draw. Recordists are resampled as a whole, with the same weight in every seed
    whose test split contains them; several seeds are resampled too. In a draw without recordings of a type, the metric
    is the mean over the other types.
    """
    if any(pair.baseline.predictions is None or pair.other.predictions is None for pair in pairs):
        return None
    rng = np.random.default_rng(seed)
    names = sorted({name for pair in pairs for name in pair.baseline.predictions.groups})
    index_of = {name: index for index, name in enumerate(names)}
    weights = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), DRAWS).astype(float)
    seed_weights = rng.multinomial(len(pairs), np.full(len(pairs), 1 / len(pairs)), DRAWS) / len(pairs)
    draws = {name: np.zeros(DRAWS) for name in METRICS}
    for pair, pair_weights in zip(pairs, seed_weights.T, strict=True):
        groups = [index_of[name] for name in pair.baseline.predictions.groups]
        before = _weighted_confusion(pair.baseline.predictions, groups, weights)
        after = _weighted_confusion(pair.other.predictions, groups, weights)
        for name, metric in METRICS.items():
            difference = metric(after) - metric(before)
            draws[name] += np.where(pair_weights > 0, pair_weights * difference, 0.0)
    return Draws(draws, len(names))


def _weighted_confusion(predictions: RunPredictions, groups: Sequence[int], weights: np.ndarray) -> np.ndarray:
    """Confusion counts [draws, true type, predicted type] under the weights [draws, groups]; a group per recording."""
    n = len(predictions.types)
    counts = np.zeros((weights.shape[1], n, n))
    np.add.at(counts, (np.asarray(groups), predictions.truth, predictions.predicted), 1)
    return (weights @ counts.reshape(-1, n * n)).reshape(-1, n, n)
