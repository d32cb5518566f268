"""Comparison of BirdNET-Pi's detections with the stored ones by day, which shows late, renamed and deleted rows."""

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from birdnet_nl.stations.birdnet_pi_rows import Row, detection_of, pair_renamed, recorded_day
from birdnet_nl.stations.birdnet_pi_table import DetectionsTable, Head
from birdnet_nl.stations.detection import StationDetection
from birdnet_nl.stations.station import Known

MAX_NEW = 5000  # detections of a day that are reported at once
BUDGET_S = 0.2  # for comparisons in one call: new rows are looked for in between
LAST_START = datetime.max - timedelta(days=1)
ATTEMPTS = 3  # to read a day while nobody writes


@dataclass
class Differences:
    """What the station has changed against the stored detections."""

    detections: list[StationDetection] = field(default_factory=list)
    renamed: dict[str, str] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.detections or self.renamed or self.gone)


@dataclass(frozen=True)
class _Task:
    day: str
    only_count: bool


class DayComparison:
    """Queue of days to compare: a sweep compares the numbers of all days first, then their contents, newest first.

    A day whose rows are those of an earlier comparison without differences is not compared again. A sweep is forgotten
    when the process ends.

    Attributes:
        is_replaced: whether the database took the place of another one. Stored detections from before its first row are
            then kept, since it cannot hold them.
    """

    def __init__(self, table: DetectionsTable) -> None:
        self._table = table
        self._tasks: deque[_Task] = deque()
        self._odd: dict[str, dict[str, StationDetection]] = {}  # rows whose column Date holds no date, by day and key
        self._same: dict[str, int] = {}  # day -> hash of the rows that equal the stored detections
        self._done: set[str] = set()  # days whose contents were compared in this sweep
        self._stored_counts: Mapping[str, int] = {}
        self.is_replaced = False
        self._reported = Differences()  # by the last call that returned any
        self._read_last: tuple[str, Head, dict[str, StationDetection], int] | None = None

    @property
    def is_done(self) -> bool:
        return not self._tasks

    def start(self, known: Known) -> None:
        """Begin a sweep over all days of the station and of the stored detections."""
        days, odd_dates = set(), []
        for date in self._table.dates():
            if day := recorded_day(date):
                days.add(day)
            else:
                odd_dates.append(date)
        self._odd = {}
        for date in odd_dates:
            for row in self._table.rows_of(date):
                self.add(row)
        self._stored_counts = dict(known.days())
        ordered = sorted(days | set(self._odd) | set(self._stored_counts), reverse=True)
        self._done = set()
        self._tasks = deque(_Task(day, True) for day in ordered)
        self._tasks.extend(_Task(day, False) for day in ordered)

    def add(self, row: Row) -> StationDetection:
        """Return the detection of a new row that is reported without a comparison of its day."""
        detection = detection_of(row)
        day = detection.recorded_at.date().isoformat()
        self._same.pop(day, None)  # what is stored changes
        if recorded_day(row.date) is None:  # not among the rows of its day
            self._odd.setdefault(day, {})[detection.key] = detection
        return detection

    def compare_first(self, days: list[str]) -> None:
        """Compare the contents of these days next, also if that was done before."""
        for day in reversed(days):
            self._done.discard(day)
            self._tasks.appendleft(_Task(day, False))

    def run(self, known: Known) -> Differences:
        """Compare days until there are differences or the time for one call is over.

        A day with differences is compared again by the next call, which shows that they were stored.
        """
        end = time.monotonic() + BUDGET_S
        while self._tasks and time.monotonic() < end:
            task = self._tasks[0]
            if task.day in self._done or (task.only_count and self._has_stored_count(task.day)):
                self._tasks.popleft()
                continue
            rows = self._read(task.day)
            if rows is None:  # somebody writes this day: at the end of the queue
                self._tasks.rotate(-1)
                return Differences()
            differences = self._compare(task.day, *rows, known)
            if differences and differences != self._reported:
                self._reported = differences
                return differences
            self._tasks.popleft()  # also where the same differences remain: another sweep reports them again
            self._done.add(task.day)
        return Differences()

    def _has_stored_count(self, day: str) -> bool:
        return self._table.count(day) + len(self._odd.get(day, ())) == self._stored_counts.get(day, 0)

    def _compare(self, day: str, station: dict[str, StationDetection], digest: int, known: Known) -> Differences:
        """Return the differences of a day; of many new detections the latest."""
        if self._same.get(day) == digest:
            return Differences()
        start = datetime.fromisoformat(day)
        stored = known.between(start, min(start, LAST_START) + timedelta(days=1))
        new = [detection for key, detection in station.items() if key not in stored]
        gone = self._deleted([detection for key, detection in stored.items() if key not in station])
        renamed = pair_renamed(gone, new)
        changed = [
            detection for key, detection in station.items() if key in stored and _differs(detection, stored[key])
        ]
        new.sort(key=lambda detection: detection.recorded_at, reverse=True)
        identified = set(renamed.values())
        first = [detection for detection in new if detection.key in identified]
        rest = [detection for detection in new if detection.key not in identified]
        differences = Differences(
            changed + first + rest[:MAX_NEW],
            renamed,
            [detection.key for detection in gone if detection.key not in renamed],
        )
        if not differences:
            self._same[day] = digest
        return differences

    def _deleted(self, missing: list[StationDetection]) -> list[StationDetection]:
        """Return those that were deleted: not what is older than the first row of a database that replaced another."""
        if not self.is_replaced or not missing:
            return missing
        first = self._table.first_moment()
        start = "T".join(map(str, first)) if first else "~"  # `~` comes after all dates
        return [detection for detection in missing if detection.recorded_at.isoformat() >= start]

    def _read(self, day: str) -> tuple[dict[str, StationDetection], int] | None:
        """Return the station's detections of a day by key, and a hash of them; None while somebody writes them."""
        for _ in range(ATTEMPTS):
            head = self._table.head()
            if self._read_last is None or self._read_last[:2] != (day, head):
                rows = list(self._table.rows_of(day))
                if self._table.head() != head:
                    continue
                detections = map(detection_of, rows)
                by_key = {detection.key: detection for detection in detections}
                self._read_last = (day, head, by_key, hash(tuple(rows)))
            _, _, by_key, digest = self._read_last
            odd = self._odd.get(day, {})
            return {**by_key, **odd}, hash((digest, *sorted(odd)))
        return None


def _differs(first: StationDetection, second: StationDetection) -> bool:
    return any(
        getattr(first, name) != getattr(second, name)
        for name in ("scientific_name", "common_name", "clip", "source", "recorded_at")
    ) or abs(first.confidence - second.confidence) > 1e-9  # fmt: skip
