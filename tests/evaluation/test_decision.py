"""When the answer is "onzeker": thresholds and coverage by hand."""

import numpy as np
import pytest

from birdnet_nl.evaluation.decision import answered, check_accuracy, choose_threshold, coverage_curve, is_certain


def answers(confidence: list[float], right: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Two types, the first always answered; the truth makes it right or wrong."""
    top = np.array(confidence)
    return np.stack([top, 1 - top], axis=1), 1 - np.array(right)


SURE = [0.99, 0.98, 0.97, 0.96, 0.95, 0.94, 0.93, 0.92, 0.91, 0.90]
MIXED = answers([*SURE, 0.8, 0.7, 0.6, 0.55], [1] * 10 + [0, 1, 0, 0])


@pytest.mark.parametrize(("wanted", "threshold"), [(0.7, 0.0), (0.8, 0.575), (0.9, 0.65), (0.92, 0.85), (1.0, 0.85)])
def test_the_smallest_threshold_that_reaches_the_wanted_accuracy(wanted, threshold):
    # right of all 14: 11 (0.79); of the first 13: 11 (0.85); 12: 11 (0.917); 11: 10 (0.909); 10: 10
    assert choose_threshold(*MIXED, wanted) == pytest.approx(threshold)


def test_nothing_is_certain_where_no_threshold_will_do():
    probabilities, truth = answers([*SURE, 0.6], [1, 0] * 5 + [0])
    assert choose_threshold(probabilities, truth, 0.8) is None
    assert not is_certain(probabilities, None).any()
    assert answered(probabilities, truth, None) == {"answered": 0.0, "accuracy_answered": None}


def test_a_handful_of_right_answers_is_no_ground_for_a_threshold():
    assert choose_threshold(*answers(SURE[:9], [1] * 9), 0.8) is None
    assert choose_threshold(*answers(SURE, [1] * 10), 0.8) == 0.0


def test_ties_are_answered_together_or_not_at_all():
    probabilities, truth = answers([0.9] * 12 + [0.6] * 4, [1] * 12 + [1, 0, 0, 0])
    assert choose_threshold(probabilities, truth, 0.9) == pytest.approx(0.75)
    assert [point["coverage"] for point in coverage_curve(probabilities, truth)] == [1.0, 0.75]


def test_what_is_answered_and_how_well():
    found = answered(*MIXED, 0.65)
    assert found == {"answered": pytest.approx(12 / 14), "accuracy_answered": pytest.approx(11 / 12)}


def test_the_curve_runs_from_everything_to_the_surest():
    curve = coverage_curve(*MIXED)
    assert len(curve) == 14
    assert curve[0] == {"coverage": 1.0, "accuracy": pytest.approx(11 / 14)}
    assert curve[-1] == {"coverage": pytest.approx(1 / 14), "accuracy": 1.0}
    rng = np.random.default_rng(1)
    many = coverage_curve(rng.dirichlet(np.ones(3), 1000), rng.integers(0, 3, 1000))
    assert len(many) <= 50 and many[0]["coverage"] == 1.0


@pytest.mark.parametrize("wanted", [0, 80, -0.5, "high", True, None])
def test_a_wanted_accuracy_that_is_no_share_is_refused(wanted):
    with pytest.raises(ValueError, match="must be a share above 0 and at most 1"):
        check_accuracy(wanted)
