"""Segments: where in a recording, before any sound is touched."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Segment:
    """A fixed stretch of a recording, from `start_s` seconds on."""

    recording_id: str
    start_s: float


def cut_segments(duration_s: float, segment_s: float, segment_hop_s: float) -> list[float]:
    """Start times in seconds of the segments of a recording; a short recording gives one, padded later."""
    count = 1 + max(0, math.floor((duration_s - segment_s) / segment_hop_s))
    return [index * segment_hop_s for index in range(count)]


def check_max_segments(most: int | None) -> None:
    """Raise `ValueError` for a `data.max_segments_per_type` that leaves nothing."""
    if most is not None and most < 1:
        raise ValueError(
            f"data.max_segments_per_type={most} leaves nothing to train on; choose at least 1, or null for all"
        )


def limit_per_type(
    segments: Sequence[Segment], type_of: dict[str, int], most: int | None, rng: np.random.Generator
) -> list[Segment]:
    """At most `most` segments of each type, drawn in turns over the recordings: long ones do not crowd out short.

    The order of `segments` is kept. `type_of` maps a recording's id to its type; `most=None` keeps all.
    """
    if most is None:
        return list(segments)
    check_max_segments(most)
    turns: dict[int, list[tuple[int, float, int]]] = defaultdict(list)  # type -> (turn, lot, index)
    for indices in _by_recording(segments).values():
        for turn, index in enumerate(rng.permutation(indices)):
            turns[type_of[segments[index].recording_id]].append((turn, rng.random(), int(index)))
    kept = {index for drawn in turns.values() for _, _, index in sorted(drawn)[:most]}
    return [segment for index, segment in enumerate(segments) if index in kept]


def _by_recording(segments: Sequence[Segment]) -> dict[str, list[int]]:
    indices: dict[str, list[int]] = defaultdict(list)
    for index, segment in enumerate(segments):
        indices[segment.recording_id].append(index)
    return indices
