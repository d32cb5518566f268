"""Which recording is trained on and which is judged: decided for whole recordings, before anything is cut.

The assignment depends on the recordings and the seed, never on the parameter set, so that `trainer=legacy` and
`trainer=fast` are judged on the same test recordings. With folds each recording is tested in just one of them.
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
ATTEMPTS = 60  # random orders tried; the most even assignment is kept


def group_of(recording: Recording) -> str:
    """What must stay on one side: all by one recordist, or the single recording where the recordist is unknown."""
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
        raise ValueError(f"data.fold={fold} must lie between 0 and {folds - 1} with data.folds={folds}")


def usable_types(
    recordings: Sequence[Recording], types: Sequence[str], least: int, parts: int = len(SPLITS)
) -> tuple[list[str], dict[str, str]]:
    """Types with enough recordings for `parts` splits or folds, in the order of `types`; why others are left out."""
    usable, left_out = [], {}
    for vocalization_type in types:
        of_type = [recording for recording in recordings if recording.vocalization_type == vocalization_type]
        groups = {group_of(recording) for recording in of_type}
        if len(of_type) < max(least, parts):
            left_out[vocalization_type] = f"{len(of_type)} recordings, at least {max(least, parts)} needed"
        elif len(groups) < parts:
            left_out[vocalization_type] = (
                f"{len(of_type)} recordings by {len(groups)} recordists, at least {parts} recordists needed"
            )
        else:
            usable.append(vocalization_type)
    return usable, left_out


def assign_splits(
    recordings: Sequence[Recording],
    shares: dict[str, float],
    seed: int,
    folds: int | None = None,
    fold: int | None = None,
) -> dict[str, str]:
    """Split of each recording by id: groups whole, every type in every split, shares per type as even as can be.

    `shares` gives the wanted share of train, val and test. With `folds` the test split is the `fold`-th of so many
    equal parts, and train and val share the rest in their proportion. Raises `DataError` when no assignment puts every
    type in every split (few recordists who each recorded most of a type).
    """
    if folds is None:
        splits = _divide(recordings, shares, seed)
    else:
        fold_of = _divide(recordings, {str(index): 1 / folds for index in range(folds)}, seed)
        rest = [recording for recording in recordings if fold_of[recording.id] != str(fold)]
        both = shares["train"] + shares["val"]
        splits = {recording.id: "test" for recording in recordings}
        splits |= _divide(rest, {split: shares[split] / both for split in ("train", "val")}, seed)
    assert_no_leak(recordings, splits)
    return splits


def _divide(recordings: Sequence[Recording], shares: dict[str, float], seed: int) -> dict[str, str]:
    """Part of each recording by id, one of the keys of `shares`; groups whole, every type in every part."""
    types = sorted({recording.vocalization_type for recording in recordings})
    groups: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(len(types), dtype=int))
    for recording in recordings:
        groups[group_of(recording)][types.index(recording.vocalization_type)] += 1
    names = sorted(groups)
    counts = np.array([groups[name] for name in names])  # [groups, types]
    parts = list(shares)
    wanted = np.array([shares[part] for part in parts])[:, None] * counts.sum(axis=0)  # [parts, types]

    rng = np.random.default_rng(np.random.SeedSequence([seed, 0x5B117]))
    attempts = [_assign_greedily(counts, wanted, rng) for _ in range(ATTEMPTS)]
    best = min(attempts, key=lambda assignment: _badness(assignment, counts, wanted))
    if _badness(best, counts, wanted)[0]:  # few recordists: greedy steps may miss what single moves still reach
        moved = [_move_groups(assignment, counts, wanted) for assignment in attempts]
        best = min(moved, key=lambda assignment: _badness(assignment, counts, wanted))
    if _badness(best, counts, wanted)[0]:
        named = f"{', '.join(parts[:-1])} and {parts[-1]}"
        where = named if set(parts) <= set(SPLITS) else f"each of {len(parts)} folds"
        raise TooFewRecordingsError(
            f"{recordings[0].species}: no way found to put every type in {where} with recordists apart "
            f"({len(names)} recordists, {len(recordings)} recordings); add recordings by others or leave out a type "
            f"with data.types"
        )
    part_of_group = {name: parts[part] for name, part in zip(names, best, strict=True)}
    return {recording.id: part_of_group[group_of(recording)] for recording in recordings}


def _assign_greedily(counts: np.ndarray, wanted: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Part of each group [groups]: large groups first, each where it brings the totals nearest to `wanted`."""
    totals = np.zeros_like(wanted)
    assignment = np.empty(len(counts), dtype=int)
    order = np.lexsort((rng.random(len(counts)), -counts.sum(axis=1) + rng.uniform(0, 2, len(counts))))
    for group in order:
        with_group = totals + counts[group]  # each part's totals if it took the group
        gain = ((with_group - wanted) ** 2 / wanted).sum(axis=1) - ((totals - wanted) ** 2 / wanted).sum(axis=1)
        assignment[group] = gain.argmin()
        totals[assignment[group]] += counts[group]
    return assignment


def _badness(assignment: np.ndarray, counts: np.ndarray, wanted: np.ndarray) -> tuple[int, float]:
    """How many types lack in how many parts, then how far the totals are from `wanted`; less is better."""
    totals = np.array([counts[assignment == part].sum(axis=0) for part in range(len(wanted))])
    return int((totals == 0).sum()), float((((totals - wanted) ** 2) / wanted).sum())


def _move_groups(assignment: np.ndarray, counts: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Move one group at a time to another part, always the best move, until none helps."""
    while True:
        moves = []
        for group in range(len(assignment)):
            for part in range(len(wanted)):
                moved = assignment.copy()
                moved[group] = part
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
    with atomic_path(path) as beside, beside.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "split", "type", "recordist", "quality", "licence", "file"])
        for recording in recordings:
            row = recording
            kind = row.vocalization_type or ""  # of several types
            writer.writerow(
                [row.id, splits[row.id], kind, row.recordist, row.quality, row.licence, os.fspath(row.path)]
            )


def read_splits(path: Path) -> dict[str, str]:
    """Split of each recording by id, as `write_splits` left it."""
    with path.open(encoding="utf-8", newline="") as file:
        return {row["id"]: row["split"] for row in csv.DictReader(file)}
