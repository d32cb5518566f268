"""Probabilities that mean what they say: a temperature from validation recordings, and how well it did."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from scipy.optimize import minimize_scalar

from birdnet_nl.evaluation.metrics import Predictions
from birdnet_nl.evaluation.pooling import POOLINGS, SMALLEST, pool_segments

BINS = 15
MIN_RECORDINGS = 10  # of validation; with fewer nothing is fitted
TEMPERATURES = (0.1, 10.0)
OWN = "network"  # the pooling of a network that decides on whole recordings
SPREAD_OF_SPECIES = 0.5  # of the logarithm of temperatures, as believed before any recording is seen
TIE = 0.01  # a difference in log loss that does not decide on the pooling


@dataclass(frozen=True)
class Calibration:
    """How segments become the answer of a recording: logits / temperature, softmax, then `pooling` over segments.

    With the pooling `network` the network itself has decided on whole recordings, and only the temperature is left.

    Attributes:
        temperature: of all species but those in `of_species`, which have one of their own, by slug.
        fitted_on: validation recordings.
    """

    temperature: float
    pooling: str
    fitted_on: int
    of_species: Mapping[str, float] = field(default_factory=dict)

    def temperature_of(self, species: str) -> float:
        return self.of_species.get(species, self.temperature)

    def segments(self, predictions: Predictions) -> torch.Tensor:
        """Probabilities of the segments, [segments, types]."""
        return soften(predictions.probabilities, self._temperatures(predictions)[predictions.recordings])

    def answers(self, predictions: Predictions) -> torch.Tensor:
        """Probabilities of the recordings, [recordings, types]."""
        if predictions.whole is not None:
            return soften(predictions.whole, self._temperatures(predictions))
        segments = self.segments(predictions)
        return pool_segments(segments, predictions.recordings, self.pooling, predictions.activity)

    def _temperatures(self, predictions: Predictions) -> torch.Tensor:
        """That of each recording [recordings, 1]."""
        species = predictions.species or [""] * len(predictions.recording_ids)
        return torch.tensor([self.temperature_of(slug) for slug in species]).unsqueeze(1)


def soften(probabilities: torch.Tensor, temperature: float | torch.Tensor) -> torch.Tensor:
    """Softmax of the logits divided by `temperature`: above 1 less certain, below 1 more; [items, types]."""
    return (probabilities.clamp(min=SMALLEST).log() / temperature).softmax(dim=1)


def calibrate(validation: Predictions) -> Calibration:
    """Temperature and pooling with the smallest log loss over the validation recordings; a tie goes to the mean.

    A weak belief in temperature 1, worth one recording, keeps a few recordings that are all answered rightly from
    asking for certainty. Of several species those with enough recordings get a temperature of their own.
    """
    truth = validation.types_of_recordings
    poolings = possible_poolings(validation)
    if len(truth) < MIN_RECORDINGS:
        return Calibration(1.0, poolings[0], 0)

    def loss_at(log_temperature: float, pooling: str) -> float:
        pooled = Calibration(math.exp(log_temperature), pooling, len(truth)).answers(validation)
        return log_loss(pooled.numpy(), truth.numpy()) + log_temperature**2 / (2 * len(truth))

    bounds = tuple(math.log(limit) for limit in TEMPERATURES)
    fits = {name: minimize_scalar(loss_at, bounds=bounds, args=(name,), method="bounded") for name in poolings}
    pooling = min(poolings, key=lambda name: fits[name].fun + (0 if name == poolings[0] else TIE))
    calibration = Calibration(round(math.exp(fits[pooling].x), 4), pooling, len(truth))
    return replace(calibration, of_species=_calibrate_species(validation, calibration))


def possible_poolings(predictions: Predictions) -> tuple[str, ...]:
    """Those to choose from; the first is taken where nothing decides."""
    if predictions.whole is not None:
        return (OWN,)
    return tuple(name for name in POOLINGS if name != "activity" or predictions.activity is not None)


def _calibrate_species(validation: Predictions, of_all: Calibration) -> dict[str, float]:
    """Temperatures by species, each drawn to that of all: the fewer recordings, the less it may differ."""
    species, truth = np.array(validation.species), validation.types_of_recordings.numpy()
    log_of_all, found = math.log(of_all.temperature), {}
    for slug in np.unique(species) if len(set(validation.species)) > 1 else ():
        own = species == slug
        if own.sum() < MIN_RECORDINGS:
            continue

        def loss_at(log_temperature: float, own: np.ndarray = own) -> float:
            answers = replace(of_all, temperature=math.exp(log_temperature)).answers(validation).numpy()[own]
            held = ((log_temperature - log_of_all) / SPREAD_OF_SPECIES) ** 2 / 2
            return log_loss(answers, truth[own]) + held / own.sum()

        fit = minimize_scalar(loss_at, bounds=tuple(math.log(limit) for limit in TEMPERATURES), method="bounded")
        found[str(slug)] = round(math.exp(fit.x), 4)
    return found


def log_loss(probabilities: np.ndarray, truth: np.ndarray) -> float:
    """Mean of -log of the probability given to the true type."""
    return float(-np.log(probabilities[np.arange(len(truth)), truth].clip(min=SMALLEST)).mean())


def brier(probabilities: np.ndarray, truth: np.ndarray) -> float:
    """Mean squared distance from the truth, summed over types: 0 is perfect, 2 surely wrong."""
    return float(((probabilities - np.eye(probabilities.shape[1])[truth]) ** 2).sum(axis=1).mean())


def reliability_bins(probabilities: np.ndarray, truth: np.ndarray, bins: int = BINS) -> list[dict[str, float]]:
    """Mean confidence and accuracy of answers in `bins` of equal mass, from the least to the most certain."""
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    order = confidence.argsort(kind="stable")
    parts = np.array_split(order, min(bins, len(order)))
    return [
        {"confidence": float(confidence[part].mean()), "accuracy": float(right[part].mean()), "count": len(part)}
        for part in parts
    ]


def calibration_figures(probabilities: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """ECE over 15 bins of equal mass, Brier score and log loss of answers [recordings, types]."""
    bins = reliability_bins(probabilities, truth)
    gaps = sum(part["count"] * abs(part["confidence"] - part["accuracy"]) for part in bins)
    return {"ece": gaps / len(truth), "brier": brier(probabilities, truth), "log_loss": log_loss(probabilities, truth)}


def ece_by_chance(probabilities: np.ndarray, draws: int = 500, seed: int = 0) -> float:
    """ECE to expect of so many recordings if every confidence were right: bins of two or three are never even."""
    confidence = np.sort(probabilities.max(axis=1))
    right = np.random.default_rng(seed).random((draws, len(confidence))) < confidence  # [draws, recordings]
    parts = np.array_split(np.arange(len(confidence)), min(BINS, len(confidence)))
    gaps = [abs((right[:, part] - confidence[part]).sum(axis=1)) for part in parts]
    return float(np.sum(gaps, axis=0).mean() / len(confidence))
