"""Splits of a run that builds on another: what that one learned from is never judged."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from birdnet_nl.data.splits import SPLITS, assign_splits, group_of
from birdnet_nl.recordings.recording import Recording, xeno_canto_number
from birdnet_nl.util.errors import DataError, RunError

PLACE = 3  # last parts of a file's path that tell it from others wherever its root lies: species, type, name


class InheritedSplits:
    """The splits of an earlier run; no dataclass, which Hydra would take for a configuration.

    Attributes:
        of_file: by the last parts of a file's path.
        of_number: by Xeno-canto number, for files that lie elsewhere now.
        of_group: by recordist, as `group_of` writes them.
    """

    def __init__(
        self, of_file: Mapping[tuple[str, ...], str], of_number: Mapping[str, str], of_group: Mapping[str, str]
    ) -> None:
        self.of_file, self.of_number, self.of_group = of_file, of_number, of_group

    def assign(self, recordings: Sequence[Recording], shares: dict[str, float], seed: int) -> dict[str, str]:
        """Split of each recording by id: that of the earlier run, else that of its recordist there.

        The others are divided by `shares`, or all tested where they cannot be.
        """
        known = {recording.id: self._split_of(recording) for recording in recordings}
        splits = {id: split for id, split in known.items() if split}
        rest = [recording for recording in recordings if recording.id not in splits]
        if not rest:
            return splits
        try:
            return splits | assign_splits(rest, shares, seed)
        except DataError:
            return splits | {recording.id: "test" for recording in rest}

    def _split_of(self, recording: Recording) -> str | None:
        return (
            self.of_file.get(_place(recording.path))
            or self.of_number.get(xeno_canto_number(recording.id))
            or self.of_group.get(group_of(recording))
        )


def read_inherited(path: Path, numbers_are_unique: bool = True) -> InheritedSplits:
    """From the `splits.csv` of a run; raises `RunError` when it is not one.

    The Xeno-canto numbers of demo recordings are used more than once, so for these they say nothing.
    """
    of_file: dict[tuple[str, ...], str] = {}
    of_number: dict[str, str] = {}
    of_group: dict[str, str] = {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                recording = Recording(row["id"], Path(row["file"]), "", row["type"], "", row["recordist"])
                of_file[_place(recording.path)] = row["split"]
                if numbers_are_unique and (number := xeno_canto_number(recording.id)):
                    of_number[number] = row["split"]
                if recording.recordist:
                    of_group[group_of(recording)] = row["split"]
    except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
        raise RunError(f"{path} is not the list of recordings of a run ({error!r}); give another trunk") from None
    if unknown := set(of_file.values()) - set(SPLITS):
        raise RunError(f"{path} has the split {min(unknown)}, which is none of {', '.join(SPLITS)}; give another trunk")
    return InheritedSplits(of_file, of_number, of_group)


def _place(path: Path) -> tuple[str, ...]:
    return path.parts[-PLACE:]
