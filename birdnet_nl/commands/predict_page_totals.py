"""Totals and rows of the page of predictions, collected recording by recording in bounded memory."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

MAX_ROWS = 20_000  # of the table of segments


@dataclass(frozen=True)
class PageRecording:
    """Predictions of one file as the page shows them.

    Attributes:
        types: names of the types, in the order of the columns of `probabilities`.
        starts_s, ends_s: of the segments in seconds, [segments].
        probabilities: of the segments, [segments, types].
        recording: probabilities of the whole recording, [types].
        silent: segments of digital silence, bool [segments].
        threshold: a smaller probability is uncertain; None where every prediction is.
    """

    path: Path
    species: str
    types: Sequence[str]
    starts_s: np.ndarray
    ends_s: np.ndarray
    probabilities: np.ndarray
    recording: np.ndarray
    silent: np.ndarray
    duration_s: float
    threshold: float | None
    model: str
    recorded_at: datetime | None = None
    warning: str = ""
    synthetic: bool = False  # the model was trained on demo recordings


class PageTotals:
    """Numbers of all recordings of a page, and the first MAX_ROWS rows of its table of segments.

    Attributes:
        types: names of the types of all models, in the order of their appearance.
        rows: recording, start, end, type, probability, certain and silent of each segment.
        table_recordings: name, species and start of the recordings that have rows.
    """

    def __init__(self) -> None:
        self.types: list[str] = []
        self.rows: list[list[Any]] = []
        self.table_recordings: list[list[str]] = []
        self.models: set[str] = set()
        self.synthetic = False
        self.recordings = self.segments = 0
        self.duration_s = 0.0
        self._of_species: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._recordings_of: Counter[str] = Counter()
        self._of_hour: defaultdict[str, np.ndarray] = defaultdict(lambda: np.zeros(24, dtype=int))
        self._has_hours = False

    def add(self, recording: PageRecording) -> None:
        """Count a recording, and list its segments while there is room."""
        self.types += [name for name in recording.types if name not in self.types]
        self.models.add(recording.model)
        self.synthetic |= recording.synthetic
        self.recordings += 1
        self.segments += len(recording.starts_s)
        self.duration_s += recording.duration_s
        self._recordings_of[recording.species] += 1
        certain = is_certain(recording, recording.probabilities)
        self._count(recording, certain)
        if len(self.rows) < MAX_ROWS:
            self._list(recording, certain)

    def _count(self, recording: PageRecording, certain: np.ndarray) -> None:
        """Count the segments of each type without silent and uncertain ones, the uncertain ones, and the hours."""
        counts, best = self._of_species[recording.species], recording.probabilities.argmax(axis=1)
        counts["uncertain"] += int((~certain & ~recording.silent).sum())
        time = recording.recorded_at
        self._has_hours |= time is not None
        for index, name in enumerate(recording.types):
            counted = certain & ~recording.silent & (best == index)
            counts[name] += int(counted.sum())
            if time is not None:
                start_s = 3600 * time.hour + 60 * time.minute + time.second
                hours = ((start_s + recording.starts_s[counted]) // 3600 % 24).astype(int)
                self._of_hour[name] += np.bincount(hours, minlength=24)

    def _list(self, recording: PageRecording, certain: np.ndarray) -> None:
        number = len(self.table_recordings)
        name, started = printable_name(recording.path), f"{recording.recorded_at or ''}"
        self.table_recordings.append([name, recording.species, started])
        for index in range(min(len(recording.starts_s), MAX_ROWS - len(self.rows))):
            probabilities = recording.probabilities[index]
            best = int(probabilities.argmax())
            self.rows.append([
                number, round(float(recording.starts_s[index]), 2), round(float(recording.ends_s[index]), 2),
                recording.types[best], round(float(probabilities[best]), 3), int(certain[index]),
                int(recording.silent[index]),
            ])  # fmt: skip

    def tiles(self, failed: int) -> list[tuple[Any, str]]:
        """Return the numbers at the top of the page with their names."""
        minutes = f"{self.duration_s / 60:.1f}"
        tiles = [(self.recordings, "recordings"), (minutes, "minutes"), (self.segments, "segments")]
        return [*tiles, (failed, "failed")] if failed else tiles

    def by_species(self) -> list[tuple[str, int, list[int]]]:
        """Return species, number of recordings, and number of segments of each type and of uncertain ones."""
        names = [*self.types, "uncertain"]
        return [
            (species, self._recordings_of[species], [counts[name] for name in names])
            for species, counts in sorted(self._of_species.items())
        ]

    def by_hour(self) -> list[list[int]]:
        """Return the number of certain segments by hour of the day, [24][types]; empty where no time is known."""
        if not self._has_hours:
            return []
        return np.stack([self._of_hour[name] for name in self.types], axis=1).tolist()


def printable_name(path: Path) -> str:
    """Return the file's name with bytes that are not UTF-8 replaced."""
    return path.name.encode("utf-8", "replace").decode()


def is_certain(recording: PageRecording, probabilities: np.ndarray) -> np.ndarray:
    """Return the mask of certain predictions among `probabilities` [items, types]."""
    if recording.threshold is None:
        return np.zeros(len(probabilities), dtype=bool)
    return probabilities.max(axis=1) >= recording.threshold
