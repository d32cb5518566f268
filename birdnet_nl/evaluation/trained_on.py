"""What a checkpoint was trained on, as `splits.csv` beside it tells, and whether it has met a recording before."""

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from birdnet_nl.audio.cache import content_hash
from birdnet_nl.data.splits import SPLITS, group_of
from birdnet_nl.recordings.recording import Recording, xeno_canto_number
from birdnet_nl.util.errors import RunError

LEARNED_FROM = ("train", "val")  # validation chose the epoch, the temperature, the pooling and the threshold


@dataclass(frozen=True)
class TrainedOn:
    """The recordings that training or validation used.

    Attributes:
        numbers: Xeno-canto numbers, and other ids where the file is gone: what tells a recording without its file.
            Numbers of demo recordings and names such as `song/001` are used more than once, so their files decide.
        files: those that are still there.
        recordists: as `group_of` writes them.
        of_type: how many of each one type were trained on.
    """

    numbers: frozenset[str]
    files: tuple[Path, ...]
    recordists: frozenset[str]
    of_type: Counter

    @cached_property
    def _by_size(self) -> dict[int, list[Path]]:
        sizes: dict[int, list[Path]] = {}
        for path in self.files:
            sizes.setdefault(path.stat().st_size, []).append(path)
        return sizes

    def reason_seen(self, recording: Recording) -> str:
        """In what way the recording was met before; empty when it was not."""
        if (xeno_canto_number(recording.id) or recording.id) in self.numbers:
            return "the same number"
        try:
            size = recording.path.stat().st_size
            alike = self._by_size.get(size, ()) if size else ()
            content = content_hash(recording.path) if alike else ""
            return f"the same content as {twin.name}" if (twin := _of_content(alike, content)) else ""
        except OSError:
            return ""  # a file that is not there or cannot be read is told when its mel is made

    def knows_recordist(self, recording: Recording) -> bool:
        """Whether other recordings of the same recordist were met; never where nobody is named."""
        return bool(recording.recordist) and group_of(recording) in self.recordists

    def joined(self, other: "TrainedOn") -> "TrainedOn":
        """What either met; `of_type` stays this one's."""
        return replace(
            self,
            numbers=self.numbers | other.numbers,
            files=tuple(sorted({*self.files, *other.files})),
            recordists=self.recordists | other.recordists,
        )


def _of_content(paths: Sequence[Path], content: str) -> Path | None:
    return next((path for path in paths if content_hash(path) == content), None)


def read_trained_on(path: Path, synthetic: bool, split_by: str) -> TrainedOn | None:
    """From a run's `splits.csv`, None where it is not there; `split_by="segment"` learned from every recording."""
    if not path.is_file():
        return None
    learned_from = SPLITS if split_by == "segment" else LEARNED_FROM
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["split"] in learned_from]
        recordings = [Recording(row["id"], Path(row["file"]), "", row["type"], "", row["recordist"]) for row in rows]
        of_type = Counter(row["type"] for row in rows if row["split"] == "train" and row["type"])
    except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
        raise RunError(
            f"{path} is not the list of recordings of a run ({error!r}); put it back, or train anew"
        ) from None
    there = {recording.path for recording in recordings if recording.path.is_file()}
    return TrainedOn(
        numbers=frozenset(
            xeno_canto_number(recording.id) or recording.id
            for recording in recordings
            if (xeno_canto_number(recording.id) and not synthetic) or recording.path not in there
        ),
        files=tuple(sorted(there)),
        recordists=frozenset(group_of(recording) for recording in recordings if recording.recordist),
        of_type=of_type,
    )
