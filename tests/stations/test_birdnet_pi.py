"""BirdNET-Pi's database while it is written, changed, replaced, damaged or malformed; it is never modified."""

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from birdnet_nl.stations import birdnet_pi as station_module
from birdnet_nl.stations import birdnet_pi_connection
from birdnet_nl.stations.birdnet_pi import BirdnetPiStation
from birdnet_nl.stations.birdnet_pi_files import BirdnetPiFiles
from birdnet_nl.stations.station import StationUnavailableError
from tests.stations import birdnet_pi_station
from tests.stations.birdnet_pi_station import INSERT, SCHEMA, START, FakeBirdnetPi, Memory, row_of

DAY_S = 86_400


@pytest.fixture
def pi(tmp_path):
    return FakeBirdnetPi(tmp_path / "home")


@pytest.fixture
def open_station(pi):
    stations = []

    def opened() -> BirdnetPiStation:
        stations.append(BirdnetPiStation(BirdnetPiFiles(pi.database, pi.clips)))
        return stations[-1]

    yield opened
    for station in stations:
        station.close()


@pytest.fixture
def station(open_station):
    return open_station()


@pytest.fixture(autouse=True)
def logged(caplog):
    caplog.set_level("INFO", "birdnet_nl")


@pytest.fixture
def memory():
    return Memory()


def names(memory: Memory) -> set[str]:
    return {key.rpartition("/")[2] for key in memory.detections}


def files_of(pi: FakeBirdnetPi) -> set[str]:
    return {row[11] for row in pi.rows()}


def test_all_rows_are_reported_once_and_new_ones_without_reading_the_others(pi, station, memory):
    pi.insert_many(range(500))
    memory.read(station)
    assert names(memory) == files_of(pi)
    row = pi.insert(500)
    changes = station.changes(memory.position, memory)
    (detection,) = changes.detections
    assert detection.clip == f"2026-11-30/Zilvermeeuw/{row[11]}" and not changes.more
    assert (detection.recorded_at, detection.source) == (START + timedelta(seconds=1500), "")
    assert (detection.scientific_name, detection.common_name, detection.confidence) == (row[2], row[3], row[4])
    memory.store(changes)
    assert station.changes(memory.position, memory).detections == []


def test_the_latest_days_come_first(pi, station, memory):
    for day in (3, 1, 2):
        pi.insert_many(range(day * 1000, day * 1000 + 300), start=START + day * timedelta(days=1))
    first = station.changes("", memory)
    assert first.more and {d.recorded_at.date() for d in first.detections} == {(START + timedelta(days=3)).date()}


def test_reading_continues_where_it_ended(pi, open_station, memory):
    pi.insert_many(range(300))
    memory.read(open_station())
    pi.insert(300)
    again = open_station()
    changes = again.changes(memory.position, memory)
    assert [d.recorded_at for d in changes.detections] == [START + timedelta(seconds=900)] and not changes.more


def test_changes_that_were_not_stored_are_reported_again(pi, station, memory):
    pi.insert_many(range(300))
    memory.read(station)
    pi.insert(300)
    pi.insert(301)
    lost = station.changes(memory.position, memory)
    assert len(lost.detections) == 2
    assert {d.key for d in station.changes(memory.position, memory).detections} == {d.key for d in lost.detections}
    pi.identify(files_of(pi).pop(), "Fringilla coelebs", "Vink")
    before = memory.position
    while not (lost := station.changes(memory.position, memory)).renamed:
        memory.position = lost.position
    memory.position = before
    memory.read(station)
    assert names(memory) == files_of(pi)


@pytest.mark.parametrize("has_index", [True, False])
def test_renamed_and_deleted_detections_are_noticed_at_once(pi, open_station, memory, has_index):
    if not has_index:
        pi.execute('DROP INDEX "detections_Date_Time"')
    pi.insert_many(range(30), start=datetime.now().replace(microsecond=0) - timedelta(minutes=5))
    station = open_station()
    memory.read(station)
    old = pi.rows()[7][11]
    new = pi.identify(old, "Fringilla coelebs", "Vink")
    pi.change("DELETE FROM detections WHERE File_Name = ?", pi.rows()[9][11])
    pi.change("UPDATE detections SET Confidence = 0.1234 WHERE File_Name = ?", pi.rows()[3][11])
    memory.read(station)
    assert names(memory) == files_of(pi) and len(memory.detections) == 29
    ((old_key, new_key),) = memory.renamed.items()
    assert (old_key.rpartition("/")[2], new_key.rpartition("/")[2]) == (old, new)
    assert memory.detections[new_key].common_name == "Vink" and memory.detections[new_key].confidence == 0
    assert len(memory.gone) == 1
    assert 0.1234 in {detection.confidence for detection in memory.detections.values()}


def test_changes_of_old_days_are_noticed_when_all_days_are_compared(pi, station, memory, monkeypatch):
    for day in range(40):
        pi.insert_many(range(20), start=START - timedelta(days=day))
    memory.read(station)
    station._next_sweep = time.monotonic() + 600
    old = next(row[11] for row in pi.rows() if row[0] == "2026-10-25")
    pi.identify(old, "Fringilla coelebs", "Vink")
    pi.change("DELETE FROM detections WHERE Date = '2026-10-28'")
    memory.read(station)
    assert not memory.renamed and json.loads(memory.position)["is_swept"] is False
    station._next_sweep = 0
    memory.read(station)
    assert names(memory) == files_of(pi) and len(memory.renamed) == 1 and len(memory.gone) == 20
    assert json.loads(memory.position)["is_swept"] is True


def test_a_comparison_that_was_due_when_the_process_ended_is_made_by_the_next(pi, open_station, memory):
    pi.insert_many(range(10), start=START - timedelta(days=30))
    pi.insert_many(range(60))
    first = open_station()
    memory.read(first)
    first._next_sweep = time.monotonic() + 600
    pi.identify(pi.rows()[5][11], "Fringilla coelebs", "Vink")
    memory.read(first)
    assert not memory.renamed
    memory.read(open_station())
    assert len(memory.renamed) == 1 and names(memory) == files_of(pi)


def test_changes_while_nothing_ran_are_noticed(pi, open_station, memory):
    pi.insert_many(range(60), start=START - timedelta(days=30))
    memory.read(open_station())
    pi.identify(pi.rows()[5][11], "Fringilla coelebs", "Vink")
    pi.insert_many(range(100, 400))
    pi.change("DELETE FROM detections WHERE File_Name = ?", pi.rows()[20][11])
    memory.read(open_station())
    assert names(memory) == files_of(pi) and len(memory.renamed) == len(memory.gone) == 1


def test_row_numbers_that_are_used_again_or_renumbered_hide_nothing(pi, station, memory):
    pi.insert_many(range(50))
    memory.read(station)
    last = pi.rows()[-1][11]
    pi.change("DELETE FROM detections WHERE File_Name = ?", last)
    pi.insert(700)  # gets the number of the deleted row
    memory.read(station)
    assert names(memory) == files_of(pi) and last not in names(memory)
    pi.change("DELETE FROM detections WHERE rowid <= 20")
    pi.execute("VACUUM")
    pi.insert(701)
    memory.read(station)
    assert names(memory) == files_of(pi) and len(memory.detections) == 31


def test_several_detections_of_a_second_are_paired_by_the_rest_of_their_names(pi, station, memory):
    rows = [
        pi.insert(0, scientific="Parus major", common="Koolmees", confidence=0.81),
        pi.insert(0, scientific="Turdus merula", common="Merel", confidence=0.92),
        pi.insert(0, scientific="Larus canus", common="Stormmeeuw", confidence=0.73, source="RTSP_1"),
    ]
    memory.read(station)
    for row in rows:
        pi.identify(row[11], "Fringilla coelebs", "Vink")
    memory.read(station)
    pairs = {old.rpartition("/")[2].split("-")[0]: new.rpartition("/")[2] for old, new in memory.renamed.items()}
    assert {name: new.split("-")[1] for name, new in pairs.items()} == {
        "Koolmees": "81", "Merel": "92", "Stormmeeuw": "73",
    }  # fmt: skip
    assert {detection.source for detection in memory.detections.values()} == {"", "RTSP_1"}


def test_rows_that_are_there_twice_are_one_detection_and_cost_no_endless_comparison(pi, station, memory):
    for _ in range(3):
        pi.insert(4)
    memory.read(station)
    assert len(memory.detections) == 1
    calls = memory.calls
    memory.read(station)
    assert memory.calls - calls <= 2


def test_dates_of_a_wrong_clock_are_read_like_others(pi, station, memory):
    for start in (datetime(1970, 1, 1), datetime(2038, 1, 19, 3, 14, 7), datetime(9999, 12, 31, 23), START):
        pi.insert_many(range(3), start=start)
    memory.read(station)
    pi.insert_many(range(10, 12), start=datetime(1999, 5, 5))
    memory.read(station)
    assert names(memory) == files_of(pi) and len(memory.detections) == 14


MALFORMED = {
    "date NULL": {"date": None}, "date bytes": {"date": b"\xff\xfe"}, "date number": {"date": 20261130},
    "date none": {"date": "2026-13-45"}, "date text": {"date": "yesterday"}, "date of Brussels": {"date": "30-11-2026"},
    "date with time": {"date": "2026-11-30 06:00:00"}, "time NULL": {"time": None}, "time number": {"time": 61200},
    "time none": {"time": "25:61:00"}, "confidence text": {"confidence": "high"},
    "confidence NULL": {"confidence": None}, "confidence bytes": {"confidence": b"0.9"},
    "confidence infinite": {"confidence": float("inf")},
    "confidence in percent": {"confidence": 87.0}, "file empty": {"file": ""}, "file blank": {"file": "  "},
    "file above": {"file": "../../../etc/passwd"}, "file absolute": {"file": "/etc/passwd"},
    "file dots": {"file": ".."},
    "file NUL": {"file": "a\0b.mp3"}, "file number": {"file": 17}, "file bytes": {"file": b"Merel-\xe9.mp3"},
    "quotes": {"common": "L'\"Oiseau\"; DROP TABLE detections;--"},
    "markup": {"common": "<img src=x onerror=alert(1)>"},
    "name bytes": {"common": b"Gr\xfcnfink"}, "name above": {"common": "../../etc"}, "name empty": {"common": ""},
    "name long": {"common": "x" * 5000}, "line break": {"common": "Merel\nKoolmees"}, "no species": {"scientific": ""},
}  # fmt: skip
FAILED = {"file empty", "file blank", "file above", "file absolute", "file dots", "file NUL", "name above"}


def test_malformed_rows_are_listed_and_cost_no_other_row(pi, station, memory):
    for number, values in enumerate(MALFORMED.values()):
        pi.insert(2 * number, **values)
        pi.insert(2 * number + 1)
    memory.read(station)
    assert len(memory.detections) == 2 * len(MALFORMED)
    failed = [detection for detection in memory.detections.values() if detection.reason]
    assert len(failed) == len(FAILED) and all(not detection.clip for detection in failed)
    assert all(detection.reason.startswith("the row in birds.db has ") for detection in failed)
    assert all(0 <= detection.confidence <= 1 for detection in memory.detections.values())
    assert all(isinstance(detection.common_name, str) for detection in memory.detections.values())


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_rows_are_noticed_when_they_arrive_change_and_go(pi, station, memory, name):
    pi.insert_many(range(10))
    memory.read(station)
    row = pi.insert(50, **MALFORMED[name])
    memory.read(station)
    memory.read(station)
    assert len(memory.detections) == 11
    calls = memory.calls
    memory.read(station)
    assert memory.calls == calls + 1, "a malformed row is compared again and again"
    station._next_sweep = 0
    pi.change("DELETE FROM detections WHERE rowid = 11")
    memory.read(station)
    assert len(memory.detections) == 10 and len(memory.gone) == 1, row


def test_bytes_that_are_no_utf8_keep_the_names_of_files(pi, station, memory):
    pi.change("INSERT INTO detections VALUES ('2026-11-30', '06:00:00', 'Turdus merula', CAST(x'4d65e9' AS TEXT), 0.9, "
              "0, 0, 0, 0, 0, 0, CAST(x'4d65e92d39302e6d7033' AS TEXT))")  # fmt: skip
    pi.change("INSERT INTO detections VALUES (CAST(x'e9e8' AS TEXT), '06:00:01', 'Turdus merula', 'Merel', 0.9, "
              "0, 0, 0, 0, 0, 0, 'a.mp3')")  # fmt: skip
    memory.read(station)
    station._next_sweep = 0
    memory.read(station)
    clips = sorted(detection.clip for detection in memory.detections.values())
    assert os.fsencode(clips[1]) == b"2026-11-30/Me\xe9/Me\xe9-90.mp3" and clips[0] == ""


def test_a_table_with_a_further_column_is_read_and_named(pi, open_station, memory, caplog):
    pi.insert_many(range(5))
    pi.execute("ALTER TABLE detections ADD COLUMN vocalization TEXT")
    memory.read(open_station())
    assert len(memory.detections) == 5
    printed = caplog.text
    assert "13 columns instead of 12" in printed and "vocalization" in printed
    with pytest.raises(sqlite3.OperationalError, match="13 columns but 12 values"):
        pi.insert(5)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("DROP TABLE detections", "has no table detections"),
        ("ALTER TABLE detections RENAME COLUMN File_Name TO Clip", "no column File_Name .it has Date, Time"),
    ],
)
def test_a_database_of_another_schema_is_named_in_one_sentence(pi, station, memory, script, message):
    pi.execute(script)
    with pytest.raises(StationUnavailableError, match=message):
        station.changes("", memory)


def test_a_missing_moved_empty_or_damaged_database_loses_nothing(pi, station, memory):
    pi.insert_many(range(300))
    memory.read(station)
    stored = dict(memory.detections)
    kept = pi.database.with_name("kept.db")
    shutil.copyfile(pi.database, kept)
    content = kept.read_bytes()

    def expect_unavailable(message: str) -> None:
        with pytest.raises(StationUnavailableError, match=message):
            station.changes(memory.position, memory)

    pi.database.rename(pi.database.with_name("moved.db"))
    expect_unavailable("cannot be read .No such file")
    pi.database.write_bytes(b"")
    expect_unavailable("is empty")
    pi.database.write_bytes(b"<html>" * 5000)
    expect_unavailable("is no complete SQLite database")
    pi.database.write_bytes(content[: len(content) // 2])
    with pytest.raises(StationUnavailableError, match="is no complete SQLite database"):
        memory.read(station)
    assert not memory.gone or set(memory.gone) <= set(stored)
    pi.database.write_bytes(content)
    pi.insert(300)
    memory.read(station)
    assert names(memory) == files_of(pi) and len(memory.detections) == 301


def test_a_database_that_replaces_another_adds_its_rows_and_keeps_the_others(pi, station, open_station, memory):
    for number in range(5):  # as after a new installation: the old rows are in no database any more
        pi.insert_many(range(number * 100, number * 100 + 100), start=START + timedelta(days=number))
        memory.read(station)
        fresh = pi.database.with_name("fresh.db")
        with closing(sqlite3.connect(fresh)) as connection:
            connection.executescript(SCHEMA)
        fresh.replace(pi.database)
        memory.read(station)
        assert len(memory.detections) == 100 * (number + 1) and not memory.gone
    pi.insert_many(range(600, 620), start=START + timedelta(days=9))
    memory.read(station)
    pi.change("DELETE FROM detections WHERE rowid = 7")  # deleted in the new database: noticed
    memory.read(open_station())
    assert len(memory.detections) == 519 and len(memory.gone) == 1


def test_a_new_database_with_the_number_of_the_old_file_is_recognised(pi, open_station, memory):
    """ext4 gives the number of a deleted file to the next one."""
    for number in range(20):
        pi.insert(number)
    memory.read(open_station())
    pi.database.unlink()
    FakeBirdnetPi(pi.home).insert(100, start=START + timedelta(days=1))
    status = pi.database.stat()
    memory.position = json.dumps(json.loads(memory.position) | {"file": [status.st_dev, status.st_ino]})
    memory.read(open_station())
    assert len(memory.detections) == 21 and not memory.gone


def test_a_copy_of_the_same_database_changes_nothing(pi, station, memory):
    pi.insert_many(range(200))
    memory.read(station)
    for number in range(5):
        copy = pi.database.with_name("copy.db")
        shutil.copyfile(pi.database, copy)
        copy.replace(pi.database)
        pi.insert(500 + number)
        memory.read(station)
        assert names(memory) == files_of(pi) and not memory.gone and not memory.renamed


def test_a_table_that_was_cleared_and_restored_is_followed(pi, station, memory):
    pi.insert_many(range(40))
    memory.read(station)
    rows = pi.rows()
    pi.change("DELETE FROM detections")
    memory.read(station)
    assert not memory.detections and len(memory.gone) == 40
    with closing(sqlite3.connect(pi.database)) as connection, connection:
        connection.executemany(INSERT, rows)
    memory.read(station)
    assert names(memory) == files_of(pi)


def test_a_row_that_is_deleted_soon_after_its_insertion_is_noticed(pi, station, memory):
    pi.insert_many(range(10))
    memory.read(station)
    row = pi.insert(50)
    memory.read(station)
    assert len(memory.detections) == 11
    pi.change("DELETE FROM detections WHERE File_Name = ?", row[11])
    memory.read(station)
    assert names(memory) == files_of(pi)


def test_positions_of_other_versions_are_read_from_the_start(pi, open_station, memory):
    pi.insert_many(range(30))
    for position in ("nonsense", "[]", '{"file": [1, 2]}', '{"file": 3}', "null"):
        memory.detections.clear()
        memory.position = position
        memory.read(open_station())
        assert len(memory.detections) == 30


def test_a_locked_database_is_named_and_read_later(pi, station, memory, monkeypatch):
    monkeypatch.setattr(birdnet_pi_connection, "BUSY_S", 0.05)
    pi.insert(1)
    with closing(sqlite3.connect(pi.database)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StationUnavailableError, match="is being written for more than"):
            station.changes("", memory)
        writer.rollback()
    memory.read(station)
    assert len(memory.detections) == 1


def test_an_unfinished_transaction_is_left_to_birdnet_pi(pi, station, memory):
    """A writer that was killed in a transaction leaves a hot journal, which a reader must not roll back."""
    pi.insert_many(range(20))
    code = (
        "import os, sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('PRAGMA cache_size = 1');"
        "c.execute('PRAGMA cache_spill = 1');"
        "c.execute('BEGIN IMMEDIATE');"
        "[c.execute('INSERT INTO detections VALUES (1,?,1,1,1,1,1,1,1,1,1,?)', (i, 'x' * 900)) for i in range(400)];"
        "os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, pi.database], check=False)
    journal = Path(f"{pi.database}-journal")
    assert journal.stat().st_size > 0
    before = (pi.database.read_bytes(), journal.read_bytes())
    with pytest.raises(StationUnavailableError, match="has an unfinished transaction, which BirdNET-Pi completes"):
        memory.read(station)
    assert (pi.database.read_bytes(), journal.read_bytes()) == before
    pi.insert(20)
    memory.read(station)
    assert names(memory) == files_of(pi) and len(memory.detections) == 21


def test_nothing_of_the_station_is_changed(pi, station, memory):
    pi.insert_many(range(500))

    def state() -> tuple[object, ...]:
        files = {path: path.stat().st_mtime_ns for path in pi.home.rglob("*")}
        return files, hashlib.sha256(pi.database.read_bytes()).hexdigest()

    before = state()
    memory.read(station)
    station._next_sweep = 0
    station._is_due = True
    memory.read(station)
    assert state() == before
    with pytest.raises(StationUnavailableError, match="readonly"):
        station._table._read("DELETE FROM detections")


def test_a_database_in_wal_mode_is_read(pi, station, memory, monkeypatch):
    pi.execute("PRAGMA journal_mode = WAL")
    pi.insert_many(range(30), start=datetime.now().replace(microsecond=0) - timedelta(minutes=5))
    memory.read(station)
    pi.insert(40)
    memory.read(station)
    assert names(memory) == files_of(pi)
    pi.identify(pi.rows()[3][11], "Fringilla coelebs", "Vink")
    station._next_wal = 0
    memory.read(station)
    assert names(memory) == files_of(pi) and len(memory.renamed) == 1


def test_wal_files_are_not_made_as_another_user(pi, station, memory, monkeypatch):
    pi.execute("PRAGMA journal_mode = WAL")
    pi.insert(1)
    monkeypatch.setattr(os, "geteuid", lambda: pi.database.stat().st_uid + 1)
    with pytest.raises(StationUnavailableError, match="run this as the user that BirdNET-Pi runs as"):
        station.changes("", memory)


def test_names_of_folders_may_be_anything(tmp_path):
    for name in ("with blank", "100%?#&", "Vögel", "\udce9"):
        pi = FakeBirdnetPi(tmp_path / name)
        pi.insert(1)
        station, memory = BirdnetPiStation(BirdnetPiFiles(pi.database, pi.clips)), Memory()
        memory.read(station)
        station.close()
        assert len(memory.detections) == 1


def test_an_insertion_ends_the_wait(pi, station, memory):
    memory.read(station)
    station.wait(0)
    writer = threading.Timer(0.2, pi.insert)
    writer.start()
    start = time.monotonic()
    assert station.wait(20)
    writer.join()
    assert time.monotonic() - start < 5
    memory.read(station)
    assert len(memory.detections) == 1
    assert not station.wait(0.2)


def test_no_insertion_is_lost_or_delayed_while_a_station_without_time_out_writes(pi, station, memory):
    """The writer gives up at once when it meets a lock, so a single reading at the wrong moment would cost 2 s."""
    count = 150
    script = [sys.executable, birdnet_pi_station.__file__, str(pi.database), "0", str(count), "0.01", "0"]
    schema = sqlite3.connect(pi.database).execute("SELECT sql FROM sqlite_master ORDER BY name").fetchall()
    writer = subprocess.Popen(script, stdout=subprocess.PIPE, text=True)
    while writer.poll() is None:
        station.wait(0.2)
        try:
            memory.read(station)
        except StationUnavailableError as error:
            assert "is being written" in str(error)
    latencies = json.loads(writer.stdout.read())
    memory.read(station)
    assert None not in latencies and len(pi.rows()) == count and names(memory) == files_of(pi)
    assert sum(seconds > 1 for seconds in latencies) <= 0.02 * count
    assert pi.rows() == [row_of(number) for number in range(count)]
    assert sqlite3.connect(pi.database).execute("SELECT sql FROM sqlite_master ORDER BY name").fetchall() == schema


def test_all_days_are_compared_once_a_day(pi, station, memory, monkeypatch):
    pi.insert_many(range(10))
    memory.read(station)
    memory.detections.popitem()  # as if our database had lost it
    memory.read(station)
    assert len(memory.detections) == 9
    station._next_daily = 0
    station._days._same.clear()
    memory.read(station)
    assert len(memory.detections) == 10
    assert station_module.DAILY_S == DAY_S
