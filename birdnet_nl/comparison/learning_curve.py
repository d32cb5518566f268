"""Learning curve: an inverse power law fitted to accuracy against number of training recordings, and what it predicts.

accuracy(n) = a - b · n^-c is the usual form for classifiers (Hestness et al. 2017, "Deep learning scaling is
predictable, empirically"; Figueroa et al. 2012). Its limit `a` is poorly known from few sizes, so every prediction has
an interval from a bootstrap, and none is made far beyond the largest size.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

TARGET = 0.75  # balanced accuracy per test recording from which a species (or pool) counts as usable
MIN_SIZES = 4  # one more than the law has parameters
MAX_FACTOR = 10  # numbers beyond this multiple of the largest size are not estimated
EXPONENTS = (0.1, 2.0)
TAILS = (2.5, 97.5)  # percentiles of a 95 % interval
GRID = 40  # sizes at which the fitted curve is stored


class Outcome(StrEnum):
    """Result of asking a learning curve when it reaches its target, if it has one."""

    USABLE = "usable"
    ESTIMATED = "estimated"
    BEYOND = "beyond"
    LEVELS_OFF = "levels off"
    FLAT = "flat"
    TOO_FEW_SIZES = "too few sizes"
    FITTED = "fitted"  # without a target


@dataclass(frozen=True)
class PowerLaw:
    """accuracy(n) = limit - gap · (n / scale)^-exponent; `gap` is what is missing from the limit at n = scale."""

    limit: float
    gap: float
    exponent: float
    scale: float

    def __call__(self, recordings: float | np.ndarray) -> np.ndarray:
        return self.limit - self.gap * (np.asarray(recordings, dtype=float) / self.scale) ** -self.exponent

    def recordings_for(self, value: float) -> float:
        """Return the number of recordings at which the curve reaches `value`; infinite from the limit on."""
        if value >= self.limit:
            return np.inf
        return float(self.scale * (self.gap / (self.limit - value)) ** (1 / self.exponent))


def fit_power_law(recordings: np.ndarray, values: np.ndarray, errors: np.ndarray | None = None) -> PowerLaw:
    """Fit by bounded least squares: `recordings` and `values` [sizes], and where known standard errors [sizes].

    The limit is at most 1, and the curve never falls.
    """
    from scipy.optimize import curve_fit

    recordings, values = np.asarray(recordings, dtype=float), np.asarray(values, dtype=float)
    scale = float(recordings.max())
    relative = recordings / scale

    def law(x: np.ndarray, limit: float, gap: float, exponent: float) -> np.ndarray:
        return limit - gap * x**-exponent

    def slopes(x: np.ndarray, limit: float, gap: float, exponent: float) -> np.ndarray:
        power = x**-exponent
        return np.stack([np.ones_like(x), -power, gap * power * np.log(x)], axis=1)

    start = (min(0.999, float(values.max()) + 0.03), 0.05, 0.5)
    fitted, _ = curve_fit(
        law, relative, values, p0=start, sigma=errors, jac=slopes, max_nfev=2000,
        bounds=((0.0, 0.0, EXPONENTS[0]), (1.0, 1.0, EXPONENTS[1])),
    )  # fmt: skip
    return PowerLaw(*map(float, fitted), scale)


@dataclass(frozen=True)
class Estimate:
    """What a learning curve says about one metric.

    Attributes:
        law: the fitted curve; None with too few sizes.
        limit: 95 % interval of the curve's limit; None with too few sizes.
        needed: training recordings at which the curve reaches the target; None where that is not estimated.
        needed_interval: 95 % interval of it; None at the end for "not reached within what is estimated".
        grid: rows of recordings, fitted value, low and high, up to `MAX_FACTOR` times the largest size.
    """

    outcome: Outcome
    target: float | None
    largest: float
    value: float
    law: PowerLaw | None = None
    limit: tuple[float, float] | None = None
    needed: float | None = None
    needed_interval: tuple[float, float | None] | None = None
    grid: tuple[tuple[float, float, float, float], ...] = ()

    def at(self, recordings: float) -> tuple[float, float, float] | None:
        """Return the value and its 95 % interval with so many training recordings; None outside of the grid."""
        if not self.grid or not self.grid[0][0] <= recordings <= self.grid[-1][0]:
            return None
        columns = np.array(self.grid).T
        value, low, high = (float(np.interp(np.log(recordings), np.log(columns[0]), row)) for row in columns[1:])
        return value, low, high


def estimate(
    recordings: Sequence[float],
    values: Sequence[float],
    draws: np.ndarray,
    target: float | None = TARGET,
    seed: int = 0,
) -> Estimate:
    """Fit the curve to `values` [sizes] and to each row of `draws` [draws, sizes], and answer when it reaches `target`.

    `draws` are the values for resampled test recordings; the scatter of `values` about the curve, which comes from the
    chance in training, is added to them.
    """
    sizes, values = np.asarray(recordings, dtype=float), np.asarray(values, dtype=float)
    draws = np.asarray(draws, dtype=float)
    draws = draws[np.isfinite(draws).all(axis=1)]
    largest, last = float(sizes.max()), float(values[sizes.argmax()])
    if len(set(sizes.tolist())) < MIN_SIZES or not np.isfinite(values).all() or len(draws) < 2:
        outcome = Outcome.USABLE if target is not None and last >= target else Outcome.TOO_FEW_SIZES
        return Estimate(outcome, target, largest, last)
    errors = np.maximum(draws.std(axis=0), 0.005)
    law = fit_power_law(sizes, values, errors)
    scatter = float(np.sqrt(np.square(values - law(sizes)).sum() / (len(sizes) - MIN_SIZES + 1)))
    draws = draws + np.random.default_rng(seed).normal(0, scatter, draws.shape)
    laws = [fit_power_law(sizes, row, errors) for row in draws]
    grid = _grid(law, laws, float(sizes.min()), largest)
    limit = _percentiles([fitted.limit for fitted in laws])
    value = float(law(largest))
    common = {"target": target, "largest": largest, "value": value, "law": law, "limit": limit, "grid": grid}
    if target is None:
        return Estimate(Outcome.FITTED, **common)
    if value >= target:
        return Estimate(Outcome.USABLE, **common)
    if np.percentile(_slopes(np.log(sizes), draws), TAILS[0]) <= 0:
        return Estimate(Outcome.FLAT, **common)
    needed, beyond = law.recordings_for(target), MAX_FACTOR * largest
    reached = np.array([fitted.recordings_for(target) for fitted in laws])
    low, high = (float(np.quantile(reached, tail / 100, method="nearest")) for tail in TAILS)
    interval = (low, high if high <= beyond else None) if low <= beyond else None
    if needed <= beyond:
        return Estimate(Outcome.ESTIMATED, needed=needed, needed_interval=interval, **common)
    outcome = Outcome.LEVELS_OFF if law.limit <= target else Outcome.BEYOND
    return Estimate(outcome, needed_interval=interval, **common)


def _grid(law: PowerLaw, laws: Sequence[PowerLaw], smallest: float, largest: float) -> tuple[tuple[float, ...], ...]:
    sizes = np.geomspace(smallest, MAX_FACTOR * largest, GRID)
    low, high = np.percentile([fitted(sizes) for fitted in laws], TAILS, axis=0)
    value = law(sizes)
    rows = np.stack([sizes, value, np.minimum(low, value), np.maximum(high, value)], axis=1)
    return tuple(tuple(float(number) for number in row) for row in rows)


def _percentiles(values: Sequence[float]) -> tuple[float, float]:
    low, high = np.percentile(values, TAILS)
    return float(low), float(high)


def _slopes(x: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Slope of the straight line through each of `rows` [draws, sizes] over `x` [sizes]."""
    centred = x - x.mean()
    return rows @ centred / (centred @ centred)


def sentence(item: Estimate, total_per_training: float) -> str:
    """Return what the estimate of the balanced accuracy means, in one sentence.

    `total_per_training` is the number of all recordings for one in the training split: the others are for val and test.
    """
    target, now = f"{item.target:.0%}", f"{item.value:.0%}"
    if item.outcome == Outcome.USABLE:
        return f"usable: {now} with {item.largest:.0f} training recordings, the target is {target}"
    if item.outcome == Outcome.TOO_FEW_SIZES:
        return (
            f"{now} of {target}; a curve needs at least {MIN_SIZES} different numbers of training recordings: give "
            "more --shares, or recordings by more recordists, who are never divided"
        )
    if item.outcome == Outcome.FLAT:
        return f"{now} of {target}; flat: no clear rise with more recordings, so the number needed cannot be estimated"
    if item.outcome == Outcome.ESTIMATED:
        more = total_per_training * (item.needed - item.largest)
        low, high = item.needed_interval or (item.largest, None)
        low_more = max(0.0, total_per_training * (low - item.largest))
        ends = f"at least {low_more:.0f}" if high is None else (
            f"{low_more:.0f}–{total_per_training * (high - item.largest):.0f}"
        )  # fmt: skip
        return f"{now} of {target}; about {more:.0f} more recordings needed [{ends}]"
    limit = f"{item.limit[0]:.0%}–{item.limit[1]:.0%}"
    at_least = f", at least {total_per_training * (item.needed_interval[0] - item.largest):.0f} more recordings" if (
        item.needed_interval and item.needed_interval[0] > item.largest
    ) else ""  # fmt: skip
    if item.outcome == Outcome.LEVELS_OFF:
        return f"{now} of {target}; levels off below the target, at {item.law.limit:.0%} [{limit}]{at_least}"
    return (
        f"{now} of {target}; still rising, the target is beyond {MAX_FACTOR} times these recordings or has no estimate"
        f"{at_least}"
    )
