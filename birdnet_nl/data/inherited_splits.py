"""Splits of a run that builds on an earlier run: recordings seen in its training never come into the test split."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from birdnet_nl.data.splits import SPLITS, assign_splits, group_of
from birdnet_nl.recordings.recording import Recording, xeno_canto_number
from birdnet_nl.util.errors import DataError, RunError

PATH_PARTS = 3  # last parts of a path that identify a file below any root: species, type, name


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
        inherited = {recording.id: self._split_of(recording) for recording in recordings}
        splits = {id: split for id, split in inherited.items() if split}
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
    of_file: dict[tuple[str, ...], str] = {}
    of_number: dict[str, str] = {}
    of_group: dict[str, str] = {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
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
