"""BirdNET-Go: nothing is lost or stored twice, whatever its server does, and nothing is written."""

import contextlib
import json
import logging
import random
import threading
import time
from datetime import datetime, timedelta

import pytest

from birdnet_nl.stations import birdnet_go, birdnet_go_api
from birdnet_nl.stations.birdnet_go import BirdnetGo
from birdnet_nl.stations.birdnet_go_changes import PAGE, RECENT_AFTER_GAP
from birdnet_nl.stations.database import open_database
from birdnet_nl.stations.records import StoredKnown, add_station, position, store_changes
from birdnet_nl.stations.station import AudioGoneError, AudioNotReadyError, StationUnavailableError
from birdnet_nl.util.errors import DataError, SetupError
from tests.stations.birdnet_go_server import BirdnetGoServer, break_off, drip, silent
from tests.stations.outbox_tables import wait_until


@pytest.fixture
def server():
    server = BirdnetGoServer()
    yield server
    server.stop()


@pytest.fixture
def station(server):
    station = BirdnetGo(server.url, timeout_s=0.5, first_wait_s=0.05)
    yield station
    station.close()


class Reader:
    """What the watching program does with a station: changes are stored until there are no more."""

    def __init__(self, path, station):
        self.station = station
        self.connection = open_database(path)
        add_station(self.connection, station.name, station.settings)
        self.calls = 0

    def read(self):
        """Store all changes and return the number of calls."""
        more, calls = True, 0
        while more:
            changes = self.station.changes(
                position(self.connection, self.station.name), StoredKnown(self.connection, self.station.name)
            )
            store_changes(self.connection, self.station.name, changes)
            more, calls = changes.more, calls + 1
            assert calls < 100, "reading does not end"
        return calls

    def rows(self, columns="clip, scientific_name"):
        query = f"SELECT {columns} FROM detections WHERE deleted_at IS NULL ORDER BY recorded_at, clip"
        return [tuple(row) for row in self.connection.execute(query)]

    def ids(self):
        return sorted(int(clip) for clip, _ in self.rows())

    def history(self):
        return [tuple(row) for row in self.connection.execute("SELECT kind, old, new FROM changes ORDER BY id")]

    def predict(self):
        """Give every detection a result, as if all had been predicted."""
        rows = self.connection.execute("SELECT id FROM detections WHERE result IS NULL").fetchall()
        for (id,) in rows:
            result = self.connection.execute(
                "INSERT INTO results (detection, type, probability, probabilities, is_uncertain, model, fingerprint, "
                "start_s, end_s, computing_s, predicted_at) VALUES (?, 'song', 0.9, '{}', 0, 'm', 'f', 3, 6, 0, 0)",
                (id,),
            ).lastrowid
            self.connection.execute("UPDATE detections SET state = 'done', result = ? WHERE id = ?", (result, id))


@pytest.fixture
def reader(tmp_path, station):
    reader = Reader(tmp_path / "detections.db", station)
    yield reader
    reader.connection.close()


def test_a_detection_has_all_that_is_needed(server, reader):
    server.add(source={"id": "rtsp_1", "displayName": "Garden"})
    reader.read()
    columns = "key, recorded_at, scientific_name, common_name, confidence, clip, source, species, state"
    assert reader.rows(columns) == [(
        "2026-11-30T06:02:00 Turdus merula #1", "2026-11-30T06:02:00", "Turdus merula", "Merel", 0.5005, "1", "Garden",
        "merel", "new",
    )]  # fmt: skip


def test_the_whole_history_is_read_in_pages_and_once(server, reader):
    server.add_many(1800)
    assert reader.read() >= 1800 // PAGE
    assert reader.ids() == list(range(1, 1801))
    server.requests.clear()
    assert reader.read() == 1
    assert len(server.paths()) == 1, "one request where nothing changed"
    assert reader.ids() == list(range(1, 1801)) and reader.history() == []


def test_the_newest_detections_come_first(server, station, reader):
    server.add_many(1200)
    changes = station.changes("", StoredKnown(reader.connection, "birdnet-go"))
    assert changes.detections[0].clip == "1200" and changes.more
    assert len(changes.detections) <= RECENT_AFTER_GAP + PAGE


def test_what_came_while_nobody_watched_is_read(server, reader):
    server.add_many(30)
    reader.read()
    server.add_many(1700)
    reader.read()
    assert reader.ids() == list(range(1, 1731))


def test_a_gap_in_a_gap_is_closed(server, station, reader):
    """The program ends while it reads a gap, and more is detected before it starts again."""
    server.add_many(1500)
    known = StoredKnown(reader.connection, station.name)
    store_changes(reader.connection, station.name, station.changes("", known))
    server.add_many(800)
    station._has_gap = True
    store_changes(reader.connection, station.name, station.changes(position(reader.connection, station.name), known))
    server.add_many(700)
    reader.read()
    assert reader.ids() == list(range(1, 3001))


def shift_between_pages(station, *steps):
    """Let something happen at the station after each page."""
    page, steps = station._api.page, iter(steps)

    def shifting_page(offset, limit):
        listing = page(offset, limit)
        next(steps, lambda: None)()
        return listing

    station._api.page = shifting_page


def test_pages_that_shift_lose_nothing(server, station, reader):
    """New detections arrive and old ones are deleted between two pages."""
    server.add_many(2000)
    shift_between_pages(
        station,
        lambda: server.add_many(300),
        lambda: server.delete(*range(1500, 1900)),
        lambda: server.add_many(10),
        lambda: server.delete(*range(1000, 1015)),
    )
    reader.read()
    assert set(server.detections) <= set(reader.ids())


def test_a_page_after_many_deletions_begins_where_the_one_before_ended(server, station, reader):
    server.add_many(2500)
    shift_between_pages(station, lambda: server.delete(*range(2101, 2401)))
    reader.read()
    assert set(server.detections) <= set(reader.ids())


def test_malformed_items_are_reported_and_harm_no_others(server, reader, caplog):
    good = server.add()
    server.add(id=7, date="yesterday", time=None, timestamp="", beginTime="0001-01-01T00:00:00Z")
    server.add(id=8, date=None, scientificName=None, commonName=["x"], confidence="high", source="mic", comments=3)
    server.detections[9] = server.detections[good] | {"id": "nine"}
    server.detections[10] = ["no", "detection"]
    server.detections[11] = server.detections[good] | {"id": -4}
    reader.read()
    reader.read()
    assert reader.ids() == [good, 7, 8]
    states = {clip: reason for clip, reason in reader.rows("clip, recorded_at")}
    assert states["7"] == "1970-01-01T00:00:00" and states["8"].startswith("2026-11-30")
    assert caplog.text.count("3 detections of BirdNET-Go have no id") == 1


def test_deleted_detections_are_noticed_and_a_missing_list_entry_is_none(server, reader):
    ids = [server.add() for _ in range(40)]
    reader.read()
    server.delete(ids[-1], ids[-3])
    hidden = server.detections.pop(ids[-5])  # missing in the list, but there
    server.faults[f"/detections/{ids[-5]}"] = [(200, {"Content-Type": "application/json"}, json.dumps(hidden).encode())]
    server.add()
    reader.read()
    assert set(ids) - set(reader.ids()) == {ids[-1], ids[-3]}
    assert [kind for kind, *_ in reader.history()] == ["deleted", "deleted"]


def test_a_detection_that_is_identified_again_is_predicted_again(server, reader):
    ids = [server.add() for _ in range(5)]
    reader.read()
    reader.predict()
    server.detections[ids[2]] |= {"scientificName": "Turdus philomelos", "commonName": "Zanglijster"}
    reader.read()
    assert (str(ids[2]), "Turdus philomelos") in reader.rows() and len(reader.rows()) == 5
    assert [kind for kind, *_ in reader.history()] == ["renamed", "identified"]
    assert [state for (state,) in reader.rows("state")].count("new") == 1


def test_reviews_are_noticed(server, reader):
    first, second = server.add(), server.add()
    reader.read()
    server.detections[first]["verified"] = "false_positive"
    server.detections[second]["verified"] = "correct"
    reader.read()
    reader.read()
    server.detections[first]["verified"] = "unverified"
    reader.read()
    reviews = [new for kind, _, new in reader.history() if kind == "reviewed"]
    assert sorted(reviews) == ["", "correct", "false_positive"]


def test_a_migration_that_renumbers_all_detections_predicts_none_again(server, reader):
    server.add_many(1300)
    reader.read()
    reader.predict()
    server.detections = {id + 5000: row | {"id": id + 5000} for id, row in server.detections.items()}
    reader.read()
    assert reader.ids() == list(range(5001, 6301))
    assert {state for (state,) in reader.rows("state")} == {"done"}


def test_another_time_zone_of_the_station_predicts_none_again(server, reader):
    server.add_many(40)
    reader.read()
    reader.predict()
    for row in server.detections.values():
        moment = datetime.fromisoformat(f"{row['date']}T{row['time']}") + timedelta(hours=1)
        row |= {"date": f"{moment:%Y-%m-%d}", "time": f"{moment:%H:%M:%S}"}
    reader.read()
    assert len(reader.rows()) == 40 and {state for (state,) in reader.rows("state")} == {"done"}


def test_an_id_that_is_given_again_is_another_detection(server, station, reader):
    ids = [server.add() for _ in range(20)]
    reader.read()
    reader.predict()
    server.delete(ids[-1])
    server.next_id = ids[-1]
    again = server.add("Parus major", "Koolmees")
    assert again == ids[-1]
    server.add()
    reader.read()
    rows = reader.rows("clip, scientific_name, state")
    assert (str(again), "Parus major", "new") in rows and len(rows) == 21
    assert [kind for kind, *_ in reader.history()] == ["deleted"]


def test_a_station_with_another_database_deletes_nothing_here(server, reader):
    server.add_many(30)
    reader.read()
    server.detections.clear()
    reader.read()
    server.now += timedelta(days=2)
    server.next_id = 1
    server.add_many(3)
    reader.read()
    assert len(reader.rows()) == 33 and reader.history() == []


def test_a_clock_that_jumps_at_the_station_loses_nothing(server, reader):
    server.add(date="2099-01-01")
    reader.read()
    for _ in range(3):
        server.add_many(700)
        reader.station._has_gap = True
        reader.read()
    assert reader.ids() == list(range(1, 2102))


@pytest.mark.parametrize("sorts_by_time", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_any_sequence_of_events_loses_nothing(server, station, reader, seed, sorts_by_time):
    """Detections that come, go, change and are renumbered, between reads that are cut off or fail."""
    random_events = random.Random(seed)
    server.sorts_by_time = sorts_by_time
    known = StoredKnown(reader.connection, station.name)

    def add():
        server.add_many(random_events.choice([1, 5, 60, 400]))

    def delete():
        newest = sorted(server.detections, reverse=True)
        start = random_events.randrange(max(1, len(newest)))
        server.delete(*newest[start : start + random_events.choice([1, 3, 40])])

    def identify():
        if server.detections:
            id = random_events.choice(sorted(server.detections)[-100:])
            server.detections[id] |= {"scientificName": "Turdus philomelos", "commonName": "Zanglijster"}

    def renumber():
        shift = random_events.choice([1000, 100_000])
        server.detections = {id + shift: row | {"id": id + shift} for id, row in server.detections.items()}
        server.next_id += shift

    def read_a_part():
        station._has_gap = random_events.random() < 0.5
        changes = station.changes(position(reader.connection, station.name), known)
        if random_events.random() < 0.8:  # else killed before they are stored
            store_changes(reader.connection, station.name, changes)

    def fail():
        path = random_events.choice(["/detections/recent", "/detections"])
        server.faults[path] = [(503, {})]
        with contextlib.suppress(StationUnavailableError):
            reader.read()
        server.faults.clear()

    events = [add, add, delete, identify, read_a_part, read_a_part, fail, reader.read]
    for _ in range(25):
        random_events.choice(events)()
    renumber()
    reader.read()
    for _ in range(10):
        random_events.choice(events)()
    reader.read()
    stored = dict(reader.rows())
    assert {str(id): row["scientificName"] for id, row in server.detections.items()}.items() <= stored.items()
    newest = sorted(server.detections)[-100:]
    recent = [clip for clip in map(int, stored) if newest and clip >= newest[0]]
    assert sorted(recent) == newest or sorts_by_time, "deleted ones are noticed"


@pytest.mark.parametrize("year", ["1970", "2019", "2099", "0001", "9999"])
def test_a_detection_of_a_wrong_clock_costs_no_requests_and_deletes_nothing(server, reader, year):
    server.add_many(300)
    reader.read()
    server.add(date=f"{year}-01-01", timestamp="")
    server.requests.clear()
    reader.read()
    assert len(server.requests) == 1 and len(reader.rows()) == 301 and reader.history() == []


def test_a_detection_of_a_wrong_clock_is_found_where_lists_are_sorted_by_time(server, station, reader):
    server.sorts_by_time = True
    server.add_many(900)
    station.wait(5)
    reader.read()
    id = server.add(date="2026-01-01")
    station.wait(5)
    reader.read()
    assert reader.ids() == list(range(1, id + 1))


@pytest.mark.parametrize("position_text", ["nonsense", "[]", '{"offset": -3}', '{"other": 1}', '{"offset": "x"}'])
def test_a_position_that_cannot_be_read_begins_again(server, reader, position_text):
    server.add_many(60)
    reader.read()
    reader.connection.execute("UPDATE stations SET position = ?", (position_text,))
    reader.read()
    assert len(reader.rows()) == 60 and reader.history() == []


LISTS = "/detections/recent"


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ((503, {"Retry-After": "4"}), "answers 503"),
        ((500, {}), "answers 500"),
        ((404, {}), "answers 404; check that --url is the address of BirdNET-Go"),
        ((302, {"Location": "https://birds.local/"}), "answers 302 and leads to https://birds.local/; give the right"),
        ((403, {}), "answers 403; the login is not accepted"),
        ((200, {"Content-Type": "text/html"}, b"<html>router</html>"), "is no JSON; check that --url"),
        ((200, {}, b""), "is no JSON"),
        ((200, {}, b"\xff\xfe{"), "is no JSON"),
        ((200, {}, b"[" * 100_000), "is no JSON"),
        ((200, {}, b'{"data": "many"}'), "is no list of detections"),
        ((200, {}, b'"text"'), "is no list of detections"),
        ((200, {}, b"null"), "is no list of detections"),
        ((200, {}, b"[" + b" " * 9_000_000 + b"]"), "is larger than 8 MB"),
        (break_off(headers={"Content-Type": "application/json"}, body=b'[{"id": 1'), "connection broken"),
        (silent(0.6), "no answer in time"),
    ],
)
def test_wrong_answers_are_one_sentence_and_lose_nothing(server, reader, fault, message):
    server.add_many(3)
    server.faults[LISTS] = [fault]
    with pytest.raises(StationUnavailableError, match=message):
        reader.read()
    assert reader.rows() == []
    reader.read()
    assert reader.ids() == [1, 2, 3]


def test_retry_after_is_passed_on(server, station, reader):
    server.faults[LISTS] = [(503, {"Retry-After": "4"})]
    with pytest.raises(StationUnavailableError) as caught:
        reader.read()
    assert caught.value.retry_after_s == 4


def test_an_answer_that_drips_for_ever_ends(server, reader, monkeypatch):
    monkeypatch.setattr(birdnet_go_api, "WHOLE_S", 0.2)
    server.faults[LISTS] = [drip(5)]
    with pytest.raises(StationUnavailableError, match="needs more than 0 s for one answer"):
        reader.read()


def test_a_station_that_is_not_there_is_reported(server, reader):
    server.stop()
    with pytest.raises(StationUnavailableError, match=r"cannot be reached \(no connection\); check that it runs"):
        reader.read()
    server.start()
    server.add()
    reader.read()
    assert reader.ids() == [1]


@pytest.mark.parametrize("url", ["localhost:8080", "file:///etc/passwd", "http://", "http://[::1"])
def test_an_address_must_be_one(url):
    with pytest.raises(SetupError, match=r"--url .* is no address"):
        BirdnetGo(url)


def test_an_address_with_a_path_and_a_slash_works(server, tmp_path):
    station = BirdnetGo(f"{server.url}/")
    assert station.settings["url"] == server.url
    station.close()


def test_reading_writes_nothing(server, reader):
    server.add_many(700)
    reader.read()
    with reader.station.clip(detection_of(reader, 3)):
        pass
    reader.station.report(detection_of(reader, 3), "birdnet_nl: song")
    assert {method for method, *_ in server.requests} == {"GET"}


# --- the stream


def wait_in_thread(station, timeout_s):
    results = []
    thread = threading.Thread(target=lambda: results.append(station.wait(timeout_s)))
    thread.start()
    return thread, results


def test_a_new_detection_is_reported_at_once(server, station, reader):
    assert station.wait(5), "connecting counts as a change"
    reader.read()
    server.requests.clear()
    start_s = time.monotonic()
    thread, results = wait_in_thread(station, 10)
    id = server.add()
    thread.join()
    reader.read()
    assert results == [True] and reader.ids() == [id] and time.monotonic() - start_s < 3


def test_a_quiet_stream_is_not_polled(server, station, reader):
    station.wait(5)
    reader.read()
    wait_until(lambda: station._stream.is_connected)
    reader.read()
    server.requests.clear()
    assert not station.wait(0.3)
    reader.read()
    assert server.requests == [], "also where the program reads once a minute"


def test_what_no_event_reports_is_noticed_after_a_while(server, station, reader, monkeypatch):
    ids = [server.add() for _ in range(30)]
    station.wait(5)
    reader.read()
    server.delete(ids[-1])
    reader.read()
    assert len(reader.rows()) == 30
    monkeypatch.setattr(birdnet_go, "LIST_S", 0.0)
    server.add(announce=False)
    reader.read()
    assert [kind for kind, *_ in reader.history()] == ["deleted"]


def test_another_database_here_is_filled_from_the_beginning(server, station, reader, tmp_path):
    server.add_many(30)
    station.wait(5)
    reader.read()
    other = Reader(tmp_path / "other.db", station)
    other.read()
    assert len(other.rows()) == 30
    other.connection.close()


def test_wake_ends_waiting(station):
    station.wait(5)
    thread, results = wait_in_thread(station, 10)
    station.wake()
    thread.join(5)
    assert results == [True]


def test_a_detection_that_is_announced_before_it_is_listed_is_waited_for(server, station, reader):
    station.wait(5)
    reader.read()
    id = server.add(announce=False)
    server.announce(id)
    row = server.detections.pop(id)
    assert station.wait(5)
    reader.read()
    assert reader.ids() == []
    server.detections[id] = row
    assert station.wait(5)
    reader.read()
    assert reader.ids() == [id]


def test_nothing_is_lost_when_the_stream_breaks_and_the_server_restarts(server, station, reader):
    station.wait(5)
    reader.read()
    expected = []
    for _ in range(3):
        server.cut_streams()
        expected.append(server.add())  # nobody hears it
        wait_until(lambda: bool(server.streams))
        assert station.wait(5)
        reader.read()
        assert reader.ids() == expected
    server.stop()
    wait_until(lambda: not station._stream.is_connected)
    expected.append(server.add())
    with pytest.raises(StationUnavailableError):
        reader.read()
    server.start()
    wait_until(lambda: bool(server.streams))
    assert station.wait(5)
    reader.read()
    assert reader.ids() == expected


def test_a_server_without_a_stream_is_read_from_time_to_time(server, station, reader):
    server.faults["/detections/stream"] = [(404, {})] * 1000
    server.add()
    assert station.wait(5) and station.wait(5)
    reader.read()
    assert reader.ids() == [1]


@pytest.mark.parametrize(
    "noise",
    [
        b"event: detection\ndata: {nonsense\n\n",
        b"event: detection\ndata: [1, 2]\n\n",
        b'event: detection\r\ndata: {"ID": 1}\r\n\r\n',
        b": comment\n\nevent: heartbeat\ndata: {}\n\n\xff\xfe\n",
        b"data:" + b"x" * 2_000_000,
    ],
)
def test_noise_in_the_stream_is_survived(server, station, reader, noise):
    station.wait(5)
    reader.read()
    for stream in list(server.streams):
        stream.put(noise)
    time.sleep(0.2)
    wait_until(lambda: bool(server.streams))
    id = server.add()
    deadline = time.monotonic() + 8
    while reader.ids() != [id] and time.monotonic() < deadline:
        station.wait(1)
        reader.read()
    assert reader.ids() == [id]


def test_closing_ends_the_stream_at_once(server):
    station = BirdnetGo(server.url)
    station.wait(5)
    start_s = time.monotonic()
    station.close()
    assert time.monotonic() - start_s < 1.5 and not station._stream.is_alive()


# --- audio


def detection_of(reader, id):
    known = StoredKnown(reader.connection, "birdnet-go")
    detections = known.between(datetime(1900, 1, 1), datetime(2200, 1, 1)).values()
    return next(detection for detection in detections if detection.clip == str(id))


@pytest.fixture
def detection(server, reader):
    server.add(clip=b"RIFF" + b"x" * 200_000)
    reader.read()
    return detection_of(reader, 1)


def test_a_clip_is_a_file_that_is_deleted_afterwards(server, station, detection):
    with station.clip(detection) as path:
        assert path.read_bytes() == server.clips[1] and path.suffix == ".wav"
    assert not path.exists()
    assert server.paths()[-1] == "/api/v2/audio/1", "no second request where the name tells the detection"


def test_without_a_name_the_detection_is_checked(server, station, detection):
    server.sends_names = False
    with station.clip(detection):
        pass
    assert server.paths()[-2:] == ["/api/v2/audio/1", "/api/v2/detections/1"]


def test_the_clip_of_another_detection_is_not_used(server, station, detection, tmp_path):
    """The id was given again between the list and the request."""
    server.detections[1] |= {"scientificName": "Parus major", "time": "09:00:00"}
    with pytest.raises(AudioGoneError, match="has another detection as number 1 now"), station.clip(detection):
        pass


def test_a_clip_that_is_being_written_is_waited_for(server, station, detection):
    server.clips[1] = 7
    with pytest.raises(AudioNotReadyError) as caught, station.clip(detection):
        pass
    assert caught.value.retry_after_s == 7


def test_a_missing_clip_is_gone_but_a_recent_one_may_come(server, station, reader):
    server.add(clip=None)
    server.add(clip=None, timestamp=datetime.now().astimezone().isoformat())
    reader.read()
    with pytest.raises(AudioGoneError, match="BirdNET-Go has no clip"), station.clip(detection_of(reader, 1)):
        pass
    with pytest.raises(AudioNotReadyError, match="not written yet"), station.clip(detection_of(reader, 2)):
        pass


def test_the_clip_of_a_deleted_detection_is_gone(server, station, detection):
    server.delete(1)
    with pytest.raises(AudioGoneError, match="deleted the detection"), station.clip(detection):
        pass


@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        (break_off(), AudioNotReadyError, "broke off"),
        ((500, {}), AudioNotReadyError, "answers 500"),
        ((503, {}), AudioNotReadyError, "not written yet"),
        ((502, {}), StationUnavailableError, "answers 502"),
        ((429, {"Retry-After": "9"}), StationUnavailableError, "answers 429"),
        ((400, {}), DataError, "is refused by BirdNET-Go"),
        ((200, {"Content-Type": "text/html"}, b"<html>"), StationUnavailableError, "answers with text/html"),
        (silent(0.6), StationUnavailableError, "no answer in time"),
    ],
)
def test_faults_of_audio(server, station, detection, fault, error, message):
    server.faults["/audio/1"] = [fault]
    with pytest.raises(error, match=message), station.clip(detection):
        pass
    with station.clip(detection) as path:
        assert path.stat().st_size == 200_004


def test_a_huge_clip_is_refused_and_leaves_no_file(server, station, detection, monkeypatch, tmp_path):
    monkeypatch.setattr(birdnet_go_api, "MAX_CLIP_BYTES", 100_000)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    with pytest.raises(DataError, match="is larger than 0 MB"), station.clip(detection):
        pass
    assert list((tmp_path / "temporary").iterdir()) == []


def test_a_stopped_server_is_not_the_fault_of_a_detection(server, station, detection):
    server.stop()
    with pytest.raises(StationUnavailableError), station.clip(detection):
        pass
    server.start()


@pytest.mark.parametrize(
    ("duration_s", "window_s"), [(15.0, (3.0, 6.0)), (6.0, (3.0, 6.0)), (5.0, (2.0, 5.0)), (2.0, (0.0, 2.0))]
)
def test_the_window_is_after_the_pre_capture(station, detection, duration_s, window_s):
    assert station.window_s(detection, duration_s) == window_s


def test_settings_hold_no_password(server):
    from birdnet_nl.stations.birdnet_go_login import Login

    station = BirdnetGo(server.url, login=Login(password="s3cret"))
    assert station.settings == {"kind": "birdnet-go", "url": server.url, "pre_capture_s": 3.0}
    assert "s3cret" not in repr(Login(password="s3cret", token="s3cret"))
    station.close()


def test_requests_are_not_logged_with_their_addresses(server, reader, caplog):
    caplog.set_level(logging.DEBUG)
    reader.read()
    assert "HTTP Request" not in caplog.text
