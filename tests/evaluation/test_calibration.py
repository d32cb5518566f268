"""Calibration: fitted temperatures, metrics equal to scikit-learn's, and thresholds of certain predictions."""

from dataclasses import replace

import numpy as np
import pytest
import sklearn.metrics
import torch

from birdnet_nl.evaluation.calibration import (
    Calibration,
    brier,
    calibrate,
    calibration_metrics,
    check_target_accuracy,
    choose_threshold,
    coverage_curve,
    ece_by_chance,
    is_certain,
    log_loss,
    reliability_bins,
    selective_metrics,
    soften,
)
from birdnet_nl.evaluation.metrics import Predictions


def calibrated_logits(
    recordings: int, seed: int, segments: int = 1, scale: float = 1.5
) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits [recordings × segments, 3], and true types drawn from their softmax."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, scale, (recordings, 3))
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truth = np.array([rng.choice(3, p=share) for share in shares])
    return torch.tensor(np.repeat(logits, segments, axis=0), dtype=torch.float32), torch.tensor(truth)


def as_predictions(logits: torch.Tensor, truth: torch.Tensor, segments: int = 1) -> Predictions:
    index = torch.arange(len(truth)).repeat_interleave(segments)
    return Predictions(logits.softmax(dim=1), truth[index], index, [f"XC{number}" for number in range(len(truth))])


@pytest.mark.parametrize("true_temperature", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("segments", [1, 3])
def test_a_known_temperature_is_recovered(true_temperature, segments):
    logits, truth = calibrated_logits(3000, 1, segments)
    calibration = calibrate(as_predictions(logits * true_temperature, truth, segments))
    assert calibration.temperature == pytest.approx(true_temperature, rel=0.1)
    assert (calibration.pooling, calibration.fitted_on) == ("mean", 3000)


def test_softening_keeps_the_order_of_types():
    probabilities = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.45, 0.45]])
    for temperature in (0.3, 2.0):
        softened = soften(probabilities, temperature)
        torch.testing.assert_close(softened.sum(dim=1), torch.ones(2))
        assert (softened.argsort(dim=1, stable=True) == probabilities.argsort(dim=1, stable=True)).all()
    torch.testing.assert_close(soften(probabilities, 1.0), probabilities)


def test_nothing_is_fitted_with_few_recordings():
    logits, truth = calibrated_logits(9, 2)
    assert calibrate(as_predictions(logits * 5, truth)) == Calibration(1.0, "mean", 0)


def test_a_dozen_correct_predictions_do_not_give_certainty():
    truth = torch.arange(12) % 3
    logits = torch.nn.functional.one_hot(truth, 3).float() * 2
    assert 0.2 < calibrate(as_predictions(logits, truth)).temperature < 0.8


def test_log_mean_exp_is_chosen_with_silent_segments():
    generator = torch.Generator().manual_seed(3)
    truth = torch.randint(0, 3, (120,), generator=generator)
    logits = 0.3 * torch.randn(120, 8, 3, generator=generator)
    logits[:, 0] += 4 * torch.nn.functional.one_hot(truth, 3)
    assert calibrate(as_predictions(logits.flatten(0, 1), truth, 8)).pooling == "log_mean_exp"


def test_activity_is_chosen_with_confident_errors_in_noise():
    generator = torch.Generator().manual_seed(4)
    truth = torch.randint(0, 3, (200,), generator=generator)
    logits = torch.randn(200, 6, 3, generator=generator) * 2
    logits[:, 0] += 3 * torch.nn.functional.one_hot(truth, 3)
    predictions = as_predictions(logits.flatten(0, 1), truth, 6)
    assert calibrate(predictions).pooling != "activity"  # which is unknown here
    activity = torch.tensor([8.0, 0, 0, 0, 0, 0]).repeat(200)
    assert calibrate(replace(predictions, activity=activity)).pooling == "activity"


@pytest.mark.parametrize("types", [2, 3])
def test_log_loss_and_brier_equal_scikit_learns(types):
    rng = np.random.default_rng(4)
    probabilities = rng.dirichlet(np.ones(types), 200)
    truth = rng.integers(0, types, 200)
    assert log_loss(probabilities, truth) == pytest.approx(
        sklearn.metrics.log_loss(truth, probabilities, labels=range(types))
    )
    per_type = [sklearn.metrics.brier_score_loss(truth == kind, probabilities[:, kind]) for kind in range(types)]
    assert brier(probabilities, truth) == pytest.approx(sum(per_type))


def test_ece_equals_arithmetic_by_hand():
    # two bins: confidence 0.6, 0.7 (one right) and 0.9, 1.0 (both right)
    probabilities = np.array([[0.6, 0.4], [0.3, 0.7], [0.9, 0.1], [0.0, 1.0]])
    truth = np.array([0, 0, 0, 1])
    assert reliability_bins(probabilities, truth, bins=2) == [
        {"confidence": pytest.approx(0.65), "accuracy": 0.5, "count": 2},
        {"confidence": pytest.approx(0.95), "accuracy": 1.0, "count": 2},
    ]
    counts = [part["count"] for part in reliability_bins(np.random.default_rng(5).random((100, 2)), np.zeros(100))]
    assert len(counts) == 15 and sum(counts) == 100 and max(counts) - min(counts) <= 1
    # with fifteen bins each recording has its own: (0.4 + 0.7 + 0.1 + 0) / 4
    assert calibration_metrics(probabilities, truth)["ece"] == pytest.approx(0.3)


def test_ece_by_chance_is_the_mean_ece_of_calibrated_probabilities():
    actual, expected = [], []
    for seed in range(30):
        logits, truth = calibrated_logits(45, 10 + seed)
        probabilities = logits.softmax(dim=1).numpy()
        actual.append(calibration_metrics(probabilities, truth.numpy())["ece"])
        expected.append(ece_by_chance(probabilities, draws=200))
    assert np.mean(actual) == pytest.approx(np.mean(expected), abs=0.03)
    assert np.mean(expected) > 0.1  # 45 recordings cannot have a small ECE


def of_two_species(counts: tuple[int, int], temperatures: tuple[float, float]) -> Predictions:
    """Recordings of merel and vink, with logits scaled by these factors."""
    parts = [calibrated_logits(count, seed + 10) for seed, count in enumerate(counts)]
    logits = torch.cat([logits * factor for (logits, _), factor in zip(parts, temperatures, strict=True)])
    truth = torch.cat([truth for _, truth in parts])
    species = ["merel"] * counts[0] + ["vink"] * counts[1]
    return replace(as_predictions(logits, truth), species=species)


def test_species_with_many_recordings_get_their_own_temperature():
    calibration = calibrate(of_two_species((2000, 2000), (0.6, 2.5)))
    assert calibration.of_species["merel"] == pytest.approx(0.6, rel=0.1)
    assert calibration.of_species["vink"] == pytest.approx(2.5, rel=0.1)
    assert 0.6 < calibration.temperature < 2.5


def test_a_species_temperature_shrinks_towards_all_with_few_recordings():
    many, many_truth = calibrated_logits(8_000, 7)
    few, few_truth = calibrated_logits(40, 8)
    own = []
    for copies in (1, 3, 9):  # copies, so that only the number changes
        logits = torch.cat([many, few.repeat(copies, 1) * 3])
        truth = torch.cat([many_truth, few_truth.repeat(copies)])
        species = ["merel"] * len(many) + ["vink"] * (40 * copies)
        calibration = calibrate(replace(as_predictions(logits, truth), species=species))
        own.append(calibration.of_species["vink"])
        assert calibration.temperature == pytest.approx(1, abs=0.1)
    assert 1.2 < own[0] < own[1] < own[2]


def test_a_species_with_too_few_recordings_has_the_temperature_of_all():
    both = of_two_species((500, 9), (1.0, 3.0))
    calibration = calibrate(both)
    assert set(calibration.of_species) == {"merel"}
    assert calibration.temperature_of("vink") == calibration.temperature
    assert calibrate(replace(both, species=["merel"] * 509)).of_species == {}  # a single species needs none of its own


def test_a_recording_is_calibrated_with_the_temperature_of_its_species():
    predictions = of_two_species((3, 2), (1.0, 1.0))
    calibration = Calibration(2.0, "mean", 0, {"vink": 0.5})
    probabilities = calibration.recording_probabilities(predictions)
    torch.testing.assert_close(probabilities[:3], soften(predictions.probabilities[:3], 2.0))
    torch.testing.assert_close(probabilities[3:], soften(predictions.probabilities[3:], 0.5))


def test_predictions_for_whole_recordings_are_only_softened():
    logits, truth = calibrated_logits(300, 6)
    segments = as_predictions(torch.zeros(600, 3), truth, 2)
    whole = replace(segments, whole=(logits * 2).softmax(dim=1))
    calibration = calibrate(whole)
    assert calibration.pooling == "network" and calibration.temperature == pytest.approx(2, rel=0.25)
    torch.testing.assert_close(calibration.recording_probabilities(whole), soften(whole.whole, calibration.temperature))


def binary_predictions(confidence: list[float], correct: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Two types, of which the first is always predicted, and the true types."""
    top = np.array(confidence)
    return np.stack([top, 1 - top], axis=1), 1 - np.array(correct)


CONFIDENT = [0.99, 0.98, 0.97, 0.96, 0.95, 0.94, 0.93, 0.92, 0.91, 0.90]
MIXED = binary_predictions([*CONFIDENT, 0.8, 0.7, 0.6, 0.55], [1] * 10 + [0, 1, 0, 0])


@pytest.mark.parametrize(("target", "threshold"), [(0.7, 0.0), (0.8, 0.575), (0.9, 0.65), (0.92, 0.85), (1.0, 0.85)])
def test_the_threshold_is_the_smallest_that_reaches_the_target_accuracy(target, threshold):
    # correct of all 14: 11 (0.79); of the first 13: 11 (0.85); 12: 11 (0.917); 11: 10 (0.909); 10: 10
    chosen = choose_threshold(*MIXED, target)
    assert chosen.value == pytest.approx(threshold) and chosen.reached and chosen.recordings == 14
    scores = selective_metrics(*MIXED, chosen.value)
    assert scores == {"certain_share": chosen.certain_share, "accuracy_certain": chosen.accuracy}
    assert chosen.curve == coverage_curve(*MIXED)


def test_the_most_certain_quarter_is_offered_when_no_threshold_suffices():
    probabilities, truth = binary_predictions(np.linspace(0.99, 0.51, 80), [1, 0] * 40)
    chosen = choose_threshold(probabilities, truth, 0.8)
    assert not chosen.reached and (chosen.certain_share, chosen.accuracy) == (0.25, 0.5)
    assert is_certain(probabilities, chosen.value).sum() == 20
    few = choose_threshold(*binary_predictions([*CONFIDENT, 0.6], [1, 0] * 5 + [0]), 0.8)
    assert few.certain_share == pytest.approx(10 / 11) and 0.6 < few.value < 0.9  # ten at least


def test_a_run_without_a_threshold_has_no_certain_prediction():
    probabilities, truth = binary_predictions([*CONFIDENT, 0.6], [1, 0] * 5 + [0])
    assert not is_certain(probabilities, None).any()
    assert selective_metrics(probabilities, truth, None) == {"certain_share": 0.0, "accuracy_certain": None}
    certain = {"certain_share": pytest.approx(12 / 14), "accuracy_certain": pytest.approx(11 / 12)}
    assert selective_metrics(*MIXED, 0.65) == certain


def test_a_threshold_needs_ten_predictions():
    too_few = choose_threshold(*binary_predictions(CONFIDENT[:9], [1] * 9), 0.8)
    assert (too_few.value, too_few.recordings, too_few.accuracy) == (0.8, 0, None)
    assert choose_threshold(*binary_predictions(CONFIDENT, [1] * 10), 0.8).value == 0.0


def test_a_threshold_does_not_separate_ties():
    probabilities, truth = binary_predictions([0.9] * 12 + [0.6] * 4, [1] * 12 + [1, 0, 0, 0])
    assert choose_threshold(probabilities, truth, 0.9).value == pytest.approx(0.75)
    assert [point["coverage"] for point in coverage_curve(probabilities, truth)] == [1.0, 0.75]


def test_the_coverage_curve_goes_from_all_to_the_most_confident():
    curve = coverage_curve(*MIXED)
    assert len(curve) == 14
    assert curve[0] == {"coverage": 1.0, "accuracy": pytest.approx(11 / 14)}
    assert curve[-1] == {"coverage": pytest.approx(1 / 14), "accuracy": 1.0}
    rng = np.random.default_rng(1)
    many = coverage_curve(rng.dirichlet(np.ones(3), 1000), rng.integers(0, 3, 1000))
    assert len(many) <= 50 and many[0]["coverage"] == 1.0


@pytest.mark.parametrize("target", [0, 80, -0.5, "high", True, None])
def test_an_invalid_target_accuracy_raises(target):
    with pytest.raises(ValueError, match="must be a share above 0 and at most 1"):
        check_target_accuracy(target)
