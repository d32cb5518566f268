"""The loop: what a station reports is predicted, and troubles of any kind pass without a loss."""

import json
import logging
import sqlite3
import threading
import time
from contextlib import contextmanager

import pytest
from fake_model import FakeModel, load_fake
from fake_station import NOON, FakeStation, detection

from birdnet_nl.stations import back_off, health, reader, watch
from birdnet_nl.stations.database import identity, open_database
from birdnet_nl.stations.detection import State
from birdnet_nl.stations.instance_lock import InstanceLock
from birdnet_nl.stations.models_of_station import StationModels
from birdnet_nl.stations.station import Changes, StationUnavailableError
from birdnet_nl.stations.watch import ExitCode, Watch, WatchOptions

STATES = "SELECT key, state FROM detections"


@pytest.fixture(autouse=True)
def nothing_is_being_written(monkeypatch):
    monkeypatch.setattr(reader, "ONCE_SETTLE_S", 0.0)


@pytest.fixture
def station(tmp_path, write_clip):
    for number in range(12):
        write_clip(tmp_path / "clips" / f"{number}.wav", ("song", "call", "alarm")[number % 3])
    return FakeStation(tmp_path / "clips")


@pytest.fixture
def make(tmp_path, station, write_models):
    """Make a `Watch` on the station and the database of the test."""
    write_models("a", "koolmees")

    def made(lock=None, database=tmp_path / "d.db", **options):
        models = StationModels(tmp_path / "models", load_fake)
        options = {"channels": ("mqtt",), "health": tmp_path / "health.json"} | options
        return Watch(station, models, database, WatchOptions(**options), lock or InstanceLock(database))

    return made


@contextmanager
def running(made):
    """Run in a thread; ends as a signal would end it."""
    codes = []

    def stop_soon():
        raise KeyboardInterrupt

    thread = threading.Thread(target=lambda: codes.append(interruptible(made)))
    thread.start()
    try:
        yield
    finally:
        made.on_round = stop_soon
        made.arrived.set()
        thread.join(5)
        assert not thread.is_alive() and codes == [None]


def interruptible(made):
    original, made.on_round = made._round, lambda: None

    def one_round():
        made.on_round()
        return original()

    made._round = one_round
    try:
        return made.run()
    except KeyboardInterrupt:
        return None


def query(tmp_path, sql="SELECT key, state FROM detections", name="d.db"):
    connection = sqlite3.connect(tmp_path / name)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def wait_for(condition, timeout_s=5.0):
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        try:
            if condition():
                return
        except (sqlite3.Error, OSError, ValueError):
            pass
        time.sleep(0.01)
    pytest.fail(f"did not happen within {timeout_s} s")


def states(tmp_path, name="d.db"):
    return dict(query(tmp_path, STATES, name))


def test_once_predicts_everything_and_ends(tmp_path, station, make):
    station.add(*(detection(number) for number in range(12)), detection(20, "Turdus merula"), detection(21, "Canis"))
    station.gone.add("clip-3")
    station.late["clip-4"] = 1
    (tmp_path / "clips" / "5.wav").write_bytes(b"nothing" * 100)
    assert make(once=True).run() == ExitCode.DONE
    expected = {f"clip-{number}": State.DONE for number in range(12)}
    expected |= {"clip-3": State.AUDIO_GONE, "clip-5": State.FAILED}
    assert states(tmp_path) == expected | {"clip-20": State.NO_MODEL, "clip-21": State.NO_MODEL}
    results = query(tmp_path, "SELECT key, type FROM results JOIN detections ON detections.id = detection")
    types = {f"clip-{number}": ("song", "call", "alarm")[number % 3] for number in range(12) if number not in (3, 5)}
    assert dict(results) == types and len(results) == len(types)
    assert len(query(tmp_path, "SELECT * FROM outbox WHERE channel = 'mqtt'")) == len(types)
    assert station.asked[:3] == ["clip-11", "clip-10", "clip-9"]  # the newest first
    asked = len(station.asked)
    assert make(once=True).run() == ExitCode.DONE and len(station.asked) == asked  # nothing twice
    content = json.loads((tmp_path / "health.json").read_text())
    assert content["status"] == "stopped" and content["states"]["done"] == 10 and content["queue"] == 0
    assert content["last_success_at"] and content["model"] == "koolmees a" and content["troubles"] == {}


def test_a_detection_is_predicted_as_it_arrives(tmp_path, station, make, caplog):
    caplog.set_level("INFO", "birdnet_nl")
    made = make()
    with running(made):
        wait_for(lambda: json.loads((tmp_path / "health.json").read_text())["status"] == "ok")
        began = time.monotonic()
        station.add(detection(0, common_name="Koolmees"))
        wait_for(lambda: states(tmp_path) == {"clip-0": State.DONE})
        assert time.monotonic() - began < 1
    assert "2026-11-30 12:00:00 Koolmees: song (80 %)" in caplog.messages


def test_an_idle_station_costs_nothing(tmp_path, station, make):
    station.add(detection(0))
    made = make()
    with running(made):
        wait_for(lambda: states(tmp_path) == {"clip-0": State.DONE})
        time.sleep(0.2)
        rounds, reads = [], []
        made.on_round = lambda: rounds.append(1)
        station.changes = lambda *arguments: reads.append(1) or Changes()
        began = time.process_time()
        time.sleep(1.0)
        assert len(rounds) + len(reads) <= 1 and time.process_time() - began < 0.1


def test_a_promoted_version_gives_species_without_a_model_their_types(tmp_path, station, make, write_models, caplog):
    caplog.set_level("INFO", "birdnet_nl")
    station.add(detection(0), detection(1, "Turdus merula"))
    made = make()
    with running(made):
        wait_for(lambda: states(tmp_path) == {"clip-0": State.DONE, "clip-1": State.NO_MODEL})
        write_models("b", "koolmees", "merel")
        made.arrived.set()
        wait_for(lambda: states(tmp_path)["clip-1"] == State.DONE)
    assert query(tmp_path, "SELECT model FROM results ORDER BY id") == [("koolmees a",), ("merel b",)]
    assert "1 detections have a model now" in caplog.messages


def test_again_applies_the_present_models_to_the_past_once(tmp_path, station, make, write_models):
    station.add(*(detection(number) for number in range(4)))
    make(once=True).run()
    write_models("b", "koolmees")
    for _ in range(2):
        since = NOON.replace(second=2)
        assert make(once=True, again_since=since).run() == ExitCode.DONE
        rows = query(tmp_path, "SELECT key, model FROM results JOIN detections ON detections.id = detection")
        assert sorted(rows) == [
            *((f"clip-{number}", "koolmees a") for number in range(2)),
            *((f"clip-{number}", f"koolmees {version}") for number in (2, 3) for version in "ab"),
        ]


def test_a_station_that_is_away_is_tried_again(tmp_path, station, make, monkeypatch, caplog):
    caplog.set_level("INFO", "birdnet_nl")
    monkeypatch.setattr(back_off, "FIRST_RETRY_S", 0.02)
    station.add(detection(0))
    station.fault = StationUnavailableError("birds.db is locked", retry_after_s=None)
    made = make()
    with running(made):
        wait_for(lambda: made.reader._troubles["station"].attempts > 3)
        made.arrived.set()
        wait_for(lambda: json.loads((tmp_path / "health.json").read_text())["status"] == "birds.db is locked")
        station.fault = None
        wait_for(lambda: states(tmp_path) == {"clip-0": State.DONE})
    assert caplog.messages.count("birds.db is locked") == 1
    assert sum(message.startswith("works again") for message in caplog.messages) == 1


def test_once_reports_a_station_that_is_away(station, make, monkeypatch):
    monkeypatch.setattr(back_off, "FIRST_RETRY_S", 0.01)
    station.fault = StationUnavailableError("birds.db is locked")
    assert make(once=True).run() == ExitCode.STATION_UNAVAILABLE


def test_once_reports_a_database_that_cannot_be_written(tmp_path, station, make, monkeypatch):
    monkeypatch.setattr(back_off, "FIRST_RETRY_S", 0.01)
    station.add(detection(0))
    made = make(once=True)
    monkeypatch.setattr(reader, "store_changes", lambda *args: (_ for _ in ()).throw(sqlite3.OperationalError("full")))
    assert made.run() == ExitCode.DATABASE_UNAVAILABLE


def test_unexpected_errors_of_a_station_do_not_end_the_reading(tmp_path, station, make, monkeypatch, caplog):
    monkeypatch.setattr(back_off, "FIRST_RETRY_S", 0.01)
    station.fault = ZeroDivisionError("bug")
    made = make()
    with running(made):
        wait_for(lambda: made.reader._troubles["station"].attempts > 5)
        station.fault = None
        station.add(detection(0))
        wait_for(lambda: states(tmp_path) == {"clip-0": State.DONE})
    assert sum(record.exc_info is not None for record in caplog.records) == 1


def test_a_station_that_always_has_more_is_not_read_without_end(station, make, monkeypatch):
    monkeypatch.setattr(reader, "WAIT_S", 60)
    calls = []
    original = station.changes
    station.changes = lambda position, known: calls.append(1) or original("", known).__class__(position="x", more=True)
    made = make()
    with running(made):
        time.sleep(0.3)
    assert 1 <= len(calls) < 30


def test_a_full_disk_is_logged_once_and_nothing_is_lost(tmp_path, station, make, monkeypatch, caplog):
    caplog.set_level("INFO", "birdnet_nl")
    monkeypatch.setattr(back_off, "FIRST_RETRY_S", 0.02)
    made = make()
    full = threading.Event()
    full.set()
    original = watch.store_outcomes
    predicted = []
    monkeypatch.setattr(watch, "classify", lambda *args: predicted.append(1) or classify(*args))
    from birdnet_nl.stations.classify import classify

    def store(connection, outcomes, channels):
        if full.is_set():
            connection.execute("PRAGMA max_page_count = 1")
            connection.execute("BEGIN IMMEDIATE")
            try:
                for _ in range(100):
                    connection.execute("INSERT INTO changes VALUES (NULL, 1, 'x', ?, '', 0)", ("x" * 5000,))
            finally:
                connection.execute("ROLLBACK") if connection.in_transaction else None
        original(connection, outcomes, channels)

    monkeypatch.setattr(watch, "store_outcomes", store)
    station.add(*(detection(number) for number in range(12)))
    with running(made):
        wait_for(lambda: made._troubles["our database"].attempts > 4)
        assert set(states(tmp_path).values()) == {State.NEW}
        full.clear()
        wait_for(lambda: set(states(tmp_path).values()) == {State.DONE})
    assert sum("is full" in message and "works again" not in message for message in caplog.messages) == 1
    assert len(predicted) == 12 and len(query(tmp_path, "SELECT * FROM outbox")) == 12  # nothing twice


@pytest.mark.parametrize("way", ["deleted", "moved away", "replaced by an older one"])
def test_our_database_may_be_replaced_five_times(tmp_path, station, make, monkeypatch, way):
    monkeypatch.setattr(back_off, "FIRST_RETRY_S", 0.02)
    monkeypatch.setattr(reader, "WAIT_S", 0.1)
    backup = tmp_path / "backup.db"
    open_database(backup).close()
    made = make()
    with running(made):
        for number in range(5):
            station.add(detection(number))
            expected = {f"clip-{index}": State.DONE for index in range(number + 1)}
            wait_for(lambda expected=expected: states(tmp_path) == expected)
            if way == "deleted":
                for path in tmp_path.glob("d.db*"):
                    path.unlink() if not path.name.endswith("lock") else None
            elif way == "moved away":
                (tmp_path / "d.db").rename(tmp_path / f"away{number}.db")
                made.arrived.set()
                wait_for(lambda: (tmp_path / "d.db").exists())
                moved = f"away{number}.db"
                wait_for(lambda moved=moved, expected=expected: states(tmp_path, moved) == expected)  # it is complete
            else:
                (tmp_path / "new.db").write_bytes(backup.read_bytes())
                (tmp_path / "new.db").replace(tmp_path / "d.db")
            made.arrived.set()
            wait_for(lambda: made._connected._identity == identity(tmp_path / "d.db"))
        wait_for(lambda: states(tmp_path) == expected)
    for path in tmp_path.glob("*.db"):
        assert query(tmp_path, "PRAGMA integrity_check", path.name) == [("ok",)]
    rows = query(tmp_path, "SELECT detection, count(*) FROM results GROUP BY detection")
    assert len(rows) == 5 and {count for _, count in rows} == {1}


def test_what_was_predicted_is_stored_when_a_signal_comes(tmp_path, station, make, monkeypatch):
    station.add(*(detection(number) for number in range(12)))
    original, count = FakeModel.predict_file, []

    def predict_file(self, *args, **options):
        if len(count) == 5:
            raise KeyboardInterrupt
        count.append(1)
        return original(self, *args, **options)

    monkeypatch.setattr(FakeModel, "predict_file", predict_file)
    with pytest.raises(KeyboardInterrupt):
        make().run()
    found = states(tmp_path)
    assert list(found.values()).count(State.DONE) == 5 and list(found.values()).count(State.NEW) == 7
    assert json.loads((tmp_path / "health.json").read_text())["status"] == "stopped"
    assert not [thread for thread in threading.enumerate() if thread.name == "reader"]


def test_changes_of_the_station_are_followed(tmp_path, station, make):
    station.add(*(detection(number) for number in range(3)))
    made = make()
    with running(made):
        wait_for(lambda: set(states(tmp_path).values()) == {State.DONE} and len(states(tmp_path)) == 3)
        station.rename("clip-0", "other", scientific_name="Turdus merula", confidence=0.0)
        station.delete("clip-1")
        expected = {"other": State.NO_MODEL, "clip-1": State.DONE, "clip-2": State.DONE}
        wait_for(lambda: states(tmp_path) == expected)
    rows = query(tmp_path, "SELECT kind FROM changes ORDER BY id")
    assert sorted(kind for (kind,) in rows) == ["deleted", "identified", "renamed"]
    assert query(tmp_path, "SELECT key FROM detections WHERE deleted_at IS NOT NULL") == [("clip-1",)]


def test_the_health_file_may_be_impossible_to_write(tmp_path, station, make, caplog, monkeypatch):
    monkeypatch.setattr(health, "INTERVAL_S", 0)
    (tmp_path / "file").touch()
    station.add(detection(0))
    assert make(once=True, health=tmp_path / "file" / "health.json").run() == ExitCode.DONE
    assert sum("health file" in message for message in caplog.messages) == 1


def test_a_backlog_is_logged_as_a_number(station, make, caplog):
    caplog.set_level("INFO", "birdnet_nl")
    station.add(*(detection(number) for number in range(12)))
    make(once=True).run()
    logged = [record for record in caplog.records if record.levelno == logging.INFO]
    first, *others = [record.getMessage() for record in logged][1:]
    assert first == "detections: 12 new"
    together = [
        int(text.split()[0]) for text in others if text.endswith(" done")
    ]  # on a busy machine one may come first
    assert sum(together) + len(others) - len(together) == 12 and len(others) < 6
