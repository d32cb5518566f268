"""Segments of recordings: their start times, the segments of each split, and the limit per vocalization type."""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from birdnet_nl.data.splits import SPLITS

if TYPE_CHECKING:  # `birdnet-nl data` counts segments without torch
    from birdnet_nl.data.prepare import PreparedRecordings

SPLIT_BY = ("recording", "segment")


@dataclass(frozen=True)
class Segment:
    """Stretch of fixed length of a recording, given by its start in seconds.

    `type_index` is its type where annotations give one, and None for the type of the recording.
    """

    recording_id: str
    start_s: float
    type_index: int | None = None

    def type_in(self, type_of: Mapping[str, int]) -> int:
        """Return its type index; `type_of` gives that of recordings by id."""
        return type_of[self.recording_id] if self.type_index is None else self.type_index


def cut_segments(duration_s: float, segment_s: float, segment_hop_s: float) -> list[float]:
    """Return the start times in seconds of the segments of a recording; a short recording has one, padded later."""
    count = 1 + max(0, math.floor((duration_s - segment_s) / segment_hop_s))
    return [index * segment_hop_s for index in range(count)]


def check_max_segments(max_segments: int | None) -> None:
    """Raise `ValueError` for a `data.max_segments_per_type` below 1."""
    if max_segments is not None and max_segments < 1:
        raise ValueError(
            f"data.max_segments_per_type={max_segments} leaves nothing to train on; choose at least 1, or null for all"
        )


def limit_per_type(
    segments: Sequence[Segment], type_of: dict[str, int], max_segments: int | None, rng: np.random.Generator
) -> list[Segment]:
    """Draw at most `max_segments` segments of each type, or all with None, and keep the order of `segments`.

    The recordings take turns, so that long recordings do not crowd out short ones. `type_of` gives the type index by
    recording id.
    """
    if max_segments is None:
        return list(segments)
    indices_of: dict[str, list[int]] = defaultdict(list)
    for index, segment in enumerate(segments):
        indices_of[segment.recording_id].append(index)
    draws: dict[int, list[tuple[int, float, int]]] = defaultdict(list)  # type -> (turn, random number, index)
    for indices in indices_of.values():
        for turn, index in enumerate(rng.permutation(indices)):
            draws[segments[index].type_in(type_of)].append((turn, rng.random(), int(index)))
    kept = {index for of_type in draws.values() for _, _, index in sorted(of_type)[:max_segments]}
    return [segment for index, segment in enumerate(segments) if index in kept]


@dataclass(frozen=True)
class CutSegments:
    """Segments by split, and type index by recording id."""

    of_split: dict[str, list[Segment]]
    type_of: dict[str, int]


def cut_splits(
    prepared: "PreparedRecordings",
    starts_of: Callable[[int], list[float]],
    shares: dict[str, float],
    max_segments_per_type: int | None,
    shuffle_types: bool,
    split_by: str,
    seed: int,
) -> CutSegments:
    """Cut every recording into segments and assign these to the splits.

    `starts_of` returns the start times in seconds of the segments of a recording with a given number of frames.
    `split_by="segment"` assigns segments at random, whichever recording they belong to: it reproduces the train/test
    leakage of the original implementation, to measure its effect.
    """
    rng = np.random.default_rng(np.random.SeedSequence([seed, 0xC07]))
    type_of = {r.id: prepared.types.index(r.vocalization_type) for r in prepared.recordings}
    if shuffle_types:
        type_of = _shuffle_types(type_of, prepared.splits, split_by, rng)
    of_split: dict[str, list[Segment]] = {
        split: [
            Segment(recording.id, start_s)
            for recording in prepared.recordings
            if prepared.splits[recording.id] == split
            for start_s in starts_of(prepared.mels[recording.id].frames)
        ]
        for split in SPLITS
    }
    if split_by == "segment":
        segments = [segment for split in SPLITS for segment in of_split[split]]
        of_split = _split_segments(segments, type_of, shares, rng)
    of_split["train"] = limit_per_type(of_split["train"], type_of, max_segments_per_type, rng)
    return CutSegments(of_split, type_of)


def _shuffle_types(
    type_of: dict[str, int], splits: dict[str, str], split_by: str, rng: np.random.Generator
) -> dict[str, int]:
    """Permute the types of recordings: within each split, so that each keeps all its types, or over all splits."""
    shuffled = dict(type_of)
    for part in SPLITS if split_by == "recording" else ("all",):
        ids = [id for id in type_of if part in (splits[id], "all")]
        shuffled |= dict(zip(ids, rng.permutation([type_of[id] for id in ids]).tolist(), strict=True))
    return shuffled


def _split_segments(
    segments: list[Segment], type_of: dict[str, int], shares: dict[str, float], rng: np.random.Generator
) -> dict[str, list[Segment]]:
    """Assign the segments of each type at random by `shares`, as scikit-learn's stratified split does."""
    of_split: dict[str, list[Segment]] = {split: [] for split in SPLITS}
    for type_index in sorted(set(type_of.values())):
        of_type = [segment for segment in segments if type_of[segment.recording_id] == type_index]
        ends = np.round(np.cumsum([shares[split] for split in SPLITS]) * len(of_type)).astype(int)
        for split, indices in zip(SPLITS, np.split(rng.permutation(len(of_type)), ends[:-1]), strict=True):
            of_split[split] += [of_type[index] for index in sorted(indices)]
    return of_split
