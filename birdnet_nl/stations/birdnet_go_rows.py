"""Detections from the JSON of BirdNET-Go: their keys, times and reviews, also of rows that are malformed."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from birdnet_nl.stations.detection import StationDetection

UNKNOWN_TIME = datetime(1970, 1, 1)
YEARS = range(1970, 9000)  # of a date that is one; Go's zero time is in the year 1
MAX_ZONE = timedelta(hours=26)  # between local times of one moment in two time zones
REVIEWS = ("correct", "false_positive")
MAX_TEXT = 300  # characters of a name


@dataclass(frozen=True)
class Row:
    """Detection in an answer of BirdNET-Go.

    Attributes:
        id: number in its database, which may be given again after a deletion or a migration.
        review: correct, false_positive or empty.
        comments: texts that were written to it.
        time_with_zone: of the detection, where the answer has it.
    """

    id: int
    detection: StationDetection
    review: str
    is_locked: bool
    comments: tuple[str, ...]
    time_with_zone: datetime | None


@dataclass(frozen=True)
class Listing:
    """One list of detections.

    Attributes:
        malformed: number of items that are no detections.
        total: number of detections that the station reports in all, None where it does not.
    """

    rows: tuple[Row, ...]
    malformed: int = 0
    total: int | None = None

    @property
    def items(self) -> int:
        return len(self.rows) + self.malformed


def parse_listing(items: list[Any], total: Any = None) -> Listing:
    """Return the detections of a list."""
    rows = tuple(row for item in items if (row := parse_row(item)) is not None)
    is_number = isinstance(total, int) and not isinstance(total, bool)
    return Listing(rows, len(items) - len(rows), total if is_number else None)


def parse_row(item: Any) -> Row | None:
    """Return one detection; None for what has no id, by which its audio could be asked for.

    The key holds local time, species and id: after a migration of the station's database an id may be another
    detection, and without the id two detections of a species in one second would be one.
    """
    if not isinstance(item, dict):
        return None
    id = item.get("id")
    if not isinstance(id, int) or isinstance(id, bool) or not 0 < id < 2**63:
        return None
    zoned = _zoned(item.get("timestamp")) or _zoned(item.get("beginTime"))
    recorded_at = _local(item.get("date"), item.get("time")) or (zoned and zoned.replace(tzinfo=None))
    scientific_name, common_name = _text(item.get("scientificName")), _text(item.get("commonName"))
    source = item.get("source")
    source = source if isinstance(source, dict) else {}
    comments = item.get("comments")
    comments = comments if isinstance(comments, list) else []
    detection = StationDetection(
        key=f"{(recorded_at or UNKNOWN_TIME).isoformat()} {scientific_name or common_name} #{id}",
        recorded_at=recorded_at or UNKNOWN_TIME,
        scientific_name=scientific_name,
        common_name=common_name,
        confidence=_confidence(item.get("confidence")),
        clip=str(id),
        source=_text(source.get("displayName")) or _text(source.get("id")),
        reason="" if recorded_at else "BirdNET-Go gives no time of the detection",
    )
    review = item.get("verified")
    return Row(
        id=id,
        detection=detection,
        review=review if review in REVIEWS else "",
        is_locked=item.get("locked") is True,
        comments=tuple(_text(comment.get("entry"), 10_000) for comment in comments if isinstance(comment, dict)),
        time_with_zone=zoned,
    )


def is_same_content(stored: StationDetection, now: StationDetection) -> bool:
    """Return whether nothing that matters changed: names follow the language of the station, sources the login."""
    return (
        (stored.scientific_name or stored.common_name) == (now.scientific_name or now.common_name)
        and stored.clip == now.clip
        and math.isclose(stored.confidence, now.confidence, abs_tol=1e-6)
    )


def pair_renamed(gone: Iterable[StationDetection], new: Iterable[StationDetection]) -> dict[str, str]:
    """Return old key -> new key of detections that the station changed.

    - Identified again: same id and time, another species.
    - Renumbered by a migration: same time, species and confidence, another id.
    - Moved with the time zone: same id, species and confidence, a time that differs by quarters of an hour.

    An id that was only given again pairs nothing.
    """
    by_id: dict[str, list[StationDetection]] = {}
    by_time: dict[datetime, list[StationDetection]] = {}
    for detection in gone:
        by_id.setdefault(detection.clip, []).append(detection)
        by_time.setdefault(detection.recorded_at, []).append(detection)
    renamed: dict[str, str] = {}
    for detection in new:
        candidates = [
            *(old for old in by_id.get(detection.clip, ()) if old.recorded_at == detection.recorded_at),
            *(old for old in by_time.get(detection.recorded_at, ()) if _is_same_sound(old, detection)),
            *(
                old
                for old in by_id.get(detection.clip, ())
                if _is_same_sound(old, detection) and _is_zone(abs(old.recorded_at - detection.recorded_at))
            ),
        ]
        for old in candidates:
            if old.key not in renamed:
                renamed[old.key] = detection.key
                break
    return renamed


def _is_same_sound(first: StationDetection, second: StationDetection) -> bool:
    is_same_species = first.scientific_name == second.scientific_name
    return is_same_species and math.isclose(first.confidence, second.confidence, abs_tol=1e-6)


def _is_zone(apart: timedelta) -> bool:
    return apart <= MAX_ZONE and apart.total_seconds() % 900 == 0


def _text(value: Any, longest: int = MAX_TEXT) -> str:
    return " ".join(value.split())[:longest] if isinstance(value, str) else ""


def _confidence(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return 0.0
    return min(1.0, max(0.0, value / 100 if value > 1 else float(value)))


def _local(date: Any, time: Any) -> datetime | None:
    if not isinstance(date, str) or not isinstance(time, str):
        return None
    try:
        moment = datetime.fromisoformat(f"{date.strip()}T{time.strip()}").replace(tzinfo=None, microsecond=0)
    except ValueError:
        return None
    return moment if moment.year in YEARS else None


def _zoned(value: Any) -> datetime | None:
    """Return a time with a zone."""
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo and moment.year in YEARS else None
