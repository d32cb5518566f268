"""States of detections: newest first, back-off that survives clocks, and results stored with their messages."""

import sqlite3
import time
from datetime import timedelta

import pytest
from fake_station import NOON, detection
from test_records import RESULT, row, store

from birdnet_nl.stations import back_off
from birdnet_nl.stations.back_off import MAX_RETRY_S, Trouble, retry_delay
from birdnet_nl.stations.detection import State
from birdnet_nl.stations.results import (
    Outcome,
    count_states,
    due,
    predict_again,
    retry_without_model,
    seconds_to_next,
    store_outcomes,
)


def keys(connection, now=None, limit=99):
    return [stored.detection.key for stored in due(connection, "fake", limit, now)]


def finish(connection, state=State.DONE, only=None, now=None, channels=(), **values):
    found = [stored for stored in due(connection, "fake", 99, now) if only in (None, stored.detection.key)]
    if state in (State.DONE, State.UNCERTAIN):
        values.setdefault("result", RESULT)
    store_outcomes(connection, [Outcome(stored, state, **values) for stored in found], channels, now)


def outbox(connection):
    return [tuple(entry) for entry in connection.execute("SELECT channel, detection, result, attempts FROM outbox")]


def test_the_newest_are_due_first_whatever_the_order_of_arrival(connection):
    store(connection, *(detection(number) for number in (2, 9, 5)))
    store(connection, detection(7))
    assert keys(connection) == ["clip-9", "clip-7", "clip-5", "clip-2"]
    assert keys(connection, limit=2) == ["clip-9", "clip-7"]
    plan = connection.execute(
        "EXPLAIN QUERY PLAN SELECT id FROM detections WHERE station = 'fake' AND state IN ('new', 'waiting for audio') "
        "AND (next_try <= 1 OR next_try > 2) ORDER BY recorded_at DESC LIMIT 9"
    ).fetchall()
    assert [entry["detail"] for entry in plan] == ["SEARCH detections USING INDEX detections_pending (station=?)"]


def test_a_waiting_detection_is_due_after_its_back_off(connection):
    store(connection, detection(1))
    finish(connection, State.WAITING, now=1000.0, reason="not written yet", retry_after_s=30)
    stored = row(connection, "clip-1")
    assert (stored["state"], stored["reason"], stored["attempts"]) == (State.WAITING, "not written yet", 1)
    assert keys(connection, 1029.0) == [] and keys(connection, 1030.0) == ["clip-1"]
    assert seconds_to_next(connection, "fake", 1010.0) == 20
    finish(connection, State.DONE, now=1030.0)
    assert seconds_to_next(connection, "fake", 1030.0) is None
    assert row(connection, "clip-1")["reason"] == ""


def test_a_clock_that_jumps_back_delays_nothing_for_longer_than_a_back_off(connection):
    store(connection, detection(1))
    year = 365 * 86400.0
    finish(connection, State.WAITING, now=10 * year, retry_after_s=99 * year)
    assert row(connection, "clip-1")["next_try"] == 10 * year + MAX_RETRY_S
    assert keys(connection, 10 * year) == []
    assert keys(connection, 9 * year) == ["clip-1"]
    assert seconds_to_next(connection, "fake", 9 * year) == 0


def test_the_back_off_doubles_up_to_an_hour_or_is_what_a_server_asks_for():
    assert [retry_delay(attempts) for attempts in range(4)] == [2, 4, 8, 16]
    assert retry_delay(11) == retry_delay(5000) == MAX_RETRY_S
    assert retry_delay(3, 7.5) == 7.5 and retry_delay(15, 1) == 64
    assert retry_delay(3, -1) == 0.3 and retry_delay(0, 1e9) == MAX_RETRY_S


def test_a_trouble_is_logged_when_it_begins_and_when_it_ends(caplog, monkeypatch):
    trouble, caplog_level = Trouble(), caplog.set_level("INFO", "birdnet_nl")
    assert caplog_level is None
    trouble.ended()
    delays = [trouble.met("birds.db is locked") for _ in range(50)]
    assert delays[:3] == [1, 2, 4] and delays[-1] == 60
    trouble.met("birds.db does not exist")
    trouble.ended()
    trouble.ended()
    assert [record.message.partition(" after ")[0] for record in caplog.records] == [
        "birds.db is locked", "birds.db does not exist", "works again",
    ]  # fmt: skip
    caplog.clear()
    assert trouble.met("birds.db is locked", retry_after_s=120) == 120
    assert not caplog.records  # comes and goes
    monkeypatch.setattr(back_off, "LOG_AGAIN_S", 0.0)
    trouble.met("birds.db is locked")
    assert [record.message for record in caplog.records] == ["birds.db is locked"]  # and stays this time


def test_results_and_their_messages_are_stored_together(connection):
    store(connection, detection(1))
    connection.execute("CREATE TRIGGER fails BEFORE INSERT ON outbox BEGIN SELECT RAISE(ABORT, 'no'); END")
    with pytest.raises(sqlite3.IntegrityError):
        finish(connection, channels=("mqtt",))
    assert row(connection, "clip-1")["state"] == State.NEW
    assert connection.execute("SELECT count(*) FROM results").fetchone()[0] == 0
    connection.execute("DROP TRIGGER fails")
    finish(connection, channels=("mqtt", "webhook"))
    assert outbox(connection) == [("mqtt", 1, 1, 0), ("webhook", 1, 1, 0)]
    result = connection.execute("SELECT * FROM results").fetchone()
    assert (result["model"], result["fingerprint"], result["sha256"]) == ("koolmees 1", "abc", "sha")
    assert result["probabilities"] == '{"song": 0.9, "call": 0.1}'


def test_a_result_that_is_stored_twice_is_sent_once(connection):
    store(connection, detection(1))
    (stored,) = due(connection, "fake", 9)
    outcome = Outcome(stored, State.DONE, result=RESULT)
    store_outcomes(connection, [outcome], ("mqtt",))
    connection.execute("DELETE FROM outbox")  # delivered
    store_outcomes(connection, [outcome], ("mqtt",))
    assert outbox(connection) == []
    assert connection.execute("SELECT count(*) FROM results").fetchone()[0] == 1


def test_an_outcome_of_a_detection_that_changed_meanwhile_is_dropped(connection):
    store(connection, detection(1))
    (stored,) = due(connection, "fake", 9)
    store(connection, detection(1, "Turdus merula"))
    store_outcomes(connection, [Outcome(stored, State.DONE, result=RESULT)], ("mqtt",))
    assert row(connection, "clip-1")["state"] == State.NEW and outbox(connection) == []


def test_predicting_again_applies_a_new_model_to_the_past_and_keeps_old_results(connection):
    store(connection, *(detection(number) for number in range(3)), detection(3, "Turdus merula"))
    finish(connection)
    since = NOON + timedelta(seconds=1)
    assert predict_again(connection, "fake", since, lambda species: "abc") == 0  # the same model
    assert predict_again(connection, "fake", since, lambda species: "new" if species == "koolmees" else None) == 2
    assert keys(connection) == ["clip-2", "clip-1"] and row(connection, "clip-2")["result"] == 3 - 1
    finish(connection, result=RESULT.__class__(**RESULT.__dict__ | {"fingerprint": "new", "model": "koolmees 2"}))
    assert connection.execute("SELECT count(*) FROM results").fetchone()[0] == 6
    latest = connection.execute("SELECT model FROM results WHERE id = ?", (row(connection, "clip-2")["result"],))
    assert latest.fetchone()[0] == "koolmees 2"


def test_a_result_is_kept_where_another_prediction_is_not_possible(connection):
    store(connection, detection(1))
    finish(connection, State.UNCERTAIN, result=RESULT.__class__(**RESULT.__dict__ | {"is_uncertain": True}))
    predict_again(connection, "fake", NOON, lambda species: "new")
    finish(connection, State.AUDIO_GONE, reason="1.wav was deleted")
    stored = row(connection, "clip-1")
    assert (stored["state"], stored["result"]) == (State.UNCERTAIN, 1)
    assert stored["reason"] == "not predicted again: audio gone, 1.wav was deleted"


def test_detections_without_a_model_are_tried_when_there_is_one(connection):
    store(connection, detection(1), detection(2, "Turdus merula"))
    finish(connection, State.NO_MODEL, reason="none")
    assert keys(connection) == []
    assert retry_without_model(connection, "fake", lambda species: species == "merel") == 1
    assert keys(connection) == ["clip-2"]
    states = count_states(connection, "fake")
    assert (states[State.NO_MODEL], states[State.NEW], states[State.DONE]) == (1, 1, 0)


def test_choosing_the_next_of_a_large_backlog_is_fast(connection):
    store(connection, *(detection(number) for number in range(20_000)))
    start = time.perf_counter()
    for _ in range(20):
        assert len(keys(connection, limit=32)) == 32
    assert (time.perf_counter() - start) / 20 < 0.05
