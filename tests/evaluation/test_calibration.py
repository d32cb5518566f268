"""The fitted temperature is the true one, and the figures equal scikit-learn's and arithmetic by hand."""

from dataclasses import replace

import numpy as np
import pytest
import sklearn.metrics
import torch

from birdnet_nl.evaluation.calibration import (
    Calibration,
    brier,
    calibrate,
    calibration_figures,
    ece_by_chance,
    log_loss,
    reliability_bins,
    soften,
)
from birdnet_nl.evaluation.metrics import Predictions


def honest(recordings: int, seed: int, segments: int = 1, scale: float = 1.5) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits [recordings × segments, 3], and true types drawn with just the probabilities that these mean."""
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
def test_the_temperature_that_spoilt_the_probabilities_is_found(true_temperature, segments):
    logits, truth = honest(3000, 1, segments)
    found = calibrate(as_predictions(logits * true_temperature, truth, segments))
    assert found.temperature == pytest.approx(true_temperature, rel=0.1)
    assert (found.pooling, found.fitted_on) == ("mean", 3000)


def test_calibration_never_changes_the_order_of_types_in_a_segment():
    probabilities = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.45, 0.45]])
    for temperature in (0.3, 2.0):
        softened = soften(probabilities, temperature)
        torch.testing.assert_close(softened.sum(dim=1), torch.ones(2))
        assert (softened.argsort(dim=1, stable=True) == probabilities.argsort(dim=1, stable=True)).all()
    torch.testing.assert_close(soften(probabilities, 1.0), probabilities)


def test_with_few_recordings_nothing_is_fitted():
    logits, truth = honest(9, 2)
    assert calibrate(as_predictions(logits * 5, truth)) == Calibration(1.0, "mean", 0)


def test_a_dozen_right_answers_do_not_ask_for_certainty():
    truth = torch.arange(12) % 3
    logits = torch.nn.functional.one_hot(truth, 3).float() * 2
    assert 0.2 < calibrate(as_predictions(logits, truth)).temperature < 0.8


def test_silent_segments_make_log_mean_exp_the_better_pooling():
    """One segment of eight holds the bird; the others say nothing."""
    generator = torch.Generator().manual_seed(3)
    truth = torch.randint(0, 3, (120,), generator=generator)
    logits = 0.3 * torch.randn(120, 8, 3, generator=generator)
    logits[:, 0] += 4 * torch.nn.functional.one_hot(truth, 3)
    assert calibrate(as_predictions(logits.flatten(0, 1), truth, 8)).pooling == "log_mean_exp"


def test_noise_between_the_calls_makes_activity_the_better_pooling():
    """Where nothing is heard the network guesses, as surely as anywhere."""
    generator = torch.Generator().manual_seed(4)
    truth = torch.randint(0, 3, (200,), generator=generator)
    logits = torch.randn(200, 6, 3, generator=generator) * 2
    logits[:, 0] += 3 * torch.nn.functional.one_hot(truth, 3)
    predictions = as_predictions(logits.flatten(0, 1), truth, 6)
    assert calibrate(predictions).pooling != "activity"  # of which nothing is known
    heard = torch.tensor([8.0, 0, 0, 0, 0, 0]).repeat(200)
    assert calibrate(replace(predictions, activity=heard)).pooling == "activity"


@pytest.mark.parametrize("types", [2, 3])
def test_log_loss_and_brier_are_scikit_learns(types):
    rng = np.random.default_rng(4)
    probabilities = rng.dirichlet(np.ones(types), 200)
    truth = rng.integers(0, types, 200)
    assert log_loss(probabilities, truth) == pytest.approx(
        sklearn.metrics.log_loss(truth, probabilities, labels=range(types))
    )
    of_each = [sklearn.metrics.brier_score_loss(truth == kind, probabilities[:, kind]) for kind in range(types)]
    assert brier(probabilities, truth) == pytest.approx(sum(of_each))


def test_ece_by_hand():
    # two bins: confidence 0.6, 0.7 (one right) and 0.9, 1.0 (both right)
    probabilities = np.array([[0.6, 0.4], [0.3, 0.7], [0.9, 0.1], [0.0, 1.0]])
    truth = np.array([0, 0, 0, 1])
    assert reliability_bins(probabilities, truth, bins=2) == [
        {"confidence": pytest.approx(0.65), "accuracy": 0.5, "count": 2},
        {"confidence": pytest.approx(0.95), "accuracy": 1.0, "count": 2},
    ]
    # with fifteen bins each recording is its own: (0.4 + 0.7 + 0.1 + 0) / 4
    assert calibration_figures(probabilities, truth)["ece"] == pytest.approx(0.3)


def test_bins_hold_equal_numbers():
    probabilities, truth = honest(100, 5)
    counts = [part["count"] for part in reliability_bins(probabilities.softmax(dim=1).numpy(), truth.numpy())]
    assert len(counts) == 15 and sum(counts) == 100 and max(counts) - min(counts) <= 1


def test_the_ece_to_expect_by_chance_is_that_of_honest_probabilities():
    found, expected = [], []
    for seed in range(60):
        logits, truth = honest(45, 10 + seed)
        probabilities = logits.softmax(dim=1).numpy()
        found.append(calibration_figures(probabilities, truth.numpy())["ece"])
        expected.append(ece_by_chance(probabilities, draws=200))
    assert np.mean(found) == pytest.approx(np.mean(expected), abs=0.02)
    assert np.mean(expected) > 0.1  # forty-five recordings cannot show a small ECE


def of_two_species(counts: tuple[int, int], temperatures: tuple[float, float]) -> Predictions:
    """Recordings of merel and vink, whose logits are too sharp by these factors."""
    parts = [honest(count, seed + 10) for seed, count in enumerate(counts)]
    logits = torch.cat([logits * factor for (logits, _), factor in zip(parts, temperatures, strict=True)])
    truth = torch.cat([truth for _, truth in parts])
    species = ["merel"] * counts[0] + ["vink"] * counts[1]
    return replace(as_predictions(logits, truth), species=species)


def test_each_of_two_large_species_gets_its_own_temperature():
    found = calibrate(of_two_species((2000, 2000), (0.6, 2.5)))
    assert found.of_species["merel"] == pytest.approx(0.6, rel=0.1)
    assert found.of_species["vink"] == pytest.approx(2.5, rel=0.1)
    assert 0.6 < found.temperature < 2.5


def test_the_fewer_recordings_the_closer_a_species_stays_to_all():
    many, many_truth = honest(20_000, 7)
    few, few_truth = honest(40, 8)
    own = []
    for copies in (1, 5, 25):  # the same vinken again and again: what they ask for stays the same
        logits = torch.cat([many, few.repeat(copies, 1) * 3])
        truth = torch.cat([many_truth, few_truth.repeat(copies)])
        species = ["merel"] * len(many) + ["vink"] * (40 * copies)
        found = calibrate(replace(as_predictions(logits, truth), species=species))
        own.append(found.of_species["vink"])
        assert found.temperature == pytest.approx(1, abs=0.1)
    assert 1.2 < own[0] < own[1] < own[2]


def test_a_species_with_too_few_recordings_has_the_temperature_of_all():
    found = calibrate(of_two_species((500, 9), (1.0, 3.0)))
    assert set(found.of_species) == {"merel"}
    assert found.temperature_of("vink") == found.temperature


def test_a_single_species_has_one_temperature():
    logits, truth = honest(200, 5)
    assert calibrate(replace(as_predictions(logits, truth), species=["merel"] * 200)).of_species == {}


def test_a_recording_is_answered_at_the_temperature_of_its_species():
    predictions = of_two_species((3, 2), (1.0, 1.0))
    calibration = Calibration(2.0, "mean", 0, {"vink": 0.5})
    answers = calibration.answers(predictions)
    torch.testing.assert_close(answers[:3], soften(predictions.probabilities[:3], 2.0))
    torch.testing.assert_close(answers[3:], soften(predictions.probabilities[3:], 0.5))


def test_what_a_network_answered_to_whole_recordings_is_only_softened():
    logits, truth = honest(300, 6)
    segments = as_predictions(torch.zeros(600, 3), truth, 2)
    whole = replace(segments, whole=(logits * 2).softmax(dim=1))
    found = calibrate(whole)
    assert found.pooling == "network" and found.temperature == pytest.approx(2, rel=0.25)
    torch.testing.assert_close(found.answers(whole), soften(whole.whole, found.temperature))
