"""Corrections of predictions: stored with person and time, every one kept; the latest of a detection counts."""

import json
import sqlite3
import time
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from birdnet_nl.recordings.type_set import THREE, type_order
from birdnet_nl.stations.detection import State
from birdnet_nl.util.errors import DataError

WRONG = "wrong"  # not this species, or no bird
WITHDRAWN = ""
MAX_PERSON, MAX_COMMENT, MAX_TYPE = 100, 2000, 60  # characters

LATEST_CORRECTION = "(SELECT max(corrections.id) FROM corrections WHERE corrections.detection = detections.id)"
"""Id of the latest correction in a query on `detections`; its type is empty where it was withdrawn."""

COLUMNS = "corrections.id, corrections.detection, corrections.result, corrections.type, person, comment, corrected_at"


@dataclass(frozen=True)
class Correction:
    """One correction of a detection.

    Attributes:
        result: id of the result that was shown, None where there was none.
        type: one of `correction_types`, or `WITHDRAWN`.
        corrected_at: seconds since 1970.
    """

    id: int
    detection: int
    result: int | None
    type: str
    person: str
    comment: str
    corrected_at: float


@dataclass(frozen=True)
class UncertainDetection:
    """A detection without a correction, with its latest prediction.

    Attributes:
        id: of the detection.
        species: slug, empty where the species is not in our table.
        clip: as the station finds its audio.
    """

    id: int
    station: str
    recorded_at: datetime
    species: str
    scientific_name: str
    common_name: str
    clip: str
    type: str
    probability: float
    model: str


def correction_types(predicted: Iterable[str]) -> tuple[str, ...]:
    """Return possible corrections of a detection: the types that its model predicts, song, call, alarm, and `WRONG`.

    A type is the name of a folder of an export, so that names other than those of `TypeSet` are left out.
    """
    names = {name for name in predicted if is_type(name)} | set(THREE.types)
    return (*sorted(names, key=type_order), WRONG)


def is_type(name: str) -> bool:
    """Return whether a text is a type, and neither `WRONG`, `WITHDRAWN` nor anything that is no name."""
    return name.isidentifier() and name != WRONG and len(name) <= MAX_TYPE


def add_correction(
    connection: sqlite3.Connection,
    detection: int,
    type: str,
    person: str,
    comment: str = "",
    result: int | None = None,
    corrected_at: float | None = None,
) -> Correction:
    """Store a correction and return it; the same correction by the same person again is stored once.

    `result` is the prediction that was shown, by default the latest one. Control characters of `person` and `comment`
    become blanks.

    Raises:
        ValueError: for an unknown type, no person, or a text that is too long.
        DataError: if there is no such detection, or no such result of it.
    """
    possible = correction_types(_predicted_types(connection, _shown_result(connection, detection, result)))
    if type not in possible:
        raise ValueError(f"type={type!r} is not a correction; choose one of {', '.join(possible)}")
    return _add(connection, detection, type, person, comment, result, corrected_at)


def withdraw_correction(
    connection: sqlite3.Connection, detection: int, person: str, comment: str = "", corrected_at: float | None = None
) -> Correction | None:
    """Withdraw the latest correction of a detection; return None where there is nothing to withdraw.

    The withdrawn correction stays in `correction_history`. Raises as `add_correction` does.
    """
    if latest_correction(connection, detection) is None:
        return None
    return _add(connection, detection, WITHDRAWN, person, comment, None, corrected_at)


def latest_correction(connection: sqlite3.Connection, detection: int) -> Correction | None:
    """Return the correction of a detection that counts; None without one, or where it was withdrawn."""
    return latest_corrections(connection, [detection]).get(detection)


def latest_corrections(connection: sqlite3.Connection, detections: Sequence[int]) -> dict[int, Correction]:
    """Return the corrections that count, by detection; detections without one are absent."""
    query = (
        f"SELECT {COLUMNS} FROM detections JOIN corrections ON corrections.id = {LATEST_CORRECTION} "
        "WHERE detections.id = ? AND type != ?"
    )
    rows = (connection.execute(query, (detection, WITHDRAWN)).fetchone() for detection in detections)
    return {row[1]: Correction(*row) for row in rows if row}


def correction_history(connection: sqlite3.Connection, detection: int) -> list[Correction]:
    """Return every correction of a detection, the first one first, with withdrawals."""
    rows = connection.execute(f"SELECT {COLUMNS} FROM corrections WHERE detection = ? ORDER BY id", (detection,))
    return [Correction(*row) for row in rows]


def least_certain(
    connection: sqlite3.Connection, limit: int, species: str = "", since: str = ""
) -> list[UncertainDetection]:
    """Return predicted detections without a correction: lowest probability first, the newest first among equals.

    Detections that the station deleted are left out. `species` is a slug; `since` is a day (`2026-11-01`).
    """
    rows = connection.execute(
        "SELECT detections.id, station, recorded_at, species, scientific_name, common_name, clip, results.type, "
        "probability, model FROM detections JOIN results ON results.id = detections.result "
        "WHERE state IN (:done, :uncertain) AND deleted_at IS NULL "
        "AND (:species = '' OR species = :species) AND (:since = '' OR day >= :since) "
        f"AND coalesce((SELECT type FROM corrections WHERE id = {LATEST_CORRECTION}), '') = '' "
        "ORDER BY probability, recorded_at DESC, detections.id DESC LIMIT :limit",
        {"done": State.DONE, "uncertain": State.UNCERTAIN, "species": species, "since": since, "limit": limit},
    )
    return [UncertainDetection(*row[:2], datetime.fromisoformat(row[2]), *row[3:]) for row in rows]


def _add(
    connection: sqlite3.Connection,
    detection: int,
    type: str,
    person: str,
    comment: str,
    result: int | None,
    corrected_at: float | None,
) -> Correction:
    """Store one row unless the latest one of the detection is the same; one statement, so that no lock is upgraded."""
    values = {
        "detection": detection,
        "result": _shown_result(connection, detection, result),
        "type": type,
        "person": _checked_text("person", person, MAX_PERSON),
        "comment": _checked_text("comment", comment, MAX_COMMENT),
        "at": time.time() if corrected_at is None else corrected_at,
    }
    if not values["person"]:
        raise ValueError("person is empty; give the name of the person who corrects")
    with connection:
        connection.execute(
            "INSERT INTO corrections (detection, result, type, person, comment, corrected_at) "
            "SELECT :detection, :result, :type, :person, :comment, :at WHERE NOT EXISTS ("
            "SELECT 1 FROM corrections WHERE id = (SELECT max(id) FROM corrections WHERE detection = :detection) "
            "AND result IS :result AND type = :type AND person = :person AND comment = :comment)",
            values,
        )
        row = connection.execute(
            f"SELECT {COLUMNS} FROM corrections WHERE detection = :detection AND type = :type AND person = :person "
            "ORDER BY id DESC LIMIT 1",
            values,
        ).fetchone()
    return Correction(*row)


def _predicted_types(connection: sqlite3.Connection, result: int | None) -> list[str]:
    """Return the types of a result's model, most of them with a small probability."""
    row = connection.execute("SELECT probabilities FROM results WHERE id = ?", (result,)).fetchone()
    try:
        probabilities = json.loads(row[0]) if row else {}
    except ValueError:
        probabilities = {}
    return list(probabilities) if isinstance(probabilities, dict) else []


def _shown_result(connection: sqlite3.Connection, detection: int, result: int | None) -> int | None:
    row = connection.execute("SELECT result FROM detections WHERE id = ?", (detection,)).fetchone()
    if row is None:
        raise DataError(f"there is no detection {detection} in the database; reload the page")
    if result is None:
        return row[0]
    if not connection.execute("SELECT 1 FROM results WHERE id = ? AND detection = ?", (result, detection)).fetchone():
        raise DataError(f"detection {detection} has no result {result}; reload the page")
    return result


def _checked_text(name: str, text: str, max_length: int) -> str:
    """Return a text without control characters, half characters and blanks at its ends."""
    replaced = "".join(" " if unicodedata.category(char) in ("Cc", "Cs") else char for char in text)
    checked = " ".join(replaced.split()) if name == "person" else replaced.strip()
    if len(checked) > max_length:
        raise ValueError(f"{name} has {len(checked)} characters; at most {max_length} are possible")
    return checked
