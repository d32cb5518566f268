"""Metrics of each collection that recordings come from (the column `source` of `recordings.csv`)."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from birdnet_nl.evaluation.metrics import score
from birdnet_nl.recordings.recording import Recording

PAIR = ("song", "call")


def score_sources(
    recordings: Sequence[Recording], probabilities: torch.Tensor, true_types: torch.Tensor, types: Sequence[str]
) -> dict[str, Any]:
    """Compute metrics for each source, the largest first; empty with fewer than two sources.

    Probabilities are [recordings, types] and true types [recordings]. `song_against_call` ignores the probabilities of
    other types and is None where a source has only one of the two; `recording` has the metrics of all types, and is
    None for a source that does not have every type.
    """
    of_source: dict[str, list[int]] = defaultdict(list)
    for index, recording in enumerate(recordings):
        if recording.source:
            of_source[recording.source].append(index)
    if len(of_source) < 2:
        return {}
    ordered = sorted(of_source.items(), key=lambda item: (-len(item[1]), item[0]))
    return {source: _score_source(probabilities[own], true_types[own], types) for source, own in ordered}


def _score_source(probabilities: torch.Tensor, true_types: torch.Tensor, types: Sequence[str]) -> dict[str, Any]:
    counts = torch.bincount(true_types, minlength=len(types)).tolist()
    return {
        "count": len(true_types),
        "counts": dict(zip(types, counts, strict=True)),
        "song_against_call": song_against_call(probabilities, true_types, types),
        "recording": score(probabilities, true_types, types) if all(counts) else None,
    }


def song_against_call(
    probabilities: torch.Tensor, true_types: torch.Tensor, types: Sequence[str]
) -> dict[str, float] | None:
    """Compute balanced accuracy and AUROC of songs and calls from the probabilities of these two types alone."""
    if not set(PAIR) <= set(types):
        return None
    columns = [types.index(name) for name in PAIR]
    chosen = np.isin(true_types.numpy(), columns)
    truth = (true_types[chosen] == columns[1]).long()
    if len(truth.unique()) < 2:
        return None
    pair = probabilities[chosen][:, columns].clamp(min=1e-12)
    scores = score(pair / pair.sum(dim=1, keepdim=True), truth, PAIR)
    return {"balanced_accuracy": scores["balanced_accuracy"], "auroc": scores["auroc"]}
