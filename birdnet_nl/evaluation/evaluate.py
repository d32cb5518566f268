"""From answers to segments to what a run says of itself: what validation decides, and what the test then shows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from birdnet_nl.data.splits import group_of
from birdnet_nl.evaluation.calibration import (
    Calibration,
    calibrate,
    calibration_figures,
    ece_by_chance,
    reliability_bins,
)
from birdnet_nl.evaluation.decision import answered, choose_threshold, coverage_curve
from birdnet_nl.evaluation.metrics import Predictions, score_with_intervals
from birdnet_nl.recordings.recording import Recording


@dataclass(frozen=True)
class Evaluation:
    """The test split as it was answered.

    Attributes:
        calibration, threshold: decided on validation recordings; below the threshold an answer is "onzeker".
        probabilities: of the recordings, calibrated and pooled, float32 [recordings, types]; true_types [recordings].
        groups: index of the recordist of each recording [recordings].
        segments: calibrated probabilities of the segments, float32 [segments, types].
        report: `results`, `calibration` and `decision` of metrics.json.
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
    wanted_accuracy: float,
) -> Evaluation:
    """Decide temperature, pooling and threshold on `validation`, then judge `test`.

    `test_recordings` are those behind the recording indices of `test`.
    """
    calibration = calibrate(validation)
    threshold = choose_threshold(
        calibration.answers(validation).numpy(),
        validation.types_of_recordings.numpy(),
        wanted_accuracy,
    )
    return evaluate_calibrated(calibration, threshold, wanted_accuracy, test, test_recordings, types)


def evaluate_calibrated(
    calibration: Calibration,
    threshold: float | None,
    wanted_accuracy: float | None,
    test: Predictions,
    test_recordings: Sequence[Recording],
    types: Sequence[str],
) -> Evaluation:
    """Judge `test` with what was decided before; `wanted_accuracy` is only told, None where it is not known."""
    segments = calibration.segments(test)
    pooled = calibration.answers(test)
    true_types, groups = test.types_of_recordings, recordist_indices(test_recordings)
    before = replace(calibration, temperature=1.0, of_species={}).answers(test).numpy()
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
            "before": calibration_figures(before, truth),
            "after": calibration_figures(after, truth),
            "ece_by_chance": ece_by_chance(after),
            "bins": reliability_bins(after, truth),
        },
        "decision": {
            "pooling": calibration.pooling,
            "wanted_accuracy": wanted_accuracy,
            "threshold": threshold,
            "coverage": coverage_curve(after, truth),
            **answered(after, truth, threshold),
        },
    }
    return Evaluation(calibration, threshold, pooled, true_types, groups, segments, report)


def recordist_indices(recordings: Sequence[Recording]) -> np.ndarray:
    """Index of the recordist of each recording, or of the recording itself where unknown; 0 on without gaps."""
    return np.unique([group_of(recording) for recording in recordings], return_inverse=True)[1]
