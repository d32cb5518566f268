"""Which recording is trained on and which is judged: decided for whole recordings, before anything is cut.

The assignment depends on the recordings and the seed, never on the parameter set, so that `trainer=legacy` and
`trainer=fast` are judged on the same test recordings.
"""

import csv
import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from birdnet_nl.errors import DataError
from birdnet_nl.files import written_whole
from birdnet_nl.recordings.recording import Recording

SPLITS = ("train", "val", "test")
ATTEMPTS = 60  # random orders tried; the most even assignment is kept


def group_of(recording: Recording) -> str:
    """What must stay on one side: all by one recordist, or the single recording where the recordist is unknown."""
    recordist = " ".join(recording.recordist.casefold().split())
    return f"recordist:{recordist}" if recordist else f"recording:{recording.id}"


def usable_types(recordings: Sequence[Recording], types: Sequence[str], least: int) -> tuple[list[str], dict[str, str]]:
    """Types with enough recordings for three splits, in the order of `types`, and why each other type is left out."""
    usable, left_out = [], {}
    for vocalization_type in types:
        of_type = [recording for recording in recordings if recording.vocalization_type == vocalization_type]
        groups = {group_of(recording) for recording in of_type}
        if len(of_type) < least:
            left_out[vocalization_type] = f"{len(of_type)} recordings, at least {least} needed"
        elif len(groups) < len(SPLITS):
            left_out[vocalization_type] = (
                f"{len(of_type)} recordings by {len(groups)} recordists, at least {len(SPLITS)} recordists needed"
            )
        else:
            usable.append(vocalization_type)
    return usable, left_out


def assign_splits(recordings: Sequence[Recording], shares: dict[str, float], seed: int) -> dict[str, str]:
    """Split of each recording by id: groups whole, every type in every split, shares per type as even as can be.

    `shares` gives the wanted share of train, val and test. Raises `DataError` when no assignment puts every type in
    every split (few recordists who each recorded most of a type).
    """
    types = sorted({recording.vocalization_type for recording in recordings})
    groups: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(len(types), dtype=int))
    for recording in recordings:
        groups[group_of(recording)][types.index(recording.vocalization_type)] += 1
    names = sorted(groups)
    counts = np.array([groups[name] for name in names])  # [groups, types]
    wanted = np.array([shares[split] for split in SPLITS])[:, None] * counts.sum(axis=0)  # [splits, types]

    rng = np.random.default_rng(np.random.SeedSequence([seed, 0x5B117]))
    attempts = [_assign_greedily(counts, wanted, rng) for _ in range(ATTEMPTS)]
    best = min(attempts, key=lambda assignment: _badness(assignment, counts, wanted))
    if _badness(best, counts, wanted)[0]:  # few recordists: greedy steps may miss what single moves still reach
        moved = [_move_groups(assignment, counts, wanted) for assignment in attempts]
        best = min(moved, key=lambda assignment: _badness(assignment, counts, wanted))
    if _badness(best, counts, wanted)[0]:
        raise DataError(
            f"{recordings[0].species}: no way found to put every type in train, val and test with recordists apart "
            f"({len(names)} recordists, {len(recordings)} recordings); add recordings by others or leave out a type "
            f"with data.types"
        )
    split_of_group = {name: SPLITS[split] for name, split in zip(names, best, strict=True)}
    splits = {recording.id: split_of_group[group_of(recording)] for recording in recordings}
    assert_no_leak(recordings, splits)
    return splits


def _assign_greedily(counts: np.ndarray, wanted: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Split of each group [groups]: large groups first, each where it brings the totals nearest to `wanted`."""
    totals = np.zeros_like(wanted)
    assignment = np.empty(len(counts), dtype=int)
    order = np.lexsort((rng.random(len(counts)), -counts.sum(axis=1) + rng.uniform(0, 2, len(counts))))
    for group in order:
        with_group = totals + counts[group]  # each split's totals if it took the group
        gain = ((with_group - wanted) ** 2 / wanted).sum(axis=1) - ((totals - wanted) ** 2 / wanted).sum(axis=1)
        assignment[group] = gain.argmin()
        totals[assignment[group]] += counts[group]
    return assignment


def _badness(assignment: np.ndarray, counts: np.ndarray, wanted: np.ndarray) -> tuple[int, float]:
    """How many types lack in how many splits, then how far the totals are from `wanted`; less is better."""
    totals = np.array([counts[assignment == split].sum(axis=0) for split in range(len(SPLITS))])
    return int((totals == 0).sum()), float((((totals - wanted) ** 2) / wanted).sum())


def _move_groups(assignment: np.ndarray, counts: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Move one group at a time to another split, always the best move, until none helps."""
    while True:
        moves = []
        for group in range(len(assignment)):
            for split in range(len(SPLITS)):
                moved = assignment.copy()
                moved[group] = split
                moves.append(moved)
        best = min(moves, key=lambda moved: _badness(moved, counts, wanted))
        if _badness(best, counts, wanted) >= _badness(assignment, counts, wanted):
            return assignment
        assignment = best


def assert_no_leak(recordings: Sequence[Recording], splits: dict[str, str]) -> None:
    """Refuse a split in which a recordist, or a recording, is on two sides."""
    sides: dict[str, set[str]] = defaultdict(set)
    for recording in recordings:
        sides[group_of(recording)].add(splits[recording.id])
    leaking = sorted(group for group, found in sides.items() if len(found) > 1)
    if leaking:
        raise AssertionError(f"split leaks: {', '.join(leaking[:3])} on more than one side")


def count_by_split(recordings: Sequence[Recording], splits: dict[str, str]) -> dict[str, Counter]:
    """Recordings per type in each split."""
    counts = {split: Counter() for split in SPLITS}
    for recording in recordings:
        counts[splits[recording.id]][recording.vocalization_type] += 1
    return counts


def write_splits(path: Path, recordings: Sequence[Recording], splits: dict[str, str]) -> None:
    """One row per recording; the licence comes along because a model is made from these recordings."""
    with written_whole(path) as beside, beside.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "split", "type", "recordist", "quality", "licence", "file"])
        for recording in recordings:
            row = recording
            kind = row.vocalization_type
            writer.writerow(
                [row.id, splits[row.id], kind, row.recordist, row.quality, row.licence, os.fspath(row.path)]
            )


def read_splits(path: Path) -> dict[str, str]:
    """Split of each recording by id, as `write_splits` left it."""
    with path.open(encoding="utf-8", newline="") as file:
        return {row["id"]: row["split"] for row in csv.DictReader(file)}
