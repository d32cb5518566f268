"""Metrics of segments whose own type is known from annotations (`annotated_segments` of metrics.json)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from birdnet_nl.evaluation.metrics import score_with_intervals

KEY = "annotated_segments"


def describe_annotated(
    probabilities: torch.Tensor,
    segment_types: torch.Tensor,
    recordings: torch.Tensor,
    groups: np.ndarray,
    types: Sequence[str],
) -> dict[str, Any]:
    """Score the segments that have a type of their own; an empty dict without any.

    Args:
        probabilities: of all segments, float32 [segments, types].
        segment_types: type of each, -1 for background, -2 where the recording has no annotations, int64 [segments].
        recordings: recording of each, int64 [segments].
        groups: index of the recordist of each recording, for the intervals [recordings].
        types: names of the types.

    Returns:
        `annotated_segments` of metrics.json: the metrics of `score_with_intervals`, `recordings`, the number of
        recordings they come from, and `background`, the number of segments of these without a type.
    """
    inside = segment_types >= 0
    if not inside.any():
        return {}
    _, indices = np.unique(groups[recordings[inside].numpy()], return_inverse=True)
    metrics = score_with_intervals(probabilities[inside], segment_types[inside], indices, types)
    background = int((segment_types == -1).sum())
    return {KEY: {**metrics, "recordings": len(recordings[inside].unique()), "background": background}}


def describe_annotated_line(report: Mapping[str, Any]) -> list[str]:
    """Return the line about annotated segments of a report; none without them."""
    if not (scores := report.get(KEY)):
        return []

    def percent(value: float | None) -> str:
        return "–" if value is None else f"{value:.0%}"

    pairs = (
        f"{name} {percent(scores['recall'][name])}/{percent(scores['precision'][name])}" for name in scores["recall"]
    )
    return [
        f"annotated segments ({scores['count']} of {scores['recordings']} recordings): balanced accuracy "
        f"{percent(scores['balanced_accuracy'])}, AUROC {percent(scores['auroc'])}, recall/precision {', '.join(pairs)}"
    ]
