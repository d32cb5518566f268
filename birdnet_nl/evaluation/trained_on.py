"""Recordings that a checkpoint was trained on, read from `splits.csv`, and their detection in other data."""

import csv
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from birdnet_nl.audio.cache import content_hash
from birdnet_nl.data.splits import SPLITS, group_of
from birdnet_nl.recordings.recording import Recording, xeno_canto_number
from birdnet_nl.util.errors import RunError
from birdnet_nl.util.files import FILE_NAMES

TRAINING_SPLITS = ("train", "val")  # validation chose the epoch, the temperature, the pooling and the threshold


@dataclass(frozen=True)
class TrainedOn:
    """Recordings used for training or validation.

    Attributes:
        numbers: Xeno-canto numbers, and other ids of files that no longer exist. Numbers of demo recordings and names
            such as `song/001` are not unique, so these recordings are identified by their files.
        files: the files that exist.
        recordists: as normalised by `group_of`.
        type_counts: number of training recordings of each type.
    """

    numbers: frozenset[str]
    files: tuple[Path, ...]
    recordists: frozenset[str]
    type_counts: Counter

    @cached_property
    def _by_size(self) -> dict[int, list[Path]]:
        sizes: dict[int, list[Path]] = defaultdict(list)
        for path in self.files:
            sizes[path.stat().st_size].append(path)
        return sizes

    def reason_seen(self, recording: Recording) -> str:
        """Return how the recording was recognised as seen in training; empty when it was not."""
        if (xeno_canto_number(recording.id) or recording.id) in self.numbers:
            return "the same number"
        try:
            size = recording.path.stat().st_size
            candidates = self._by_size.get(size, ()) if size else ()
            content = content_hash(recording.path) if candidates else ""
            twin = next((path for path in candidates if content_hash(path) == content), None)
            return f"the same content as {twin.name}" if twin else ""
        except OSError:
            return ""  # a missing or unreadable file is reported when its mel is computed

    def recordist_seen(self, recording: Recording) -> bool:
        """Return whether training had recordings of the same recordist; false where the recordist is unknown."""
        return bool(recording.recordist) and group_of(recording) in self.recordists

    def union(self, other: "TrainedOn") -> "TrainedOn":
        """Combine the recordings of two trainings, with this one's `type_counts`."""
        return replace(
            self,
            numbers=self.numbers | other.numbers,
            files=tuple(sorted({*self.files, *other.files})),
            recordists=self.recordists | other.recordists,
        )


def read_trained_on(path: Path, synthetic: bool, split_by: str) -> TrainedOn | None:
    """Read a run's `splits.csv`; None where it does not exist. `split_by="segment"` trained on every recording."""
    if not path.is_file():
        return None
    splits = SPLITS if split_by == "segment" else TRAINING_SPLITS
    try:
        with path.open(encoding="utf-8", errors=FILE_NAMES, newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["split"] in splits]
        recordings = [Recording(row["id"], Path(row["file"]), "", row["type"], "", row["recordist"]) for row in rows]
        type_counts = Counter(row["type"] for row in rows if row["split"] == "train" and row["type"])
    except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
        raise RunError(
            f"{path} is not the list of recordings of a run ({error!r}); restore it, or train again"
        ) from None
    existing = {recording.path for recording in recordings if recording.path.is_file()}
    return TrainedOn(
        numbers=frozenset(
            xeno_canto_number(recording.id) or recording.id
            for recording in recordings
            if (xeno_canto_number(recording.id) and not synthetic) or recording.path not in existing
        ),
        files=tuple(sorted(existing)),
        recordists=frozenset(group_of(recording) for recording in recordings if recording.recordist),
        type_counts=type_counts,
    )
