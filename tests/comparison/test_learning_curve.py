"""Learning curves: known power laws are recovered, and what cannot be estimated is said."""

import numpy as np
import pytest

from birdnet_nl.comparison.learning_curve import (
    MAX_FACTOR,
    MIN_SIZES,
    Outcome,
    PowerLaw,
    estimate,
    fit_power_law,
    sentence,
)

SIZES = np.array([20, 40, 80, 140, 200])


def law(limit: float, drop: float, exponent: float) -> PowerLaw:
    """The law that is `drop` below its limit at the largest size."""
    return PowerLaw(limit, drop, exponent, float(SIZES.max()))


def draws_of(values: np.ndarray, error: float, count: int = 60, seed: int = 0) -> np.ndarray:
    """Values of resampled test recordings: mostly the same error at all sizes, as with the same recordings."""
    rng = np.random.default_rng(seed)
    return values + rng.normal(0, error, (count, 1)) + rng.normal(0, error / 4, (count, len(values)))


@pytest.mark.parametrize(("limit", "drop", "exponent"), [(0.9, 0.1, 0.5), (0.8, 0.05, 1.0), (0.95, 0.3, 0.3)])
def test_a_known_power_law_is_recovered(limit, drop, exponent):
    truth = law(limit, drop, exponent)
    fitted = fit_power_law(SIZES, truth(SIZES))
    assert (fitted.limit, fitted.gap, fitted.exponent) == pytest.approx((limit, drop, exponent), rel=1e-3)
    assert fitted.recordings_for(limit - 0.02) == pytest.approx(truth.recordings_for(limit - 0.02), rel=0.02)
    assert fitted(fitted.recordings_for(limit - 0.02)) == pytest.approx(limit - 0.02)
    assert fitted.recordings_for(limit + 0.01) == np.inf


def test_the_number_needed_is_estimated_with_an_interval_that_holds_the_truth():
    truth = law(0.9, 0.2, 0.6)
    values = truth(SIZES)
    result = estimate(SIZES, values, draws_of(values, 0.01), target=0.75)
    needed = truth.recordings_for(0.75)
    assert result.outcome == Outcome.ESTIMATED
    assert result.needed == pytest.approx(needed, rel=0.02)
    low, high = result.needed_interval
    assert low < needed and (high is None or needed < high)
    assert "more recordings needed [" in sentence(result, total_per_training=1.6)
    value, low, high = result.at(needed)
    assert low < value < high and value == pytest.approx(0.75, abs=0.01)
    assert result.at(1) is None and result.at(2 * MAX_FACTOR * SIZES.max()) is None


def test_scatter_of_the_points_widens_the_interval():
    values = law(0.9, 0.2, 0.6)(SIZES)
    smooth = estimate(SIZES, values, draws_of(values, 0.01))
    rough_values = values + np.array([0.02, -0.02, 0.02, -0.02, 0.0])
    rough = estimate(SIZES, rough_values, draws_of(rough_values, 0.01))
    assert rough.limit[1] - rough.limit[0] > smooth.limit[1] - smooth.limit[0]


def test_a_target_that_is_reached_needs_no_more():
    values = law(0.9, 0.1, 0.5)(SIZES)
    result = estimate(SIZES, values, draws_of(values, 0.01), target=0.75)
    assert result.outcome == Outcome.USABLE and result.needed is None
    assert sentence(result, 1.6).startswith("usable: 80% with 200 training recordings")


def test_a_curve_that_does_not_rise_is_called_flat():
    values = np.array([0.55, 0.57, 0.54, 0.56, 0.55])
    result = estimate(SIZES, values, draws_of(values, 0.02))
    assert result.outcome == Outcome.FLAT and result.needed is None
    assert "flat: no clear rise" in sentence(result, 1.6)


def test_a_curve_that_falls_is_called_flat():
    values = np.array([0.70, 0.65, 0.62, 0.60, 0.58])
    assert estimate(SIZES, values, draws_of(values, 0.01)).outcome == Outcome.FLAT


def test_a_curve_that_levels_off_below_the_target_is_reported_with_its_limit():
    values = law(0.65, 0.02, 1.2)(SIZES)
    result = estimate(SIZES, values, draws_of(values, 0.005), target=0.75)
    assert result.outcome == Outcome.LEVELS_OFF and result.needed is None
    assert "levels off below the target, at 65%" in sentence(result, 1.6)


def test_a_target_far_beyond_the_recordings_has_no_number():
    values = law(1.0, 0.45, 0.15)(SIZES)  # reaches 0.75 at 50 times the recordings
    result = estimate(SIZES, values, draws_of(values, 0.002), target=0.75)
    assert result.outcome == Outcome.BEYOND and result.needed is None
    assert "still rising" in sentence(result, 1.6)


def test_without_a_target_the_curve_is_fitted_only():
    values = law(0.9, 0.1, 0.5)(SIZES)
    result = estimate(SIZES, values, draws_of(values, 0.01), target=None)
    assert result.outcome == Outcome.FITTED and result.law.limit == pytest.approx(0.9, abs=0.01)


@pytest.mark.parametrize(("value", "outcome"), [(0.6, Outcome.TOO_FEW_SIZES), (0.8, Outcome.USABLE)])
def test_three_sizes_are_too_few_for_a_curve(value, outcome):
    values = np.array([0.5, 0.55, value])
    result = estimate(SIZES[:3], values, draws_of(values, 0.01))
    assert result.outcome == outcome and result.law is None and result.at(100) is None
    assert f"at least {MIN_SIZES}" in sentence(result, 1.6) or outcome == Outcome.USABLE


def test_intervals_hold_the_truth_nearly_always():
    """With noise in the test recordings and in the trainings, of the size of a species with 200 test recordings."""
    truth, hits, trials = law(0.9, 0.2, 0.6), 0, 6
    for trial in range(trials):
        rng = np.random.default_rng(trial)
        values = truth(SIZES) + rng.normal(0, 0.02) + rng.normal(0, 0.008, len(SIZES))
        result = estimate(SIZES, values, draws_of(values, 0.02, count=40, seed=trial))
        low, high = result.needed_interval or (0.0, None)
        hits += low <= truth.recordings_for(0.75) <= (np.inf if high is None else high)
    assert hits >= trials - 1
