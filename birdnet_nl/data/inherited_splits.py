"""Splits of a run that builds on another: what that one learned from is never judged."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from birdnet_nl.data.splits import SPLITS, assign_splits, group_of
from birdnet_nl.errors import DataError, RunError
from birdnet_nl.recordings.recording import Recording

PLACE = 3  # last parts of a file's path that tell it from others wherever its root lies: species, type, name


class InheritedSplits:
    """The splits of an earlier run: by the last parts of a file's path, and by recordist as `group_of` writes them."""

    def __init__(self, of_file: Mapping[tuple[str, ...], str], of_group: Mapping[str, str]) -> None:
        self.of_file, self.of_group = of_file, of_group

    def assign(self, recordings: Sequence[Recording], shares: dict[str, float], seed: int) -> dict[str, str]:
        """Split of each recording by id: that of the earlier run, else that of its recordist there.

        The others are divided by `shares`, or all tested where they cannot be.
        """
        splits: dict[str, str] = {}
        for recording in recordings:
            if split := self.of_file.get(_place(recording.path)) or self.of_group.get(group_of(recording)):
                splits[recording.id] = split
        rest = [recording for recording in recordings if recording.id not in splits]
        if not rest:
            return splits
        try:
            return splits | assign_splits(rest, shares, seed)
        except DataError:
            return splits | {recording.id: "test" for recording in rest}


def read_inherited(path: Path) -> InheritedSplits:
    """From the `splits.csv` of a run; raises `RunError` when it is not one."""
    of_file: dict[tuple[str, ...], str] = {}
    of_group: dict[str, str] = {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                of_file[_place(Path(row["file"]))] = row["split"]
                if row["recordist"]:
                    recording = Recording(row["id"], Path(row["file"]), "", row["type"], "", row["recordist"])
                    of_group[group_of(recording)] = row["split"]
    except (OSError, KeyError, csv.Error) as error:
        raise RunError(f"{path} is not the list of recordings of a run ({error!r}); give another trunk") from None
    if unknown := set(of_file.values()) - set(SPLITS):
        raise RunError(f"{path} has the split {min(unknown)}, which is none of {', '.join(SPLITS)}; give another trunk")
    return InheritedSplits(of_file, of_group)


def _place(path: Path) -> tuple[str, ...]:
    return path.parts[-PLACE:]
