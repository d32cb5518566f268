"""Comparison of listed files with the stored detections, in stretches of time that fit into little memory."""

import os
import time
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from birdnet_nl.stations.detection import StationDetection
from birdnet_nl.stations.folder_scan import FolderScan
from birdnet_nl.stations.station import Changes, Known

PART = 2000  # files or stored detections in one comparison
BUDGET_S = 0.2  # for comparisons in one call: new files are looked for in between
LAST_DAY = datetime.max - timedelta(days=1)


class FolderComparison:
    """Comparison of one listing with the stored detections, the latest first.

    Args:
        detection_of: returns the detection of a file by its absolute path, None if it is gone.
    """

    def __init__(
        self,
        scan: FolderScan,
        known: Known,
        detection_of: Callable[[str], StationDetection | None],
        folder: Path,
    ) -> None:
        self._scan, self._detection_of, self._folder = scan, detection_of, folder
        self._stretches: deque[tuple[datetime, datetime]] = deque()
        stored = dict(known.days())
        for day in sorted({*scan.days(), *stored}, reverse=True):
            start = datetime.fromisoformat(day)
            hours = 24 if stored.get(day, 0) > PART else 1
            length = timedelta(days=1) / hours
            first = min(start, LAST_DAY)
            starts = [first + hour * length for hour in reversed(range(hours))]
            self._stretches.extend((start, start + length) for start in starts)

    @property
    def is_done(self) -> bool:
        return not self._stretches

    def close(self) -> None:
        self._scan.close()

    def run(self, known: Known) -> Changes | None:
        """Return the next differences; None when there are none left, or the time for one call is over."""
        end_s = time.monotonic() + BUDGET_S
        while self._stretches and time.monotonic() < end_s:
            start, end = self._stretches.popleft()
            number = self._scan.number_between(start.isoformat(), end.isoformat())
            if number > PART and end - start > timedelta(seconds=1):
                middle = start + timedelta(seconds=int((end - start).total_seconds()) // 2)
                self._stretches.extendleft(((start, middle), (middle, end)))
            elif changes := self._compare(start, end, known):
                return changes
        return None

    def _compare(self, start: datetime, end: datetime, known: Known) -> Changes | None:
        files = self._scan.between(start.isoformat(), end.isoformat())
        stored = known.between(start, end)
        new = [
            detection
            for path, recorded_at in files.items()
            if (path not in stored or stored[path].recorded_at.isoformat() != recorded_at)
            and (detection := self._detection_of(os.path.join(self._folder, path)))  # noqa: PTH118
        ]
        gone = [detection for path, detection in stored.items() if path not in files and not self._exists(path)]
        renamed = _pair_moved(gone, [detection for detection in new if detection.key not in stored])
        removed = [detection.key for detection in gone if detection.key not in renamed]
        return Changes(new, renamed, removed) if new or removed else None

    def _exists(self, path: str) -> bool:
        """Return whether a stored file is there all the same: being written, or with another time."""
        return os.path.lexists(os.path.join(self._folder, path))  # noqa: PTH118


def _pair_moved(gone: list[StationDetection], new: list[StationDetection]) -> dict[str, str]:
    """Return old key -> new key of files that were moved or renamed meanwhile.

    They have the same file name, or the same time, and are alone with it on both sides.
    """
    renamed: dict[str, str] = {}
    for identity in (lambda d: d.key.rpartition(os.sep)[2], lambda d: d.recorded_at.isoformat()):
        groups: tuple[dict[str, list[str]], dict[str, list[str]]] = ({}, {})
        for group, detections in zip(groups, (gone, new), strict=True):
            for detection in detections:
                if detection.key not in renamed and detection.key not in renamed.values():
                    group.setdefault(identity(detection), []).append(detection.key)
        old, new_keys = groups
        for value, keys in old.items():
            if len(keys) == len(new_keys.get(value, ())) == 1:
                renamed[keys[0]] = new_keys[value][0]
    return renamed
