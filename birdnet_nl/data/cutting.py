"""From prepared recordings to the segments of each split."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from birdnet_nl.data.prepare import PreparedRecordings
from birdnet_nl.data.segments import Segment, limit_per_type
from birdnet_nl.data.splits import SPLITS

SPLIT_BY = ("recording", "segment")


@dataclass(frozen=True)
class CutSegments:
    """The segments of each split, and the type index of each recording by its id."""

    of_split: dict[str, list[Segment]]
    type_of: dict[str, int]


def cut_splits(
    prepared: PreparedRecordings,
    starts_of: Callable[[int], list[float]],
    shares: dict[str, float],
    max_segments_per_type: int | None,
    shuffle_types: bool,
    split_by: str,
    seed: int,
) -> CutSegments:
    """Cut every recording and hand its segments to splits.

    `starts_of` gives the start times in seconds of the segments of a recording with so many frames. With
    `split_by="segment"` segments are dealt out at random whatever recording they come from: the original's leak, kept
    to show what it does.
    """
    rng = np.random.default_rng(np.random.SeedSequence([seed, 0xC07]))
    type_of = {r.id: prepared.types.index(r.vocalization_type) for r in prepared.recordings}
    if shuffle_types:
        type_of = _dealt_out_anew(type_of, prepared.splits, split_by, rng)
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
        of_split = _split_segments([s for split in SPLITS for s in of_split[split]], type_of, shares, rng)
    of_split["train"] = limit_per_type(of_split["train"], type_of, max_segments_per_type, rng)
    return CutSegments(of_split, type_of)


def _dealt_out_anew(
    type_of: dict[str, int], splits: dict[str, str], split_by: str, rng: np.random.Generator
) -> dict[str, int]:
    """The same types in another order: within each split, so that none loses a type, or over all recordings."""
    dealt = dict(type_of)
    for part in SPLITS if split_by == "recording" else ("all",):
        ids = [id for id in type_of if part in (splits[id], "all")]
        dealt |= dict(zip(ids, rng.permutation([type_of[id] for id in ids]).tolist(), strict=True))
    return dealt


def _split_segments(
    segments: list[Segment], type_of: dict[str, int], shares: dict[str, float], rng: np.random.Generator
) -> dict[str, list[Segment]]:
    """Segments of each type dealt out by `shares`, as scikit-learn's stratified split would."""
    of_split: dict[str, list[Segment]] = {split: [] for split in SPLITS}
    for kind in sorted(set(type_of.values())):
        of_type = [segment for segment in segments if type_of[segment.recording_id] == kind]
        ends = np.round(np.cumsum([shares[split] for split in SPLITS]) * len(of_type)).astype(int)
        for split, indices in zip(SPLITS, np.split(rng.permutation(len(of_type)), ends[:-1]), strict=True):
            of_split[split] += [of_type[index] for index in sorted(indices)]
    return of_split
