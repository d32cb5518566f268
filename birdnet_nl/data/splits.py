"""Train, validation and test splits of whole recordings, assigned before any recording is cut into segments.

The assignment depends only on the recordings and the seed, so that every parameter set is evaluated on the same test
recordings. In cross-validation each recording is in the test split of exactly one fold.
"""

import csv
import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from birdnet_nl.recordings.recording import Recording
from birdnet_nl.util.errors import TooFewRecordingsError
from birdnet_nl.util.files import atomic_path

SPLITS = ("train", "val", "test")
ATTEMPTS = 60  # random orders that are tried; the most even assignment is kept


def group_of(recording: Recording) -> str:
    """Return the group that stays in one split: all of one recordist, or the recording when the recordist is unknown.

    Case and spacing of the recordist's name do not matter.
    """
    recordist = " ".join(recording.recordist.casefold().split())
    return f"recordist:{recordist}" if recordist else f"recording:{recording.id}"


def check_fold(folds: int | None, fold: int | None) -> None:
    """Raise `ValueError` unless `fold` is one of `folds`, or both are None."""
    if (folds is None) != (fold is None):
        raise ValueError(
            f"data.folds={folds} and data.fold={fold} go together; for five-fold cross-validation: "
            "python train.py -m data.folds=5 data.fold=0,1,2,3,4 …"
        )
    if folds is not None and folds < len(SPLITS):
        raise ValueError(f"data.folds={folds} must be at least {len(SPLITS)}")
    if folds is not None and not 0 <= fold < folds:
        raise ValueError(f"data.fold={fold} must be between 0 and {folds - 1} with data.folds={folds}")


def assign_splits(
    recordings: Sequence[Recording],
    shares: dict[str, float],
    seed: int,
    folds: int | None = None,
    fold: int | None = None,
) -> dict[str, str]:
    """Assign each recording to a split, by id: groups stay whole and every type is in every split.

    `shares` gives the share of train, val and test, approximated as closely as possible for each type. With `folds` the
    test split is number `fold` of as many equal parts, and train and val divide the rest in proportion to their shares.
    Raises `TooFewRecordingsError` when no assignment is found that puts every type in every split, as with few
    recordists who each recorded most of a type.
    """
    if folds is None:
        splits = _divide(recordings, shares, seed)
    else:
        fold_of = _divide(recordings, {str(index): 1 / folds for index in range(folds)}, seed)
        rest = [recording for recording in recordings if fold_of[recording.id] != str(fold)]
        train_and_val = shares["train"] + shares["val"]
        splits = {recording.id: "test" for recording in recordings}
        splits |= _divide(rest, {split: shares[split] / train_and_val for split in ("train", "val")}, seed)
    assert_no_leak(recordings, splits)
    return splits


def _divide(recordings: Sequence[Recording], shares: dict[str, float], seed: int) -> dict[str, str]:
    """Assign each recording to a part, one of the keys of `shares`: groups stay whole, every type is in every part."""
    types = sorted({recording.vocalization_type for recording in recordings})
    groups: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(len(types), dtype=int))
    for recording in recordings:
        groups[group_of(recording)][types.index(recording.vocalization_type)] += 1
    names = sorted(groups)
    counts = np.array([groups[name] for name in names])  # [groups, types]
    parts = list(shares)
    target = np.array([shares[part] for part in parts])[:, None] * counts.sum(axis=0)  # [parts, types]

    rng = np.random.default_rng(np.random.SeedSequence([seed, 0x5B117]))
    attempts = [_assign_greedily(counts, target, rng) for _ in range(ATTEMPTS)]
    best = min(attempts, key=lambda assignment: _cost(assignment, counts, target))
    if _cost(best, counts, target)[0]:  # with few recordists, moves of single groups reach what greedy steps miss
        moved = [_move_groups(assignment, counts, target) for assignment in attempts]
        best = min(moved, key=lambda assignment: _cost(assignment, counts, target))
    if _cost(best, counts, target)[0]:
        all_parts = f"{', '.join(parts[:-1])} and {parts[-1]}" if set(parts) <= set(SPLITS) else f"{len(parts)} folds"
        raise TooFewRecordingsError(
            f"{recordings[0].species}: no assignment found with every type in each of {all_parts} and each recordist "
            f"in one of them ({len(names)} recordists, {len(recordings)} recordings); add recordings by others or "
            f"leave out a type with data.types"
        )
    part_of_group = {name: parts[part] for name, part in zip(names, best, strict=True)}
    return {recording.id: part_of_group[group_of(recording)] for recording in recordings}


def _assign_greedily(counts: np.ndarray, target: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Assign groups, large ones first, each to the part whose totals it brings closest to `target`: [groups]."""
    totals = np.zeros_like(target)
    assignment = np.empty(len(counts), dtype=int)
    order = np.lexsort((rng.random(len(counts)), -counts.sum(axis=1) + rng.uniform(0, 2, len(counts))))
    for group in order:
        with_group = totals + counts[group]  # totals of each part if it got the group
        change = ((with_group - target) ** 2 / target).sum(axis=1) - ((totals - target) ** 2 / target).sum(axis=1)
        assignment[group] = change.argmin()
        totals[assignment[group]] += counts[group]
    return assignment


def _cost(assignment: np.ndarray, counts: np.ndarray, target: np.ndarray) -> tuple[int, float]:
    """Count the types missing from a part, over all parts, and measure the distance of the totals from `target`."""
    totals = np.array([counts[assignment == part].sum(axis=0) for part in range(len(target))])
    return int((totals == 0).sum()), float((((totals - target) ** 2) / target).sum())


def _move_groups(assignment: np.ndarray, counts: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Move one group at a time to another part, always the move that lowers the cost most, until none does."""
    while True:
        moves = []
        for group in range(len(assignment)):
            for part in range(len(target)):
                moved = assignment.copy()
                moved[group] = part
                moves.append(moved)
        best = min(moves, key=lambda moved: _cost(moved, counts, target))
        if _cost(best, counts, target) >= _cost(assignment, counts, target):
            return assignment
        assignment = best


def assert_no_leak(recordings: Sequence[Recording], splits: dict[str, str]) -> None:
    """Raise `AssertionError` when a recordist or a recording is in more than one split."""
    splits_of: dict[str, set[str]] = defaultdict(set)
    for recording in recordings:
        splits_of[group_of(recording)].add(splits[recording.id])
    if leaking := sorted(group for group, splits in splits_of.items() if len(splits) > 1):
        raise AssertionError(f"split leaks: {', '.join(leaking[:3])} in more than one split")


def count_by_split(recordings: Sequence[Recording], splits: dict[str, str]) -> dict[str, Counter]:
    """Count the recordings per type in each split."""
    counts = {split: Counter() for split in SPLITS}
    for recording in recordings:
        counts[splits[recording.id]][recording.vocalization_type] += 1
    return counts


def write_splits(path: Path, recordings: Sequence[Recording], splits: dict[str, str]) -> None:
    """Write a CSV file with a row per recording, and its licence, which also concerns the trained model."""
    with atomic_path(path) as beside, beside.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "split", "type", "recordist", "quality", "licence", "file"])
        for r in recordings:
            vocalization_type = r.vocalization_type or ""  # empty for a multi-label recording
            writer.writerow(
                [r.id, splits[r.id], vocalization_type, r.recordist, r.quality, r.licence, os.fspath(r.path)]
            )


def read_splits(path: Path) -> dict[str, str]:
    """Read the split of each recording by id from a file of `write_splits`."""
    with path.open(encoding="utf-8", newline="") as file:
        return {row["id"]: row["split"] for row in csv.DictReader(file)}
