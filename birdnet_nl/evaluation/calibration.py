"""Calibration on validation recordings: temperature, pooling of segments, and the threshold of certain predictions."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from scipy.optimize import OptimizeResult, minimize_scalar

from birdnet_nl.evaluation.metrics import Predictions
from birdnet_nl.evaluation.pooling import MIN_PROBABILITY, POOLINGS, pool_segments

BINS = 15
MIN_RECORDINGS = 10  # of validation; with fewer, nothing is fitted
LOG_TEMPERATURES = (math.log(0.1), math.log(10.0))  # range of the fit
NETWORK_POOLING = "network"  # of a network that predicts whole recordings
SPECIES_PRIOR_STD = 0.5  # of the logarithm of a species' temperature around that of all species
MIN_LOSS_DIFFERENCE = 0.01  # in log loss; a smaller one does not decide on the pooling
MIN_CERTAIN = 10  # validation recordings above a threshold; the accuracy of fewer is not reliable
CERTAIN_SHARE = 0.25  # of the validation recordings, offered where no threshold reaches the wanted accuracy
MAX_POINTS = 50  # of a coverage curve


@dataclass(frozen=True)
class Calibration:
    """Conversion of segments to predictions: softmax of logits / temperature, then `pooling` over the segments.

    With the pooling `network` the network predicts whole recordings, and only the temperature applies.

    Attributes:
        temperature: temperature of all species that are not in `of_species`.
        fitted_on: number of validation recordings.
        of_species: temperatures by slug.
    """

    temperature: float
    pooling: str
    fitted_on: int
    of_species: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for temperature in (self.temperature, *self.of_species.values()):
            if not (math.isfinite(temperature) and temperature > 0):
                raise ValueError(f"the temperature {temperature} of a calibration must be a number above 0")

    def temperature_of(self, species: str) -> float:
        return self.of_species.get(species, self.temperature)

    def segment_probabilities(self, predictions: Predictions) -> torch.Tensor:
        """Calibrate the segments, [segments, types]."""
        return soften(predictions.probabilities, self._temperatures(predictions)[predictions.recordings])

    def recording_probabilities(self, predictions: Predictions) -> torch.Tensor:
        """Calibrate and pool to recordings, [recordings, types]."""
        if predictions.whole is not None:
            return soften(predictions.whole, self._temperatures(predictions))
        segments = self.segment_probabilities(predictions)
        return pool_segments(segments, predictions.recordings, self.pooling, predictions.activity)

    def _temperatures(self, predictions: Predictions) -> torch.Tensor:
        """Temperature of each recording, [recordings, 1]."""
        species = predictions.species or [""] * len(predictions.recording_ids)
        return torch.tensor([self.temperature_of(slug) for slug in species]).unsqueeze(1)


def soften(probabilities: torch.Tensor, temperature: float | torch.Tensor) -> torch.Tensor:
    """Divide the logits by `temperature` (above 1: less confident) and apply softmax; [items, types]."""
    return (probabilities.clamp(min=MIN_PROBABILITY).log() / temperature).softmax(dim=1)


def calibrate(validation: Predictions) -> Calibration:
    """Fit temperature and pooling by log loss over the validation recordings; `mean` is preferred in a near tie.

    A weak prior at temperature 1, worth one recording, prevents certainty after a few correct predictions. With several
    species, those with enough recordings get a temperature of their own.
    """
    truth = validation.types_of_recordings
    poolings = _possible_poolings(validation)
    if len(truth) < MIN_RECORDINGS:
        return Calibration(1.0, poolings[0], 0)

    def loss_at(log_temperature: float, pooling: str) -> float:
        calibration = Calibration(math.exp(log_temperature), pooling, len(truth))
        pooled = calibration.recording_probabilities(validation)
        return log_loss(pooled.numpy(), truth.numpy()) + log_temperature**2 / (2 * len(truth))

    fits = {name: _minimize(loss_at, name) for name in poolings}
    pooling = min(poolings, key=lambda name: fits[name].fun + (0 if name == poolings[0] else MIN_LOSS_DIFFERENCE))
    calibration = Calibration(round(math.exp(fits[pooling].x), 4), pooling, len(truth))
    return replace(calibration, of_species=_calibrate_species(validation, calibration))


def _minimize(loss_at: Callable[..., float], *arguments: object) -> OptimizeResult:
    return minimize_scalar(loss_at, bounds=LOG_TEMPERATURES, args=arguments, method="bounded")


def _possible_poolings(predictions: Predictions) -> tuple[str, ...]:
    """List the poolings to choose from, the default first."""
    if predictions.whole is not None:
        return (NETWORK_POOLING,)
    return tuple(name for name in POOLINGS if name != "activity" or predictions.activity is not None)


def _calibrate_species(validation: Predictions, of_all: Calibration) -> dict[str, float]:
    """Fit a temperature for each species, shrunk towards that of all: the more, the fewer recordings it has."""
    species, truth = np.array(validation.species), validation.types_of_recordings.numpy()
    log_of_all, temperatures = math.log(of_all.temperature), {}
    for slug in np.unique(species) if len(set(validation.species)) > 1 else ():
        own = species == slug
        if own.sum() < MIN_RECORDINGS:
            continue

        def loss_at(log_temperature: float, own: np.ndarray = own) -> float:
            calibration = replace(of_all, temperature=math.exp(log_temperature))
            probabilities = calibration.recording_probabilities(validation).numpy()[own]
            penalty = ((log_temperature - log_of_all) / SPECIES_PRIOR_STD) ** 2 / 2
            return log_loss(probabilities, truth[own]) + penalty / own.sum()

        temperatures[str(slug)] = round(math.exp(_minimize(loss_at).x), 4)
    return temperatures


def log_loss(probabilities: np.ndarray, truth: np.ndarray) -> float:
    """Compute the mean negative logarithm of the probability of the true type."""
    return float(-np.log(probabilities[np.arange(len(truth)), truth].clip(min=MIN_PROBABILITY)).mean())


def brier(probabilities: np.ndarray, truth: np.ndarray) -> float:
    """Compute the Brier score summed over types: 0 is perfect, 2 certain and wrong."""
    return float(((probabilities - np.eye(probabilities.shape[1])[truth]) ** 2).sum(axis=1).mean())


def reliability_bins(probabilities: np.ndarray, truth: np.ndarray, bins: int = BINS) -> list[dict[str, float]]:
    """Compute mean confidence and accuracy in `bins` of equal mass, in order of rising confidence."""
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    order = confidence.argsort(kind="stable")
    parts = np.array_split(order, min(bins, len(order)))
    return [
        {"confidence": float(confidence[part].mean()), "accuracy": float(correct[part].mean()), "count": len(part)}
        for part in parts
    ]


def calibration_metrics(probabilities: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Compute ECE over 15 bins of equal mass, Brier score and log loss: [recordings, types], [recordings]."""
    bins = reliability_bins(probabilities, truth)
    gaps = sum(part["count"] * abs(part["confidence"] - part["accuracy"]) for part in bins)
    return {"ece": gaps / len(truth), "brier": brier(probabilities, truth), "log_loss": log_loss(probabilities, truth)}


def ece_by_chance(probabilities: np.ndarray, draws: int = 500, seed: int = 0) -> float:
    """Compute the expected ECE of perfectly calibrated probabilities, which is above 0 with few recordings per bin."""
    confidence = np.sort(probabilities.max(axis=1))
    correct = np.random.default_rng(seed).random((draws, len(confidence))) < confidence  # [draws, recordings]
    parts = np.array_split(np.arange(len(confidence)), min(BINS, len(confidence)))
    gaps = [abs((correct[:, part] - confidence[part]).sum(axis=1)) for part in parts]
    return float(np.sum(gaps, axis=0).mean() / len(confidence))


def check_target_accuracy(target: object) -> None:
    """Raise `ValueError` for an `evaluation.target_accuracy` that is not a share above 0."""
    if isinstance(target, bool) or not isinstance(target, int | float) or not 0 < target <= 1:
        raise ValueError(f"evaluation.target_accuracy={target} must be a share above 0 and at most 1, such as 0.8")


@dataclass(frozen=True)
class Threshold:
    """Threshold of certain predictions, and what it gave on the recordings that it was chosen on.

    Attributes:
        value: smallest probability of the predicted type that is certain.
        recordings: number of recordings it was chosen on; 0 where these were too few.
        certain_share, accuracy: share of these recordings at or above it, and the accuracy of their predictions; None
            where these were too few.
        reached: whether that is the wanted accuracy.
        curve: accuracy by coverage on these recordings, as of `coverage_curve`.
    """

    value: float
    recordings: int
    certain_share: float | None
    accuracy: float | None
    reached: bool
    curve: list[dict[str, float]] = field(default_factory=list)


def choose_threshold(probabilities: np.ndarray, truth: np.ndarray, target_accuracy: float) -> Threshold:
    """Choose the smallest threshold above which predictions reach the accuracy: [recordings, types], [recordings].

    It is 0 when all predictions together reach it. When no threshold that leaves ten predictions does, the most certain
    quarter is offered. With fewer than ten recordings it is the accuracy itself, as if the probabilities were true.
    """
    if len(truth) < MIN_CERTAIN:
        return Threshold(target_accuracy, 0, None, None, False)
    confidence, accuracy, ends = _by_confidence(probabilities, truth)
    sufficient = [end for end in ends if end + 1 >= MIN_CERTAIN and accuracy[end] >= target_accuracy]
    least = max(MIN_CERTAIN, math.ceil(CERTAIN_SHARE * len(truth)))
    last = int(sufficient[-1] if sufficient else next(end for end in ends if end + 1 >= least))
    value = 0.0 if last == len(truth) - 1 else float((confidence[last] + confidence[last + 1]) / 2)
    share, curve = (last + 1) / len(truth), coverage_curve(probabilities, truth)
    return Threshold(value, len(truth), share, float(accuracy[last]), bool(sufficient), curve)


def is_certain(probabilities: np.ndarray, threshold: float | None) -> np.ndarray:
    """Return the mask of predictions at or above the threshold, bool [recordings]; none without a threshold."""
    if threshold is None:
        return np.zeros(len(probabilities), dtype=bool)
    return probabilities.max(axis=1) >= threshold


def coverage_curve(probabilities: np.ndarray, truth: np.ndarray) -> list[dict[str, float]]:
    """Compute the accuracy of the most confident share of the recordings, from all down to the most confident one."""
    _, accuracy, ends = _by_confidence(probabilities, truth)
    chosen = ends[np.unique(np.linspace(0, len(ends) - 1, MAX_POINTS).round().astype(int))]
    return [
        {"coverage": float((end + 1) / len(accuracy)), "accuracy": float(accuracy[end])} for end in reversed(chosen)
    ]


def selective_metrics(probabilities: np.ndarray, truth: np.ndarray, threshold: float | None) -> dict[str, float | None]:
    """Compute the share of certain predictions and their accuracy (None when there are none)."""
    certain = is_certain(probabilities, threshold)
    correct = probabilities.argmax(axis=1) == truth
    return {
        "certain_share": float(certain.mean()),
        "accuracy_certain": float(correct[certain].mean()) if certain.any() else None,
    }


def _by_confidence(probabilities: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sort by falling confidence.

    Returns the confidence, the accuracy of all predictions up to each one, and the last index of each group of ties.
    """
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    order = (-confidence).argsort(kind="stable")
    confidence = confidence[order]
    accuracy = correct[order].cumsum() / np.arange(1, len(order) + 1)
    return confidence, accuracy, np.flatnonzero(np.append(np.diff(confidence) < 0, True))
