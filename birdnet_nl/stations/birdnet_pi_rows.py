"""Detections from rows of BirdNET-Pi's database: keys, times and clips, also of rows that are malformed."""

import math
import re
from datetime import date, datetime, time
from typing import Any, NamedTuple

from birdnet_nl.stations.detection import StationDetection

COLUMNS = ("Date", "Time", "Sci_Name", "Com_Name", "Confidence", "File_Name")  # that are read
# Koolmees-85-2026-11-30-birdnet-RTSP_1-06:12:08.mp3; the name of the species may hold anything
CLIP_NAME = re.compile(
    r"(?P<species>.*)(?P<rest>-(?P<percent>\d+)-(?P<date>\d{4}-\d\d-\d\d)-birdnet-(?:(?P<source>RTSP_\d+)-)?"
    r"(?P<time>\d\d:\d\d:\d\d)\.\w+)",
    re.DOTALL,
)
UNKNOWN_DATE = date(1970, 1, 1)  # of rows that have no date, nor a file name with one
MAX_TEXT = 200  # characters of a value in a reason


class Row(NamedTuple):
    """Row of the table `detections` with the values as SQLite has them: any type in any column.

    Text is decoded with `surrogateescape`, so that names that are no UTF-8 stay the names of their files.
    """

    date: Any
    time: Any
    scientific_name: Any
    common_name: Any
    confidence: Any
    file_name: Any


def detection_of(row: Row) -> StationDetection:
    """Return the detection of a row.

    The key consists of date, time, source and file name as they were written; a row without a file name that can be
    used has a reason, no clip, and its species in the key. Where the row's date or time is none, the one in the file
    name counts, else 1970-01-01 and 00:00:00.
    """
    file_name = text_of(row.file_name)
    name = CLIP_NAME.fullmatch(file_name)
    day = _date(row.date) or _date(name and name["date"]) or UNKNOWN_DATE
    moment = _time(row.time) or _time(name and name["time"]) or time()
    source = (name and name["source"]) or ""
    reason = _reason(row, file_name, day)
    parts = [text_of(row.date), text_of(row.time), source, file_name]
    if reason:
        parts.append(text_of(row.scientific_name))
    return StationDetection(
        key="/".join(parts),  # no part but the last can hold a slash in a row that BirdNET-Pi wrote
        recorded_at=datetime.combine(day, moment),
        scientific_name=text_of(row.scientific_name),
        common_name=text_of(row.common_name),
        confidence=_confidence(row.confidence),
        clip="" if reason else f"{day}/{safe_name(text_of(row.common_name))}/{file_name}",
        source=source,
        reason=reason,
    )


def recorded_day(value: object) -> str | None:
    """Return a value of the column Date that is a date as BirdNET-Pi writes it (`2026-11-30`), else None."""
    return str(day) if (day := _date(value)) and str(day) == value else None


def safe_name(common_name: str) -> str:
    """Return the name of a species' folder, as BirdNET-Pi makes it: no `'`, and `_` for blanks."""
    return common_name.replace("'", "").replace(" ", "_")


def pair_renamed(gone: list[StationDetection], new: list[StationDetection]) -> dict[str, str]:
    """Return old key -> new key of detections that were identified again.

    Date, time and source stay the same, and so does the rest of the file name after the species; only one that is alone
    on both sides is paired by date, time and source alone.
    """
    renamed: dict[str, str] = {}
    for identity in (_rest, _moment):
        sides = []
        for detections in (gone, new):
            groups: dict[tuple[str, ...], list[str]] = {}
            for detection in detections:
                if detection.key not in renamed and detection.key not in renamed.values():
                    groups.setdefault(identity(detection), []).append(detection.key)
            sides.append(groups)
        old_groups, new_groups = sides
        for group, keys in old_groups.items():
            if len(keys) == len(new_groups.get(group, ())) == 1:
                renamed[keys[0]] = new_groups[group][0]
    return renamed


def _moment(detection: StationDetection) -> tuple[str, ...]:
    return detection.recorded_at.isoformat(), detection.source


def _rest(detection: StationDetection) -> tuple[str, ...]:
    name = CLIP_NAME.fullmatch(detection.clip.rpartition("/")[2])
    return (*_moment(detection), name["rest"] if name else detection.key)


def text_of(value: object) -> str:
    """Return a value of SQLite as text; NULL is empty, and bytes are read as UTF-8."""
    if value is None:
        return ""
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)


def _reason(row: Row, file_name: str, day: date) -> str:
    """Return why the row names no clip, or an empty string."""
    if not file_name.strip():
        return "the row in birds.db has no file name"
    shown = repr(file_name[:MAX_TEXT])
    if "/" in file_name or "\0" in file_name or file_name in (".", ".."):
        return f"the row in birds.db has {shown} as file name, which is no name of a file"
    if day == UNKNOWN_DATE and _date(row.date) is None:
        return f"the row in birds.db has no date ({text_of(row.date)[:MAX_TEXT]!r}), nor has its file name {shown}"
    folder = safe_name(text_of(row.common_name))
    if "\0" in folder or ".." in folder.split("/") or folder.startswith("/"):
        return f"the row in birds.db has {folder[:MAX_TEXT]!r} as name of the species, which is no name of a folder"
    return ""


def _date(value: object) -> date | None:
    try:
        return date.fromisoformat(value[:10]) if isinstance(value, str) and value[4:5] == "-" else None
    except ValueError:
        return None


def _time(value: object) -> time | None:
    try:
        return time.fromisoformat(value[:8]) if isinstance(value, str) and value[2:3] == ":" else None
    except ValueError:
        return None


def _confidence(value: object) -> float:
    """Return a confidence between 0 and 1; 0 where it is no number, as after an identification by hand."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return 0.0
    return min(1.0, max(0.0, number)) if math.isfinite(number) else 0.0
