"""States and results of stored detections: which are due, and what became of each."""

import json
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from birdnet_nl.stations.back_off import MAX_RETRY_S, retry_delay
from birdnet_nl.stations.database import transaction
from birdnet_nl.stations.detection import State
from birdnet_nl.stations.detection_rows import COLUMNS, storable, stored_detection
from birdnet_nl.stations.records import PENDING, StoredDetection

MAX_CRASHES = 3


@dataclass(frozen=True)
class Result:
    """Prediction for one detection by one model; see the table `results`."""

    type: str
    probability: float
    probabilities: Mapping[str, float]
    is_uncertain: bool
    model: str
    fingerprint: str
    sha256: str
    start_s: float
    end_s: float
    warning: str
    computing_s: float
    predicted_at: float = field(default_factory=time.time)


@dataclass(frozen=True)
class Outcome:
    """What became of a detection: its state, with a result or the reason why there is none.

    Attributes:
        retry_after_s: for `State.WAITING`, when to try again.
    """

    stored: StoredDetection
    state: State
    reason: str = ""
    result: Result | None = None
    retry_after_s: float = 0.0


def due(connection: sqlite3.Connection, station: str, limit: int, now: float | None = None) -> list[StoredDetection]:
    """Return detections to be predicted now, the newest first.

    A time of the next attempt that is further ahead than the longest back-off was written by a clock that was wrong,
    and counts as due.
    """
    now = time.time() if now is None else now
    rows = connection.execute(
        f"SELECT id, {COLUMNS}, species, state, attempts, result, noticed_at FROM detections "
        f"WHERE station = ? AND {PENDING} AND (next_try <= ? OR next_try > ?) ORDER BY recorded_at DESC LIMIT ?",
        (station, now, now + MAX_RETRY_S + 1, limit),
    )
    return [_stored(row) for row in rows]


def _stored(row: sqlite3.Row) -> StoredDetection:
    detection, state = stored_detection(row), State(row["state"])
    return StoredDetection(
        row["id"], detection, row["species"], state, row["attempts"], row["result"], row["noticed_at"]
    )


def seconds_to_next(connection: sqlite3.Connection, station: str, now: float | None = None) -> float | None:
    """Return the seconds until a waiting detection is due, None where none waits."""
    now = time.time() if now is None else now
    (next_try,) = connection.execute(
        f"SELECT min(iif(next_try > ?, 0, next_try)) FROM detections WHERE station = ? AND {PENDING}",
        (now + MAX_RETRY_S + 1, station),
    ).fetchone()
    return None if next_try is None else min(max(0.0, next_try - now), MAX_RETRY_S)


def store_outcomes(
    connection: sqlite3.Connection, outcomes: Sequence[Outcome], channels: Sequence[str] = (), now: float | None = None
) -> None:
    """Store states and results, and a message of each result for each channel, in one transaction.

    A detection that the station changed since it was read (another species, clip or key) keeps its new state. One that
    has a result already keeps it, with its state, where another prediction is not possible.
    """
    now = time.time() if now is None else now
    with transaction(connection):
        for outcome in outcomes:
            _store(connection, outcome, channels, now)


def _store(connection: sqlite3.Connection, outcome: Outcome, channels: Sequence[str], now: float) -> None:
    stored, state, reason = outcome.stored, outcome.state, storable(outcome.reason)
    content = (stored.id, storable(stored.detection.key), storable(stored.detection.clip), stored.species)
    row = connection.execute(
        "SELECT result FROM detections WHERE id = ? AND key = ? AND clip = ? AND species = ?", content
    ).fetchone()
    if row is None:
        return
    result = row["result"]
    if outcome.result is not None:
        is_stored, result = _store_result(connection, stored.id, outcome.result)
        if is_stored:
            connection.executemany(
                "INSERT INTO outbox (channel, detection, result, created_at) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (channel, result) DO UPDATE SET attempts = 0, next_try = 0, reason = ''",
                [(channel, stored.id, result, now) for channel in channels],
            )
    elif result is not None and state.is_final:
        state, reason = _state_of_result(connection, result), f"not predicted again: {state}, {reason}"
    attempts = stored.attempts + 1 if state is State.WAITING else stored.attempts
    next_try = now + min(outcome.retry_after_s, MAX_RETRY_S) if state is State.WAITING else 0
    connection.execute(
        "UPDATE detections SET state = ?, reason = ?, attempts = ?, next_try = ?, result = ?, changed_at = ? "
        "WHERE id = ?",
        (state, reason, attempts, next_try, result, now, stored.id),
    )


def _store_result(connection: sqlite3.Connection, detection: int, result: Result) -> tuple[bool, int]:
    """Insert a result or replace the one of the same model; returns False where this one is stored already."""
    row = connection.execute(
        "SELECT id, predicted_at FROM results WHERE detection = ? AND fingerprint = ?", (detection, result.fingerprint)
    ).fetchone()
    if row is not None and row["predicted_at"] == result.predicted_at:
        return False, row["id"]
    values = {
        "type": result.type, "probability": result.probability, "is_uncertain": result.is_uncertain,
        "probabilities": json.dumps({name: round(value, 6) for name, value in result.probabilities.items()}),
        "model": storable(result.model), "sha256": result.sha256, "start_s": result.start_s, "end_s": result.end_s,
        "warning": storable(result.warning), "computing_s": result.computing_s, "predicted_at": result.predicted_at,
    }  # fmt: skip
    names = ", ".join(values)
    if row is not None:
        marks = ", ".join("?" * len(values))
        connection.execute(f"UPDATE results SET ({names}) = ({marks}) WHERE id = ?", (*values.values(), row["id"]))
        return True, row["id"]
    marks = ", ".join("?" * (len(values) + 2))
    cursor = connection.execute(
        f"INSERT INTO results (detection, fingerprint, {names}) VALUES ({marks})",
        (detection, result.fingerprint, *values.values()),
    )
    return True, cursor.lastrowid


def _state_of_result(connection: sqlite3.Connection, result: int) -> State:
    (is_uncertain,) = connection.execute("SELECT is_uncertain FROM results WHERE id = ?", (result,)).fetchone()
    return State.UNCERTAIN if is_uncertain else State.DONE


def note_crash(connection: sqlite3.Connection, station: str, id: int, now: float | None = None) -> None:
    """Note that the program ended while a detection was predicted, and give it up where that happens again and again.

    Without this, a clip on which a decoder crashes would end the program for ever.
    """
    now = time.time() if now is None else now
    with transaction(connection):
        row = connection.execute(
            f"SELECT crashes FROM detections WHERE id = ? AND station = ? AND {PENDING}", (id, station)
        ).fetchone()
        if row is None:
            return
        crashes = row["crashes"] + 1
        is_last = crashes >= MAX_CRASHES
        connection.execute(
            "UPDATE detections SET crashes = ?, next_try = ?, state = ?, reason = ?, changed_at = ? WHERE id = ?",
            (
                crashes,
                0 if is_last else now + retry_delay(crashes - 1),
                State.FAILED if is_last else State.WAITING,
                f"the program ended while it was predicted ({crashes} times)",
                now,
                id,
            ),
        )


def predict_again(
    connection: sqlite3.Connection, station: str, since: datetime, fingerprint_of: Callable[[str], str | None]
) -> int:
    """Make detections since a time new again, except those whose latest result is of the present model.

    `fingerprint_of` returns the fingerprint of the present model of a species, None where there is none. Earlier
    results are kept. Returns the number of detections.
    """
    with transaction(connection):
        rows = connection.execute(
            "SELECT DISTINCT species FROM detections WHERE station = ? AND recorded_at >= ?",
            (station, since.isoformat()),
        ).fetchall()
        total = 0
        for (species,) in rows:
            fingerprint = fingerprint_of(species)
            if fingerprint is not None:
                total += connection.execute(
                    "UPDATE detections SET state = ?, reason = '', attempts = 0, crashes = 0, next_try = 0 "
                    "WHERE station = ? AND recorded_at >= ? AND species = ? AND deleted_at IS NULL AND malformed = '' "
                    f"AND NOT ({PENDING}) AND NOT EXISTS (SELECT 1 FROM results WHERE results.id = detections.result "
                    "AND results.fingerprint = ?)",
                    (State.NEW, station, since.isoformat(), species, fingerprint),
                ).rowcount
    return total


def retry_without_model(connection: sqlite3.Connection, station: str, has_model: Callable[[str], bool]) -> int:
    """Make detections in the state `no model` new again whose species has a model now; returns their number."""
    with transaction(connection):
        rows = connection.execute(
            "SELECT DISTINCT species FROM detections WHERE station = ? AND state = ?", (station, State.NO_MODEL)
        ).fetchall()
        return sum(
            connection.execute(
                "UPDATE detections SET state = ?, reason = '', attempts = 0, next_try = 0 "
                "WHERE station = ? AND state = ? AND species = ? AND deleted_at IS NULL",
                (State.NEW, station, State.NO_MODEL, species),
            ).rowcount
            for (species,) in rows
            if has_model(species)
        )


def count_states(connection: sqlite3.Connection, station: str) -> dict[str, int]:
    """Return the number of detections in each state, deleted ones included."""
    rows = connection.execute("SELECT state, count(*) FROM detections WHERE station = ? GROUP BY state", (station,))
    return {str(state): 0 for state in State} | {state: count for state, count in rows}
