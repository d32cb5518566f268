"""BirdNET-Pi as a station: its database is read while it writes, and nothing of it is ever changed."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path

from birdnet_nl.stations.birdnet_pi_clips import BirdnetPiClips, detection_window_s
from birdnet_nl.stations.birdnet_pi_days import DayComparison, Differences
from birdnet_nl.stations.birdnet_pi_files import BirdnetPiFiles
from birdnet_nl.stations.birdnet_pi_rows import Row, detection_of
from birdnet_nl.stations.birdnet_pi_table import CHUNK, DetectionsTable, Head
from birdnet_nl.stations.detection import StationDetection
from birdnet_nl.stations.files_changed import FilesChanged
from birdnet_nl.stations.station import Changes, Known

LATEST_ROWS = 50  # whose days are compared at once when something but an insertion happened
SWEEP_PAUSE_S = 600.0  # between two comparisons of all days after such a change …
DAILY_S = 86_400.0  # … and without one
WAL_PAUSE_S = 60.0  # between two comparisons of the latest days in WAL mode, which does not count transactions
BREATH_S = 0.02  # between two parts of a comparison of days
ATTEMPTS = 3  # to read while nobody writes


@dataclass(frozen=True)
class _Position:
    """Place where reading continues.

    Attributes:
        file: device and inode of the database.
        row: highest row number seen; only a hint, since SQLite uses numbers again.
        counter: transactions of the database so far, None in WAL mode.
        is_replaced: whether the database took the place of another one at some time.
        is_swept: whether all days were compared after the last change that was no insertion.
    """

    file: tuple[int, int] = (-1, -1)
    row: int = 0
    counter: int | None = None
    is_replaced: bool = False
    is_swept: bool = False

    def is_other(self, head: Head) -> bool:
        """Return whether the database is another file: a new one may get the number of a deleted one."""
        is_younger = None not in (head.counter, self.counter) and head.counter < self.counter
        return head.file != self.file or is_younger

    @classmethod
    def parse(cls, text: str) -> "_Position":
        try:
            values = json.loads(text)
            position = cls(**{**values, "file": tuple(values["file"])})
            return position if isinstance(position.row, int) else cls()
        except (ValueError, TypeError, KeyError):  # empty, or of another version: all days are compared
            return cls()


class BirdnetPiStation:
    """Detections and clips of a BirdNET-Pi.

    New rows are found by their row numbers. The database counts its transactions: when there were others than the
    insertions that were read, the latest days are compared with the stored detections at once, and all days within ten
    minutes. All days are also compared once a day.
    """

    def __init__(self, files: BirdnetPiFiles, name: str = "birdnet-pi") -> None:
        self.name, self.files = name, files
        self._table = DetectionsTable(files.database)
        self._days = DayComparison(self._table)
        self._clips = BirdnetPiClips(files.clips, files.clip_s)
        self._changed = FilesChanged(files.database)
        self._is_due: bool | None = None  # whether all days are to be compared; None until the position is known
        self._is_sweeping = False
        self._next_sweep = self._next_wal = 0.0
        self._next_daily = time.monotonic() + DAILY_S
        self._version: int | None = None  # of the database at the last look

    @property
    def settings(self) -> Mapping[str, str]:
        """Settings that the page needs to find the clips."""
        return {"kind": "birdnet-pi", "clips": str(self.files.clips)}

    def changes(self, position: str, known: Known) -> Changes:
        """See `Station.changes`: new rows first, then differences of days, which are compared in the background."""
        before = _Position.parse(position)
        head, rows, last, is_unread = self._read_new(before)
        is_replaced = before.is_replaced or (before.is_other(head) and bool(position))
        self._is_due = not before.is_swept if self._is_due is None else self._is_due
        is_unexplained = self._is_unexplained(before, head, len(rows))
        self._days.is_replaced = is_replaced
        self._start_sweep(known, at_once=is_unread)
        if is_unexplained and not is_unread:
            self._days.compare_first(self._latest_days(head))
        detections = [self._days.add(row) for row in reversed(rows)]
        differences = Differences() if rows else self._days.run(known)  # the newest first
        self._is_sweeping = self._is_sweeping and not self._days.is_done
        is_swept = not (self._is_due or self._is_sweeping)
        after = _Position(head.file, last, head.counter, is_replaced, is_swept)
        return Changes(
            detections + differences.detections,
            differences.renamed,
            differences.gone,
            position=json.dumps(asdict(after)),
            more=not self._days.is_done,
        )

    def wait(self, timeout_s: float) -> bool:
        """See `Station.wait`; no longer than a moment while days are left to compare."""
        if self._days.is_done:
            return self._changed.wait(timeout_s)
        self._changed.wait(min(timeout_s, BREATH_S))
        return True

    def wake(self) -> None:
        self._changed.wake()

    @contextmanager
    def clip(self, detection: StationDetection) -> Iterator[Path]:
        """See `Station.clip`."""
        yield self._clips.path(detection)

    def window_s(self, detection: StationDetection, duration_s: float) -> tuple[float, float]:
        """See `Station.window_s`; the 3 s that BirdNET-Pi recognised, as `detection_window_s`."""
        return detection_window_s(duration_s, self.files.clip_s)

    def report(self, detection: StationDetection, text: str) -> None:
        """Do nothing: BirdNET-Pi has no place for a prediction that is not part of its table."""

    def close(self) -> None:
        self._table.close()
        self._changed.close()

    def _read_new(self, before: _Position) -> tuple[Head, list[Row], int, bool]:
        """Return the state of the database, the rows after `before`, the last number, and whether rows are left out.

        They are left out, for the comparison of days, where they are many or the numbers are of another file: a backlog
        is then read from its latest day.
        """
        for _ in range(ATTEMPTS):
            head = self._table.head()
            if before.is_other(head) or head.last_row - before.row > CHUNK:
                return head, [], head.last_row, True
            if head.last_row <= before.row:
                return head, [], head.last_row, False
            rows, last = self._table.rows_after(before.row)
            if self._table.head()[:3] == head[:3]:  # else the counter may be of fewer rows
                break
        return head, rows, last, False

    def _is_unexplained(self, before: _Position, head: Head, rows: int) -> bool:
        """Return whether something but the insertion of the new rows happened, so that days are to be compared now."""
        is_first, is_changed = self._version is None, head.version != self._version
        if head.counter is not None and before.counter is not None:
            is_unexplained = (head.counter - before.counter) % (1 << 32) != rows
            self._is_due = self._is_due or is_unexplained
        else:  # nothing is counted
            is_unexplained = is_changed and time.monotonic() >= self._next_wal
            self._is_due = self._is_due or is_first
        if is_unexplained:
            self._next_wal = time.monotonic() + WAL_PAUSE_S
        if is_unexplained or head.counter is not None:
            self._version = head.version
        return is_unexplained

    def _start_sweep(self, known: Known, at_once: bool) -> None:
        """Begin to compare all days where that is due, or once a day."""
        now = time.monotonic()
        is_due = (self._is_due and now >= self._next_sweep) or now >= self._next_daily
        if at_once or (is_due and not self._is_sweeping):
            self._days.start(known)
            self._is_sweeping, self._is_due = True, False
            self._next_sweep, self._next_daily = now + SWEEP_PAUSE_S, now + DAILY_S

    def _latest_days(self, head: Head) -> list[str]:
        """Return today, yesterday and the days of the rows with the highest numbers, the latest first."""
        rows, _ = self._table.rows_after(head.last_row - LATEST_ROWS)
        today = datetime.now().date()
        days = {f"{detection_of(row).recorded_at.date()}" for row in rows}
        return sorted(days | {f"{today}", f"{today - timedelta(days=1)}"}, reverse=True)
