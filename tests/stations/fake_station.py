"""A station in memory, or in a JSON file that other processes write: detections, clips in a folder, and faults."""

import json
import threading
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from pathlib import Path

from birdnet_nl.stations.detection import StationDetection
from birdnet_nl.stations.station import AudioGoneError, AudioNotReadyError, Changes, StationUnavailableError

NOON = datetime(2026, 11, 30, 12)
PART = 50  # detections that are reported at once


def detection(number: int, species: str = "Parus major", **values) -> StationDetection:
    """Detection `number`, one second after the one before."""
    defaults = {
        "key": f"clip-{number}", "recorded_at": NOON + timedelta(seconds=number), "scientific_name": species,
        "common_name": "", "confidence": 0.8, "clip": f"{number}.wav",
    }  # fmt: skip
    return StationDetection(**defaults | values)


class FakeStation:
    """Attributes that tests set:

    entries: what the station has now, by key.
    late: clips that are not ready so many times more; gone: clips that were deleted.
    fault: raised by `changes` and `clip` while it is set.
    """

    name = "fake"

    def __init__(self, clips: Path, entries=()) -> None:
        self.clips, self.entries = clips, {entry.key: entry for entry in entries}
        self.late: dict[str, int] = {}
        self.gone: set[str] = set()
        self.asked: list[str] = []
        self.fault: Exception | None = None
        self.comments: list[tuple[str, str]] = []
        self.renamed: dict[str, str] = {}
        self.closed = False
        self._changed = threading.Event()

    def add(self, *entries: StationDetection) -> None:
        self.entries |= {entry.key: entry for entry in entries}
        self._changed.set()

    def delete(self, key: str) -> None:
        del self.entries[key]
        self._changed.set()

    def rename(self, old: str, new: str, **values) -> None:
        self.entries[new] = replace(self.entries.pop(old), key=new, **values)
        self.renamed[old] = new
        self._changed.set()

    def changes(self, position, known) -> Changes:
        """Compare everything, newest first, and report at most `PART` detections."""
        if self.fault is not None:
            raise self.fault
        entries, stored = self._read(), known.between(datetime.min, datetime.max)
        new = [entry for key, entry in entries.items() if stored.get(key) != entry]
        new.sort(key=lambda entry: entry.recorded_at, reverse=True)
        renamed = {old: name for old, name in self.renamed.items() if old in stored and name not in stored}
        gone = [key for key in stored if key not in entries and key not in renamed]
        return Changes(new[:PART], renamed, gone, position=str(int(position or 0) + 1), more=len(new) > PART)

    def _read(self):
        return dict(self.entries)

    def wait(self, timeout_s: float) -> bool:
        changed = self._changed.wait(timeout_s)
        self._changed.clear()
        return changed

    def wake(self) -> None:
        self._changed.set()

    @contextmanager
    def clip(self, detection: StationDetection):
        self.asked.append(detection.key)
        if self.fault is not None:
            raise self.fault
        if detection.key in self.gone:
            raise AudioGoneError(f"{detection.clip} was deleted")
        if self.late.get(detection.key, 0) > 0:
            self.late[detection.key] -= 1
            raise AudioNotReadyError(f"{detection.clip} is not written yet", retry_after_s=0)
        path = self.clips / detection.clip
        if not path.exists():
            raise AudioNotReadyError(f"{detection.clip} does not exist")
        yield path

    def window_s(self, detection: StationDetection, duration_s: float) -> tuple[float, float]:
        return detection.window_s or ((duration_s - 3) / 2, (duration_s + 3) / 2)

    def report(self, detection: StationDetection, text: str) -> None:
        self.comments.append((detection.key, text))

    def close(self) -> None:
        self.closed = True


class FileStation(FakeStation):
    """As `FakeStation`, with its detections in a file that another process replaces."""

    def __init__(self, clips: Path, file: Path) -> None:
        super().__init__(clips)
        self.file = file

    def _read(self):
        try:
            rows = json.loads(self.file.read_text())
        except FileNotFoundError:
            raise StationUnavailableError(f"{self.file} does not exist") from None
        return {row["key"]: from_row(row) for row in rows}

    def wait(self, timeout_s: float) -> bool:
        return super().wait(min(timeout_s, 0.2))


def from_row(row: dict) -> StationDetection:
    return StationDetection(**row | {"recorded_at": datetime.fromisoformat(row["recorded_at"])})


def write_file(file: Path, entries) -> None:
    rows = [asdict(entry) | {"recorded_at": entry.recorded_at.isoformat()} for entry in entries]
    part = file.with_suffix(".part")
    part.write_text(json.dumps(rows))
    part.replace(file)
