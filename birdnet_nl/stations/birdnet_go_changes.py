"""Changes of a BirdNET-Go: its newest detections are compared with the stored ones, and gaps are read page by page."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol

from birdnet_nl.stations.birdnet_go_rows import MAX_ZONE, Listing, Row, is_same_content, pair_renamed
from birdnet_nl.stations.detection import StationDetection
from birdnet_nl.stations.station import Changes, Known

RECENT = 200  # detections that are read when a new one is reported
RECENT_AFTER_GAP = 500  # … after a connection was made
PAGE = 500  # larger than the pages that BirdNET-Go keeps for minutes (100)
OVERLAP = 20  # detections that are in two pages, so that deletions between two requests lose none
LATE = timedelta(minutes=15)  # a detection may be stored so much later than one that began after it
FAR = timedelta(days=7)  # between two detections of one list, one of which has the time of a wrong clock
MOST_CHECKS = 30  # detections that are asked for one by one in one call, because they are missing in a list
log = logging.getLogger(__name__)


class Lists(Protocol):
    """The part of `birdnet_go_api.Api` that is used here."""

    def recent(self, limit: int) -> Listing: ...
    def page(self, offset: int, limit: int) -> Listing: ...
    def detection(self, id: int) -> tuple[Row | None, float | None]: ...


@dataclass(frozen=True)
class Position:
    """Where reading continues; nothing in it depends on a clock.

    Attributes:
        offset: of the next page of a gap, None where there is no gap.
        to_end: whether the gap ends with the first detection of the station, not with stored ones.
        edge: keys of the last detections of the page before.
        reviews: key -> review of the newest detections that were reviewed.
    """

    offset: int | None = 0
    to_end: bool = True
    edge: list[str] = field(default_factory=list)
    reviews: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, text: str) -> "Position":
        """Read a position; after one that cannot be read all detections are compared again, which loses nothing."""
        if not text:
            return cls()
        try:
            position = cls(**json.loads(text))
            if not (position.offset is None or position.offset >= 0):
                raise ValueError
            return replace(position, edge=list(position.edge), reviews=dict(position.reviews))
        except (TypeError, ValueError):
            log.warning("the stored position of BirdNET-Go cannot be read; all its detections are compared again")
            return cls()

    def write(self) -> str:
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class Reading:
    """Changes, the ids of the newest detections, and the number of items in a list that were no detections."""

    changes: Changes
    ids: set[int]
    malformed: int


def read_changes(lists: Lists, text: str, known: Known, recent: int) -> Reading:
    """Return changes since a position.

    The newest detections come first. If they do not reach stored ones, what is between is read in pages, one in each
    call.
    """
    position = Position.read(text)
    checks = _Checks(lists)
    newest = lists.recent(recent)
    comparison = _compare(newest.rows, known, checks, is_newest=True)
    changes, malformed = comparison.changes, newest.malformed
    position = _after_recent(position, newest, comparison)
    reviews = _reviews(position.reviews, newest.rows)
    changes.reviewed.update({key: value for key, value in reviews.items() if position.reviews.get(key, "") != value})
    position = replace(position, reviews={key: value for key, value in reviews.items() if value})
    if position.offset is not None and newest.rows:
        page = lists.page(position.offset, PAGE)
        malformed = max(malformed, page.malformed)  # the lists overlap
        older = _compare(page.rows, known, checks, is_newest=False)
        _add(changes, older.changes)
        position = _after_page(position, page, older)
    more = position.offset is not None and bool(newest.rows)
    changes = replace(changes, position=position.write(), more=more)
    return Reading(changes, {row.id for row in newest.rows}, malformed)


def _after_recent(position: Position, newest: Listing, comparison: "_Comparison") -> Position:
    """Begin to read a gap where the newest detections do not reach stored ones."""
    start = max(0, newest.items - OVERLAP)
    if comparison.is_renumbered:  # a migration of its database: all detections may have new ids
        return replace(position, offset=start, to_end=True, edge=[])
    if not newest.rows or comparison.reaches_stored:
        return position
    return replace(position, offset=start, to_end=position.offset is not None, edge=[])


def _after_page(position: Position, page: Listing, comparison: "_Comparison") -> Position:
    assert position.offset is not None
    keys = [row.detection.key for row in page.rows]
    if position.edge and position.offset > 0 and not set(position.edge) & set(keys):
        # more were deleted meanwhile than two pages share: back to where they meet
        return replace(position, offset=max(0, position.offset - PAGE))
    is_last = page.items == 0 or (page.items < PAGE and position.offset + page.items >= (page.total or 0))
    if is_last or (comparison.reaches_stored and not position.to_end):
        return replace(position, offset=None, to_end=False, edge=[])
    step = page.items - OVERLAP if page.items > 2 * OVERLAP else page.items
    return replace(position, offset=position.offset + step, edge=keys[-OVERLAP:])


@dataclass
class _Checks:
    """Requests for detections that are missing in a list, of which one call makes a few."""

    lists: Lists
    left: int = MOST_CHECKS

    def is_gone(self, detection: StationDetection) -> bool:
        """Return whether the station has no such detection; False where that is not known yet."""
        if self.left <= 0:
            return False
        self.left -= 1
        row, _ = self.lists.detection(int(detection.clip))
        return row is None or row.detection.key != detection.key


@dataclass(frozen=True)
class _Comparison:
    """Result of `_compare`.

    Attributes:
        reaches_stored: whether the last detections of the list were all stored before.
        is_renumbered: whether detections were found again under other ids.
    """

    changes: Changes
    reaches_stored: bool = False
    is_renumbered: bool = False


def _compare(rows: Sequence[Row], known: Known, checks: _Checks, is_newest: bool) -> _Comparison:
    """Compare one list, newest detections first, with the stored detections of its time."""
    if not rows:
        return _Comparison(Changes())
    listed = {row.detection.key: row.detection for row in rows}
    times = [detection.recorded_at for detection in listed.values()]
    stored = _stored(known, times, timedelta(0))
    new = [detection for key, detection in listed.items() if key not in stored]
    around = _stored(known, times, MAX_ZONE) if new else stored
    renamed = pair_renamed([detection for key, detection in around.items() if key not in listed], new)
    # A stored detection must be listed where both its time and its id are between those of the list. Lists are sorted
    # by id or by time, depending on the version of the station, and its clock may have been wrong.
    oldest, newest = min(times) + LATE, max(times) - (timedelta(0) if is_newest else LATE)
    first, last = min(row.id for row in rows), max(row.id for row in rows)
    missing = [
        detection
        for key, detection in stored.items()
        if key not in listed
        and key not in renamed
        and oldest <= detection.recorded_at <= newest
        and detection.clip.isdigit()
        and first <= int(detection.clip)
        and (is_newest or int(detection.clip) <= last)
    ]
    missing.sort(key=lambda detection: detection.recorded_at, reverse=True)
    gone = [detection.key for detection in missing if checks.is_gone(detection)]
    changed = [item for key, item in listed.items() if key not in stored or not is_same_content(stored[key], item)]
    changed.sort(key=lambda detection: detection.recorded_at, reverse=True)
    return _Comparison(
        Changes(changed, renamed, gone),
        reaches_stored=all(row.detection.key in stored for row in rows[-OVERLAP:]),
        is_renumbered=any(around[old].clip != listed[new].clip for old, new in renamed.items()),
    )


def _stored(known: Known, times: Sequence[datetime], margin: timedelta) -> dict[str, StationDetection]:
    """Return stored detections around times; one time far from the others does not bring all that is between."""
    stored: dict[str, StationDetection] = {}
    ordered = sorted(times)
    start = ordered[0]
    for before, time in zip(ordered, [*ordered[1:], None], strict=True):
        if time is None or time - before > FAR:
            stored.update(known.between(start - margin, before + margin + timedelta(seconds=1)))
            start = time or start
    return stored


def _reviews(before: Mapping[str, str], rows: Sequence[Row]) -> dict[str, str]:
    """Return the reviews of the newest detections; an empty one where a review was taken back."""
    return {row.detection.key: row.review for row in rows if row.review or row.detection.key in before}


def _add(changes: Changes, more: Changes) -> None:
    """Add the changes of an older page; a detection that is in both was listed first as it is now."""
    keys = {detection.key for detection in changes.detections}
    changes.detections.extend(detection for detection in more.detections if detection.key not in keys)
    for old, new in more.renamed.items():
        changes.renamed.setdefault(old, new)
    changes.gone.extend(key for key in more.gone if key not in changes.gone)
