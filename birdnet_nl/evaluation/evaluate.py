"""Evaluation of a run: calibration on the validation split, metrics on the test split."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch

from birdnet_nl.data.splits import group_of
from birdnet_nl.evaluation.calibration import (
    Calibration,
    Threshold,
    calibrate,
    calibration_metrics,
    choose_threshold,
    coverage_curve,
    ece_by_chance,
    reliability_bins,
    selective_metrics,
)
from birdnet_nl.evaluation.metrics import Predictions, score_with_intervals
from birdnet_nl.recordings.recording import Recording


@dataclass(frozen=True)
class Evaluation:
    """Evaluated predictions on the test split.

    Attributes:
        calibration, threshold: chosen on validation recordings; a prediction below the threshold is uncertain.
        probabilities: of the recordings, calibrated and pooled, float32 [recordings, types]; true_types [recordings].
        groups: index of the recordist of each recording [recordings].
        segments: calibrated probabilities of the segments, float32 [segments, types].
        report: `results`, `calibration`, `decision` and `threshold_choice` of metrics.json.
    """

    calibration: Calibration
    threshold: float | None
    probabilities: torch.Tensor
    true_types: torch.Tensor
    groups: np.ndarray
    segments: torch.Tensor
    report: dict[str, Any]


def calibrate_and_evaluate(
    validation: Predictions,
    test: Predictions,
    test_recordings: Sequence[Recording],
    types: Sequence[str],
    target_accuracy: float,
) -> Evaluation:
    """Fit temperature, pooling and threshold on `validation`, then evaluate `test`.

    `test_recordings` are in the order of the recording indices of `test`.
    """
    calibration = calibrate(validation)
    probabilities = calibration.recording_probabilities(validation).numpy()
    chosen = choose_threshold(probabilities, validation.types_of_recordings.numpy(), target_accuracy)
    return evaluate_calibrated(calibration, chosen.value, target_accuracy, test, test_recordings, types, chosen)


def evaluate_calibrated(
    calibration: Calibration,
    threshold: float | None,
    target_accuracy: float | None,
    test: Predictions,
    test_recordings: Sequence[Recording],
    types: Sequence[str],
    chosen: Threshold | None = None,
) -> Evaluation:
    """Evaluate `test` with a given calibration; `target_accuracy` is only reported (None where it is unknown).

    `chosen` is the choice of the threshold, to report where it was made for this evaluation.
    """
    segments = calibration.segment_probabilities(test)
    pooled = calibration.recording_probabilities(test)
    true_types, groups = test.types_of_recordings, recordist_indices(test_recordings)
    uncalibrated = replace(calibration, temperature=1.0, of_species={})
    before = uncalibrated.recording_probabilities(test).numpy()
    after, truth = pooled.numpy(), true_types.numpy()
    report = {
        "results": {
            "recording": score_with_intervals(pooled, true_types, groups, types),
            "segment": score_with_intervals(segments, test.true_types, groups[test.recordings.numpy()], types),
        },
        "calibration": {
            "temperature": calibration.temperature,
            "of_species": dict(calibration.of_species),
            "fitted_on": calibration.fitted_on,
            "before": calibration_metrics(before, truth),
            "after": calibration_metrics(after, truth),
            "ece_by_chance": ece_by_chance(after),
            "bins": reliability_bins(after, truth),
        },
        "decision": {
            "pooling": calibration.pooling,
            "target_accuracy": target_accuracy,
            "threshold": threshold,
            "coverage": coverage_curve(after, truth),
            **selective_metrics(after, truth, threshold),
        },
        **({"threshold_choice": asdict(chosen)} if chosen else {}),
    }
    return Evaluation(calibration, threshold, pooled, true_types, groups, segments, report)


def recordist_indices(recordings: Sequence[Recording]) -> np.ndarray:
    """Return the index of the recordist of each recording, or of the recording where unknown; 0 on without gaps."""
    return np.unique([group_of(recording) for recording in recordings], return_inverse=True)[1]
