"""Detections of a station in our own database: what it reports is stored, and what it changes afterwards is noticed."""

import json
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from birdnet_nl.prediction.species_of import species_of_label
from birdnet_nl.stations.database import transaction
from birdnet_nl.stations.detection import State, StationDetection
from birdnet_nl.stations.detection_rows import (
    COLUMNS,
    changeable,
    cleaned,
    original,
    storable,
    stored_detection,
    values_of,
)
from birdnet_nl.stations.station import Changes

PENDING = "state IN ('new', 'waiting for audio')"  # as in the schema, so that SQLite uses the partial index
DELETED = "deleted at the station"


@dataclass(frozen=True)
class StoredDetection:
    """Detection in the database.

    Attributes:
        id: our own number.
        species: slug, empty where the names are of no species of the table.
        attempts: how often its clip was asked for in vain.
        result: id of the latest result, None where there is none.
        noticed_at: when it was stored first, in seconds since 1970.
    """

    id: int
    detection: StationDetection
    species: str
    state: State
    attempts: int
    result: int | None
    noticed_at: float


@dataclass
class Counts:
    """Numbers of detections that a call of `store_changes` stored."""

    new: int = 0
    changed: int = 0
    renamed: int = 0
    deleted: int = 0
    restored: int = 0

    def __str__(self) -> str:
        counts = ((getattr(self, field.name), field.name) for field in fields(self))
        return ", ".join(f"{count} {name}" for count, name in counts if count) or "nothing"


def add_station(connection: sqlite3.Connection, name: str, settings: Mapping[str, Any]) -> str:
    """Store a station with the settings that the page needs, and return where to continue reading.

    With another folder of clips, or another address, than before, detections whose audio was gone are new again: the
    one before may have been a mistake.
    """
    text = json.dumps(dict(settings), sort_keys=True, default=str)
    with transaction(connection):
        connection.execute("INSERT INTO stations (name) VALUES (?) ON CONFLICT DO NOTHING", (name,))
        before = connection.execute("SELECT settings FROM stations WHERE name = ?", (name,)).fetchone()[0]
        if before != text:
            connection.execute("UPDATE stations SET settings = ? WHERE name = ?", (text, name))
            if _place_of_clips(before) not in (None, _place_of_clips(text)):
                connection.execute(
                    "UPDATE detections SET state = ?, reason = '', attempts = 0, next_try = 0 "
                    "WHERE station = ? AND state = ?",
                    (State.NEW, name, State.AUDIO_GONE),
                )
    return position(connection, name)


def _place_of_clips(settings: str) -> str | None:
    """Return the folder or address in stored settings, None where there is none."""
    try:
        values = json.loads(settings)
    except ValueError:
        return None
    return (values.get("clips") or values.get("url")) if isinstance(values, dict) else None


def position(connection: sqlite3.Connection, station: str) -> str:
    """Return where to continue reading a station."""
    row = connection.execute("SELECT position FROM stations WHERE name = ?", (station,)).fetchone()
    return original(row["position"]) if row else ""


def store_changes(connection: sqlite3.Connection, station: str, changes: Changes, now: float | None = None) -> Counts:
    """Store what a station reports and the position after it, in one transaction."""
    now = time.time() if now is None else now
    counts = Counts()
    with transaction(connection):
        for old, new in changes.renamed.items():
            counts.renamed += _rename(connection, station, storable(old), storable(new), now)
        for detection in changes.detections:
            kind = _store(connection, station, cleaned(detection), now)
            if kind:
                setattr(counts, kind, getattr(counts, kind) + 1)
        for key in changes.gone:
            counts.deleted += _delete(connection, station, storable(key), now)
        for key, review in changes.reviewed.items():
            if (row := _find(connection, station, storable(key))) is not None:
                _note(connection, row["id"], "reviewed", "", review, now)
        connection.execute("UPDATE stations SET position = ? WHERE name = ?", (storable(changes.position), station))
    return counts


def _find(connection: sqlite3.Connection, station: str, key: str) -> sqlite3.Row | None:
    query = f"SELECT id, {COLUMNS}, species, state, result, deleted_at FROM detections WHERE station = ? AND key = ?"
    return connection.execute(query, (station, key)).fetchone()


def _store(connection: sqlite3.Connection, station: str, detection: StationDetection, now: float) -> str:
    """Insert or update one detection; returns the name of what happened in `Counts`, or an empty string."""
    found = species_of_label(detection.scientific_name, detection.common_name)
    species, values = found.slug if found else "", values_of(detection)
    row = _find(connection, station, values[0])
    if row is None:
        marks = ", ".join("?" * (len(values) + 6))
        state = State.FAILED if detection.reason else State.NEW
        connection.execute(
            f"INSERT INTO detections (station, {COLUMNS}, species, state, reason, noticed_at, changed_at) "
            f"VALUES ({marks})",
            (station, *values, species, state, storable(detection.reason), now, now),
        )
        return "new"
    before, is_back = stored_detection(row), row["deleted_at"] is not None
    if before == detection and not is_back:
        return ""
    connection.execute(
        f"UPDATE detections SET ({COLUMNS}, species, changed_at, deleted_at) = ({', '.join('?' * (len(values) + 3))}) "
        "WHERE id = ?",
        (*values, species, now, None, row["id"]),
    )
    if species != row["species"]:
        kind, old, new = "identified", _name(before), _name(detection)
        connection.execute("UPDATE detections SET result = NULL WHERE id = ?", (row["id"],))
        predicts_again = True
    else:
        kind, old, new = ("restored" if is_back else "changed"), changeable(before), changeable(detection)
        has_new_sound = before.window_s != detection.window_s or before.reason != detection.reason
        predicts_again = has_new_sound or (row["result"] is None and (is_back or before.clip != detection.clip))
    if predicts_again:
        connection.execute(
            "UPDATE detections SET state = ?, reason = ?, attempts = 0, crashes = 0, next_try = 0 WHERE id = ?",
            (State.FAILED if detection.reason else State.NEW, storable(detection.reason), row["id"]),
        )
    _note(connection, row["id"], kind, old, new, now)
    return "restored" if is_back else "changed"


def find_species_again(connection: sqlite3.Connection, station: str) -> int:
    """Look up the species of detections that have none, for a table of species that grew; returns their number."""
    rows = connection.execute(
        "SELECT DISTINCT scientific_name, common_name FROM detections WHERE station = ? AND state = ? AND species = ''",
        (station, State.NO_MODEL),
    ).fetchall()
    found = [(species_of_label(*map(original, row)), row) for row in rows]
    with transaction(connection):
        return sum(
            connection.execute(
                "UPDATE detections SET species = ? WHERE station = ? AND state = ? AND species = '' "
                "AND scientific_name = ? AND common_name = ?",
                (species.slug, station, State.NO_MODEL, *row),
            ).rowcount
            for species, row in found
            if species is not None
        )


def _rename(connection: sqlite3.Connection, station: str, old: str, new: str, now: float) -> int:
    row = _find(connection, station, old)
    if row is None or old == new:
        return 0
    if _find(connection, station, new) is not None:
        return _delete(connection, station, old, now)
    connection.execute("UPDATE detections SET key = ?, changed_at = ? WHERE id = ?", (new, now, row["id"]))
    _note(connection, row["id"], "renamed", old, new, now)
    return 1


def _delete(connection: sqlite3.Connection, station: str, key: str, now: float) -> int:
    row = _find(connection, station, key)
    if row is None or row["deleted_at"] is not None:
        return 0
    connection.execute("UPDATE detections SET deleted_at = ?, changed_at = ? WHERE id = ?", (now, now, row["id"]))
    connection.execute(
        f"UPDATE detections SET state = ?, reason = ? WHERE id = ? AND {PENDING}",
        (State.AUDIO_GONE, DELETED, row["id"]),
    )
    _note(connection, row["id"], "deleted", key, "", now)
    return 1


def _note(connection: sqlite3.Connection, id: int, kind: str, old: str, new: str, now: float) -> None:
    connection.execute(
        "INSERT INTO changes (detection, kind, old, new, noticed_at) VALUES (?, ?, ?, ?, ?)", (id, kind, old, new, now)
    )


def _name(detection: StationDetection) -> str:
    return storable(detection.common_name or detection.scientific_name)


class StoredKnown:
    """Stored detections of one station, as `stations.station.Known`."""

    def __init__(self, connection: sqlite3.Connection, station: str) -> None:
        self.connection, self.station = connection, station

    def between(self, start: datetime, end: datetime) -> Mapping[str, StationDetection]:
        """See `Known.between`."""
        rows = self.connection.execute(
            f"SELECT {COLUMNS} FROM detections WHERE station = ? AND recorded_at >= ? AND recorded_at < ? "
            "AND deleted_at IS NULL",
            (self.station, start.isoformat(), end.isoformat()),
        )
        detections = map(stored_detection, rows)
        return {detection.key: detection for detection in detections}

    def days(self) -> Mapping[str, int]:
        """See `Known.days`."""
        rows = self.connection.execute(
            "SELECT day, count(*) AS count FROM detections WHERE station = ? AND deleted_at IS NULL "
            "GROUP BY day ORDER BY day DESC",
            (self.station,),
        )
        return {row["day"]: row["count"] for row in rows}
