"""What a species still needs: rarest types first, by its learning curve or by its counts."""

import numpy as np
import pytest

from birdnet_nl.comparison.curve_points import METRICS, LearningCurve, Point
from birdnet_nl.comparison.download_needs import expectation, find_need, level
from birdnet_nl.comparison.learning_curve import PowerLaw, estimate

SIZES = (20, 40, 80, 140, 200)
TOTAL = {"song": 200, "call": 100, "alarm": 20}  # 320 in all, 1.6 for one in training


def curve_of(limit: float, gap: float, exponent: float, target: float = 0.75) -> LearningCurve:
    values = PowerLaw(limit, gap, exponent, 200.0)(np.array(SIZES))
    draws = values + np.random.default_rng(0).normal(0, 0.004, (25, 5))
    result = estimate(SIZES, values, draws, target)
    points = [
        Point(size / 200, size, 5, dict.fromkeys(METRICS, value), dict.fromkeys(METRICS, (value - 0.05, value + 0.05)))
        for size, value in zip(SIZES, map(float, values), strict=True)
    ]
    estimates = dict.fromkeys(METRICS, result)
    return LearningCurve("koolmees", "Koolmees", "turbo", False, tuple(TOTAL), TOTAL, tuple(points), estimates)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (0, {"song": 0, "call": 0, "alarm": 0}),
        (10, {"song": 0, "call": 0, "alarm": 10}),
        (80, {"song": 0, "call": 0, "alarm": 80}),
        (90, {"song": 0, "call": 5, "alarm": 85}),
        (283, {"song": 1, "call": 101, "alarm": 181}),
    ],
)
def test_the_rarest_types_grow_first(more, expected):
    assert level(TOTAL, more) == expected


def test_without_recordings_all_types_grow_alike():
    assert level({"song": 0, "call": 0, "alarm": 0}, 31) == {"song": 11, "call": 10, "alarm": 10}
    assert level({"song": 5}, 3) == {"song": 3}


def test_without_a_curve_each_type_is_filled_up_to_the_rule():
    need = find_need(TOTAL | {"call": 45}, None, recommended=50)
    assert need.fetch == {"alarm": 30, "call": 5} and list(need.fetch) == ["alarm", "call"]
    assert "no learning curve" in need.reason and "up to 50 recordings" in need.reason
    assert not find_need({"song": 50, "call": 60}, None, recommended=50).fetch


def test_a_limit_per_type_holds_and_is_reported():
    need = find_need({"song": 10, "call": 50, "alarm": 40}, None, recommended=50, per_type=30)
    assert need.fetch == {"song": 20} and "at most 30 of a type (--per-type)" in need.reason


def test_the_curve_gives_the_number():
    curve = curve_of(0.9, 0.16, 0.8)
    goal = curve.decisive.needed * 1.6
    need = find_need(TOTAL, curve, recommended=50)
    assert sum(need.fetch.values()) == pytest.approx(goal - 320, abs=1)
    assert next(iter(need.fetch)) == "alarm" and "more recordings needed" in need.reason
    assert expectation(curve, 320, sum(need.fetch.values())).startswith(
        "estimated balanced accuracy afterwards 75% ["
    )  # fmt: skip


def test_a_step_at_most_doubles_the_recordings():
    need = find_need(TOTAL, curve_of(0.95, 0.3, 0.4), recommended=50)
    assert sum(need.fetch.values()) == 320 and "first step of 320, then measure the curve again" in need.reason


def test_recordings_that_came_since_count():
    curve = curve_of(0.9, 0.16, 0.8)
    need = find_need({name: 4 * count for name, count in TOTAL.items()}, curve, recommended=50)
    assert not need.fetch and "measure the curve again" in need.reason


def test_a_usable_species_needs_nothing():
    need = find_need(TOTAL, curve_of(0.95, 0.1, 0.5), recommended=50)
    assert not need.fetch and need.reason.startswith("usable: 85%")
    assert expectation(curve_of(0.95, 0.1, 0.5), 320, 0) == ""


def test_a_flat_curve_fetches_by_the_rule_only():
    curve = curve_of(0.6, 0.0, 0.5)
    assert find_need(TOTAL, curve, recommended=50).fetch == {"alarm": 30}
    need = find_need({name: 100 for name in TOTAL}, curve, recommended=50)
    assert not need.fetch and "the curve gives no number, so none are fetched" in need.reason


def test_a_curve_that_still_rises_doubles_the_recordings():
    curve = curve_of(1.0, 0.45, 0.15)
    need = find_need(TOTAL, curve, recommended=50)
    assert sum(need.fetch.values()) == 320 and "still rising" in need.reason
