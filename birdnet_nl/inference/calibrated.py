"""Calibration and pooling of predictions in NumPy, as in `evaluation.calibration` and `evaluation.pooling`."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

MIN_PROBABILITY, MIN_ACTIVITY = 1e-7, 0.3  # as in evaluation.pooling
NETWORK_POOLING = "network"


def softmax(logits: np.ndarray) -> np.ndarray:
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def soften(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Divide the logits by `temperature` and apply softmax, [items, types]."""
    return softmax(np.log(np.maximum(probabilities, MIN_PROBABILITY)) / temperature)


@dataclass(frozen=True)
class ExportedCalibration:
    """See `evaluation.calibration.Calibration`."""

    temperature: float
    pooling: str
    of_species: Mapping[str, float] = field(default_factory=dict)

    def calibrate(self, probabilities: np.ndarray, species: str) -> np.ndarray:
        return soften(probabilities, self.of_species.get(species, self.temperature))

    def pool(self, probabilities: np.ndarray, activity: np.ndarray | None) -> np.ndarray:
        """Pool calibrated segments of one recording, [segments, types] -> [types]."""
        if self.pooling == "activity":
            weights = (activity + MIN_ACTIVITY)[:, None]
            return (probabilities * weights).sum(axis=0) / weights.sum()
        if self.pooling == "log_mean_exp":
            logits = np.log(np.maximum(probabilities, MIN_PROBABILITY))
            odds = np.exp(logits - logits.mean(axis=1, keepdims=True)).mean(axis=0)
            return odds / odds.sum()
        return probabilities.mean(axis=0)
