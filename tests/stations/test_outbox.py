"""Delivery of results: in order, deleted after the confirmation, with back-off, limits and a line for each loss."""

import logging
import math
import sqlite3
import time

import pytest

from birdnet_nl.stations.database import open_database
from birdnet_nl.stations.message import SELECT, message_from
from birdnet_nl.stations.outbox import (
    DeliveryError,
    GivenUpError,
    Limits,
    Outbox,
    RejectedError,
    UnreachableError,
    drop_old,
)
from tests.stations.outbox_tables import add_result, wait_until, waiting

QUICK = Limits(first_wait_s=0.02, longest_wait_s=0.05, idle_s=0.2)


class Recorder:
    """Channel that notes what it gets; `errors` are raised first, one for each attempt."""

    def __init__(self, name="test", errors=()):
        self.name = name
        self.errors = list(errors)
        self.ids = []
        self.attempts = 0
        self.is_down = False
        self.is_closed = False

    def connect(self):
        if self.is_down:
            raise UnreachableError("broker is down")

    def deliver(self, message):
        self.attempts += 1
        if self.errors:
            raise self.errors.pop(0)
        self.ids.append(message.content["id"])

    def close(self):
        self.is_closed = True


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "a folder" / "detections.db"
    open_database(path).close()
    return path


@pytest.fixture
def start(database):
    outboxes = []

    def start_outbox(*channels, limits=QUICK):
        outbox = Outbox(database, limits)
        outbox.start(channels)
        outboxes.append(outbox)
        return outbox

    yield start_outbox
    for outbox in outboxes:
        outbox.close()


def test_rows_are_delivered_in_order_and_then_deleted(database, start):
    ids = [add_result(database) for _ in range(5)]
    channel = Recorder()
    start(channel)
    wait_until(lambda: waiting(database) == [])
    assert channel.ids == ids


def test_a_notified_row_is_delivered_at_once(database, start):
    channel = Recorder()
    outbox = start(channel, limits=Limits(idle_s=60))
    time.sleep(0.1)
    start_s = time.monotonic()
    add_result(database)
    outbox.notify()
    wait_until(lambda: channel.ids)
    assert time.monotonic() - start_s < 2


def test_a_row_stays_until_its_delivery_is_confirmed(database, start):
    channel = Recorder(errors=[DeliveryError("no confirmation")] * 3)
    first, second = add_result(database), add_result(database)
    start(channel, limits=Limits(first_wait_s=0.3, longest_wait_s=0.3))
    wait_until(lambda: channel.attempts == 1)
    assert waiting(database) == [first, second] and channel.ids == []
    wait_until(lambda: waiting(database) == [])
    assert channel.ids == [first, second]


def test_a_channel_that_is_down_delays_no_other_and_keeps_its_rows(database, start):
    down, up = Recorder("down"), Recorder("up")
    down.is_down = True
    outbox = start(down, up)
    ids = [add_result(database, channels=("down", "up")) for _ in range(10)]
    outbox.notify()
    wait_until(lambda: up.ids == ids)
    assert waiting(database, "down") == ids and down.attempts == 0
    assert wait_until(outbox.problems) == {"down": "broker is down"}
    down.is_down = False
    wait_until(lambda: down.ids == ids)
    wait_until(lambda: outbox.problems() == {})


def test_rows_of_an_earlier_run_are_delivered(database, start):
    ids = [add_result(database) for _ in range(3)]
    broken = Recorder()
    broken.is_down = True
    first = start(broken)
    time.sleep(0.1)
    first.close()
    assert broken.is_closed
    channel = Recorder()
    start(channel)
    wait_until(lambda: waiting(database) == [])
    assert channel.ids == ids


def test_closing_delivers_what_waits(database, start):
    """For `--once`, which ends right after the last result."""
    channel = Recorder()
    outbox = start(channel, limits=Limits(idle_s=60))
    wait_until(lambda: not outbox.problems())
    ids = [add_result(database) for _ in range(20)]
    outbox.close()
    assert channel.ids == ids and channel.is_closed and waiting(database) == []


def test_closing_does_not_wait_for_a_receiver_that_is_down(database, start):
    channel = Recorder()
    channel.is_down = True
    detection = add_result(database)
    outbox = start(channel, limits=Limits(first_wait_s=30))
    wait_until(outbox.problems)
    start_s = time.monotonic()
    outbox.close()
    assert time.monotonic() - start_s < 1 and channel.is_closed and waiting(database) == [detection]


def test_a_refused_message_is_given_up_after_three_attempts_with_a_line_in_the_log(database, start, caplog):
    caplog.set_level(logging.INFO)
    channel = Recorder(errors=[RejectedError("the server answers 400")] * 3)
    add_result(database, key="refused one")
    last = add_result(database)
    start(channel)
    wait_until(lambda: channel.ids == [last])
    assert channel.attempts == 4 and waiting(database) == []
    assert "result of tuin refused one is not sent after 3 attempts: the server answers 400" in caplog.text


def test_a_message_that_always_fails_lets_the_others_pass_and_stays(database, start):
    class Poisoned(Recorder):
        def deliver(self, message):
            self.attempts += 1
            if message.content["id"] == bad:
                raise DeliveryError("the server answers 500")
            self.ids.append(message.content["id"])

    bad, *others = [add_result(database) for _ in range(4)]
    channel = Poisoned()
    start(channel, limits=Limits(first_wait_s=0.005, longest_wait_s=0.01, failures=4))
    wait_until(lambda: channel.ids == others)
    assert waiting(database) == [bad]


def test_an_impossible_message_is_not_tried_again(database, start, caplog):
    channel = Recorder(errors=[GivenUpError("the detection is locked")])
    add_result(database)
    start(channel)
    wait_until(lambda: waiting(database) == [])
    assert channel.attempts == 1 and "the detection is locked" in caplog.text


def test_results_of_deleted_detections_are_not_sent(database, start, caplog):
    caplog.set_level(logging.INFO)
    gone, kept = add_result(database), add_result(database)
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE detections SET deleted_at = 1 WHERE id = ?", (gone,))
    channel = Recorder()
    start(channel)
    wait_until(lambda: waiting(database) == [])
    assert channel.ids == [kept] and "deleted the detection" in caplog.text


def test_old_messages_beyond_the_limits_are_dropped_with_their_number(database, caplog):
    now = time.time()
    for days in (9, 8, 1, 1, 0, 0):
        add_result(database, created_at=now - days * 86_400)
    connection = open_database(database)
    assert drop_old(connection, "test", Limits(messages=3), now) == 3
    assert len(waiting(database)) == 3
    assert "3 undelivered messages were dropped, because they are older than 7 days or more than 3 wait" in caplog.text
    assert connection.execute("SELECT count(*) FROM results").fetchone()[0] == 6
    connection.close()


def test_nothing_is_dropped_while_the_receiver_answers(database, start):
    """A clock that jumps forward at boot must not cost messages that can be delivered."""
    ids = [add_result(database, created_at=0) for _ in range(3)]
    channel = Recorder()
    start(channel, limits=Limits(messages=1))
    wait_until(lambda: waiting(database) == [])
    assert channel.ids == ids


def test_the_backlog_of_a_channel_that_is_down_stays_within_the_limit(database, start):
    ids = [add_result(database) for _ in range(8)]
    channel = Recorder()
    channel.is_down = True
    start(channel, limits=Limits(first_wait_s=0.01, longest_wait_s=0.02, messages=5))
    wait_until(lambda: waiting(database) == ids[3:])


def test_retry_after_is_waited_for(database, start):
    channel = Recorder(errors=[UnreachableError("busy", retry_after_s=0.4)])
    add_result(database)
    start_s = time.monotonic()
    start(channel)
    wait_until(lambda: channel.ids)
    assert time.monotonic() - start_s >= 0.4


def test_a_defect_of_a_channel_does_not_end_delivery(database, start):
    channel = Recorder(errors=[ZeroDivisionError("defect")])
    detection = add_result(database)
    start(channel)
    wait_until(lambda: channel.ids == [detection])


def test_a_message_that_a_channel_cannot_handle_lets_the_others_pass(database, start):
    class Defective(Recorder):
        def deliver(self, message):
            if message.content["id"] == bad:
                raise ZeroDivisionError("defect")
            super().deliver(message)

    bad, *others = [add_result(database) for _ in range(3)]
    channel = Defective()
    start(channel, limits=Limits(first_wait_s=0.005, longest_wait_s=0.01, failures=3))
    wait_until(lambda: channel.ids == others)
    assert waiting(database) == [bad]


def test_a_result_that_is_no_json_is_sent_without_it(database, start):
    detection = add_result(database)
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE results SET probabilities = 'nonsense'")
    assert message_of(database, detection).content["probabilities"] == {}


def test_a_database_that_is_replaced_is_opened_again(database, start):
    channel = Recorder()
    outbox = start(channel)
    add_result(database)
    outbox.notify()
    wait_until(lambda: len(channel.ids) == 1)
    for name in ("", "-wal", "-shm"):
        database.with_name(database.name + name).unlink(missing_ok=True)
    open_database(database).close()
    add_result(database, recorded_at="2027-01-01T00:00:00")
    outbox.notify()
    wait_until(lambda: len(channel.ids) == 2)
    wait_until(lambda: waiting(database) == [])


def test_a_problem_is_logged_once_and_its_end_too(database, start, caplog):
    caplog.set_level(logging.INFO)
    channel = Recorder()
    channel.is_down = True
    start(channel, limits=Limits(first_wait_s=0.01, longest_wait_s=0.01, idle_s=0.05))
    time.sleep(0.3)
    channel.is_down = False
    wait_until(lambda: "test: delivers again" in caplog.text)
    assert caplog.text.count("broker is down") == 1


def message_of(database, detection):
    connection = open_database(database)
    row = connection.execute(f"{SELECT} WHERE detections.id = ?", (detection,)).fetchone()
    connection.close()
    return message_from(row)


def test_a_message_holds_what_a_receiver_needs(database):
    detection = add_result(database)
    assert message_of(database, detection).content == {
        "id": detection, "station": "tuin", "source": "mic", "recorded_at": "2026-11-30T06:12:08", "species": "merel",
        "dutch": "Merel", "english": "Eurasian Blackbird", "scientific_name": "Turdus merula", "common_name": "Merel",
        "confidence": 0.87, "type": "alarm", "probability": 0.93, "certain": True,
        "probabilities": {"alarm": 0.93, "song": 0.07}, "start_s": 3.0, "end_s": 6.0, "clip": "0",
        "model": "merel 2026.1",
    }  # fmt: skip


def test_numbers_that_json_cannot_hold_become_null(database):
    detection = add_result(database)
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE detections SET confidence = ?", (math.inf,))
    message = message_of(database, detection)
    assert message.content["confidence"] is None and '"confidence": null' in message.json


def test_only_the_latest_result_of_a_species_is_shown(database):
    early = add_result(database, recorded_at="2026-11-30T06:00:00")
    late = add_result(database, recorded_at="2026-11-30T07:00:00")
    other = add_result(database, recorded_at="2026-11-30T05:00:00", species="koolmees")
    assert [message_of(database, detection).is_latest for detection in (early, late, other)] == [False, True, True]
