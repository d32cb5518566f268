"""Train, validation and test splits of whole recordings, assigned before any recording is cut into segments.

The assignment depends only on the recordings and the seed, so that every parameter set is evaluated on the same test
recordings. In cross-validation each recording is in the test split of exactly one fold. A run that builds on an earlier
run inherits its splits, so that recordings seen in training never come into the test split.
"""

import csv
import os
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from birdnet_nl.recordings.recording import Recording, xeno_canto_number
from birdnet_nl.util.errors import DataError, RunError, TooFewRecordingsError
from birdnet_nl.util.files import FILE_NAMES, atomic_path
from birdnet_nl.util.words import counted

SPLITS = ("train", "val", "test")
PATH_PARTS = 3  # last parts of a path that identify a file below any root: species, type, name
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
    return splits


def assign_test_source(
    recordings: Sequence[Recording], test_source: str, shares: dict[str, float], seed: int
) -> dict[str, str]:
    """Put the recordings of one source in the test split and divide the others over train and val.

    Recordings of other sources by recordists of the test source are in no split. Raises `DataError` where the source
    has no recordings.
    """
    test = [recording for recording in recordings if recording.source == test_source]
    if not test:
        counts = Counter(recording.source for recording in recordings if recording.source)
        sources = ", ".join(f"{source} {count}" for source, count in counts.most_common())
        raise DataError(
            f"data.test_source={test_source}: no recording has it in the column source of recordings.csv; there are: "
            f"{sources or 'none'}"
        )
    groups = {group_of(recording) for recording in test}
    rest = [recording for recording in recordings if group_of(recording) not in groups]
    if not rest:
        raise DataError(f"data.test_source={test_source}: no recordings by other recordists are left to train on")
    train_and_val = shares["train"] + shares["val"]
    splits = _divide(rest, {split: shares[split] / train_and_val for split in ("train", "val")}, seed)
    return splits | {recording.id: "test" for recording in test}


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
            f"in one of them ({counted(len(names), 'recordist')}, {counted(len(recordings), 'recording')}); "
            f"add recordings by others or leave out a type with data.types"
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
    groups = np.arange(len(assignment))
    while True:
        moves = [np.where(groups == group, part, assignment) for group in groups for part in range(len(target))]
        best = min(moves, key=lambda moved: _cost(moved, counts, target))
        if _cost(best, counts, target) >= _cost(assignment, counts, target):
            return assignment
        assignment = best


def write_splits(
    path: Path, recordings: Sequence[Recording], splits: dict[str, str], extra: Collection[str] = ()
) -> None:
    """Write a CSV file with a row per recording, and its licence, which also concerns the trained model.

    Where there are recordings of `data.extra_roots`, whose ids are `extra`, the column `extra` marks them.
    """
    with atomic_path(path) as beside, beside.open("w", encoding="utf-8", errors=FILE_NAMES, newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["id", "split", "type", "recordist", "quality", "licence", "file", *(["extra"] if extra else [])]
        )
        for r in recordings:
            name = r.vocalization_type or ""  # empty for a multi-label recording
            mark = ["yes" if r.id in extra else "no"] if extra else []
            writer.writerow([r.id, splits[r.id], name, r.recordist, r.quality, r.licence, os.fspath(r.path), *mark])


def read_splits(path: Path) -> dict[str, str]:
    """Read the split of each recording by id from a file of `write_splits`."""
    with path.open(encoding="utf-8", errors=FILE_NAMES, newline="") as file:
        return {row["id"]: row["split"] for row in csv.DictReader(file)}


class InheritedSplits:
    """Splits of an earlier run. Not a dataclass, because Hydra converts dataclasses to configurations.

    Attributes:
        of_file: split by the last parts of the path of a file.
        of_number: split by Xeno-canto number, for files that were moved.
        of_group: split by recordist, as returned by `group_of`.
    """

    def __init__(
        self, of_file: Mapping[tuple[str, ...], str], of_number: Mapping[str, str], of_group: Mapping[str, str]
    ) -> None:
        self.of_file, self.of_number, self.of_group = of_file, of_number, of_group

    def assign(self, recordings: Sequence[Recording], shares: dict[str, float], seed: int) -> dict[str, str]:
        """Assign each recording, by id, to its split in the earlier run, else to that of its recordist there.

        The other recordings are divided by `shares`, or all put in the test split when they cannot be divided.
        """
        splits = {recording.id: split for recording in recordings if (split := self._split_of(recording))}
        rest = [recording for recording in recordings if recording.id not in splits]
        if not rest:
            return splits
        try:
            return splits | assign_splits(rest, shares, seed)
        except DataError:
            return splits | {recording.id: "test" for recording in rest}

    def _split_of(self, recording: Recording) -> str | None:
        return (
            self.of_file.get(recording.path.parts[-PATH_PARTS:])
            or self.of_number.get(xeno_canto_number(recording.id))
            or self.of_group.get(group_of(recording))
        )


def read_inherited(path: Path, numbers_are_unique: bool = True) -> InheritedSplits:
    """Read the `splits.csv` of a run; raises `RunError` for any other file.

    Demo recordings of different species share their numbers: `numbers_are_unique=False` ignores the numbers.
    """
    of_file, of_number, of_group = {}, {}, {}
    try:
        with path.open(encoding="utf-8", errors=FILE_NAMES, newline="") as file:
            for row in csv.DictReader(file):
                recording = Recording(row["id"], Path(row["file"]), "", row["type"], "", row["recordist"])
                of_file[recording.path.parts[-PATH_PARTS:]] = row["split"]
                if numbers_are_unique and (number := xeno_canto_number(recording.id)):
                    of_number[number] = row["split"]
                if recording.recordist:
                    of_group[group_of(recording)] = row["split"]
    except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
        raise RunError(f"{path} is not the splits.csv of a run ({error!r}); choose another run with base=") from None
    if unknown := set(of_file.values()) - set(SPLITS):
        raise RunError(
            f"{path} has the split {min(unknown)}, expected {', '.join(SPLITS)}; choose another run with base="
        )
    return InheritedSplits(of_file, of_number, of_group)
