"""Rows of our database for tests of delivery."""

import json
import time

from birdnet_nl.stations.database import open_database


def add_result(
    database, channels=("test",), species="merel", type="alarm", recorded_at="2026-11-30T06:12:08", station="tuin",
    is_uncertain=False, created_at=None, key=None, scientific_name="Turdus merula", fingerprint="abc",
):  # fmt: skip
    """Store a detection with a result and its outbox rows in one transaction; return the id of the detection."""
    now = time.time()
    connection = open_database(database)
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT OR IGNORE INTO stations (name) VALUES (?)", (station,))
        (count,) = connection.execute("SELECT count(*) FROM detections").fetchone()
        key = key or f"{recorded_at} {scientific_name} #{count}"
        detection = connection.execute(
            "INSERT INTO detections (station, key, recorded_at, scientific_name, common_name, species, confidence, "
            "clip, source, state, noticed_at, changed_at) "
            "VALUES (?, ?, ?, ?, 'Merel', ?, 0.87, ?, 'mic', 'done', ?, ?)",
            (station, key, recorded_at, scientific_name, species, str(count), now, now),
        ).lastrowid
        result = connection.execute(
            "INSERT INTO results (detection, type, probability, probabilities, is_uncertain, model, fingerprint, "
            "start_s, end_s, computing_s, predicted_at) VALUES (?, ?, 0.93, ?, ?, 'merel 2026.1', ?, 3, 6, 0.02, ?)",
            (detection, type, json.dumps({type: 0.93, "song": 0.07}), is_uncertain, fingerprint, now),
        ).lastrowid
        connection.execute("UPDATE detections SET result = ? WHERE id = ?", (result, detection))
        for channel in channels:
            connection.execute(
                "INSERT INTO outbox (channel, detection, result, created_at) VALUES (?, ?, ?, ?)",
                (channel, detection, result, now if created_at is None else created_at),
            )
        connection.execute("COMMIT")
        return detection
    finally:
        connection.close()


def waiting(database, channel="test"):
    """Return the ids of the detections that wait for a channel, in order."""
    connection = open_database(database)
    try:
        rows = connection.execute("SELECT detection FROM outbox WHERE channel = ? ORDER BY id", (channel,)).fetchall()
    finally:
        connection.close()
    return [row[0] for row in rows]


def wait_until(condition, timeout_s=8.0):
    """Wait until a condition is true; an assertion fails with its last value otherwise."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert value
    return value
