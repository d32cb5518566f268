"""Comments in BirdNET-Go: only on request, once, with a login, and without a review or lock."""

import json
import logging

import pytest

from birdnet_nl.stations.birdnet_go import BirdnetGo
from birdnet_nl.stations.birdnet_go_login import Login
from birdnet_nl.stations.birdnet_go_rows import parse_row
from birdnet_nl.stations.comments import CommentChannel, comment_text
from birdnet_nl.stations.database import open_database
from birdnet_nl.stations.outbox import Limits, Outbox
from birdnet_nl.stations.records import StoredKnown
from birdnet_nl.stations.station import StationUnavailableError
from tests.stations.birdnet_go_server import BirdnetGoServer
from tests.stations.outbox_tables import add_result, wait_until, waiting
from tests.stations.test_outbox import message_of

TEXT = "birdnet_nl: alarm 93 % (song 7 %), merel 2026.1"


@pytest.fixture
def server():
    server = BirdnetGoServer(password="s3cret")
    yield server
    server.stop()


@pytest.fixture
def connect(server):
    stations = []

    def connect_station(**options):
        options = {"login": Login(password="s3cret"), "comments": True, "timeout_s": 2, **options}
        stations.append(BirdnetGo(server.url, **options))
        return stations[-1]

    yield connect_station
    for station in stations:
        station.close()


@pytest.fixture
def detection(server):
    return parse_row(server.detections[server.add()]).detection


def comments(server, id=1):
    return [comment["entry"] for comment in server.detections[id].get("comments", [])]


def test_a_comment_is_written_once(server, connect, detection):
    for _ in range(2):
        connect().report(detection, TEXT)
    assert comments(server) == [TEXT]


def test_a_comment_neither_reviews_nor_locks(server, connect, detection):
    connect().report(detection, TEXT)
    bodies = {body for _, path, _, body in server.requests if path.endswith("/review")}  # one before the login
    assert [json.loads(body) for body in bodies] == [{"comment": TEXT, "lock_detection": False}]
    assert (server.detections[1]["verified"], server.detections[1]["locked"]) == ("unverified", False)


def test_nothing_is_written_unless_asked_for(server, connect, detection):
    connect(comments=False).report(detection, TEXT)
    assert server.paths("POST") == []


def test_a_locked_detection_stays_as_it_is(server, connect, detection, caplog):
    caplog.set_level(logging.INFO)
    server.detections[1]["locked"] = True
    connect().report(detection, TEXT)
    assert comments(server) == [] and server.detections[1]["locked"]
    assert "it is locked in BirdNET-Go" in caplog.text


def test_no_comment_goes_to_another_detection(server, connect, detection, caplog):
    caplog.set_level(logging.INFO)
    server.detections[1] |= {"scientificName": "Parus major"}
    connect().report(detection, TEXT)
    server.delete(1)
    connect().report(detection, TEXT)
    assert server.paths("POST") == [] and caplog.text.count("BirdNET-Go deleted or changed it") == 2


def test_an_expired_session_and_an_expired_csrf_token_are_renewed(server, connect, detection):
    station = connect()
    station.report(detection, TEXT)
    station._api.client.cookies.delete("session")
    station._api._session._csrf = "old"
    station.report(detection, "another text")
    assert comments(server) == [TEXT, "another text"]


def test_a_wrong_password_is_reported_and_tried_once_in_a_quarter_of_an_hour(server, connect, detection, caplog):
    caplog.set_level(logging.DEBUG)
    station = connect(login=Login(password="wr0ng"))
    for message in ("refuses the password of user birdnet-client; check BIRDNET_NL_GO_PASSWORD", "tried again later"):
        with pytest.raises(StationUnavailableError, match=message) as caught:
            station.report(detection, TEXT)
        assert 800 < caught.value.retry_after_s <= 900
    assert server.paths("POST").count("/api/v2/auth/login") == 1
    assert "wr0ng" not in caplog.text + str(caught.value)


def test_without_a_login_the_message_says_how_to_give_one(server, connect, detection):
    with pytest.raises(StationUnavailableError, match="asks for a login; set BIRDNET_NL_GO_PASSWORD or give"):
        connect(login=None).report(detection, TEXT)


def test_a_token_is_sent_as_it_is(server, connect, detection):
    connect(login=Login(token="t0ken")).report(detection, TEXT)
    assert comments(server) == [TEXT] and "/api/v2/auth/login" not in server.paths("POST")
    with pytest.raises(StationUnavailableError, match="refuses the token"):
        connect(login=Login(token="0ther")).report(detection, "another text")


def test_a_station_without_a_login_needs_none(server, connect, detection):
    server.password = ""
    connect(login=None).report(detection, TEXT)
    assert comments(server) == [TEXT]


def test_the_password_goes_to_no_other_server(server, connect, detection):
    answer = json.dumps({"success": True, "redirectUrl": "//evil.example/callback?code=1"}).encode()
    server.faults["/auth/login"] = [(200, {"Content-Type": "application/json"}, answer)]
    with pytest.raises(StationUnavailableError, match="sends the login to another server"):
        connect().report(detection, TEXT)


def test_a_private_station_is_read_with_the_login(server, connect, tmp_path):
    server.is_private = True
    server.add()
    connection = open_database(tmp_path / "detections.db")
    changes = connect().changes("", StoredKnown(connection, "birdnet-go"))
    assert [detection.clip for detection in changes.detections] == ["1"]
    with connect().clip(changes.detections[0]) as path:
        assert path.stat().st_size > 0
    station = connect()
    assert station.wait(5)
    wait_until(lambda: bool(server.streams))
    with station.clip(changes.detections[0]):
        pass
    assert server.paths("POST").count("/api/v2/auth/login") == 3, "one login for each program"
    with pytest.raises(StationUnavailableError, match="asks for a login"):
        connect(login=None).changes("", StoredKnown(connection, "birdnet-go"))
    connection.close()


def test_comments_are_delivered_from_the_outbox_also_after_a_restart_of_the_station(server, connect, tmp_path):
    database = tmp_path / "detections.db"
    open_database(database).close()
    server.add()
    row = parse_row(server.detections[1])
    add_result(
        database, channels=("station",), key=row.detection.key, recorded_at=row.detection.recorded_at.isoformat()
    )
    connection = open_database(database)
    connection.execute("UPDATE detections SET clip = '1'")
    connection.close()
    server.stop()
    outbox = Outbox(database, Limits(first_wait_s=0.02, longest_wait_s=0.05))
    outbox.start([CommentChannel(connect())])
    wait_until(lambda: "cannot be reached" in outbox.problems().get("station", ""))
    server.start()
    wait_until(lambda: waiting(database, "station") == [])
    outbox.close()
    assert comments(server) == [TEXT]


def test_a_comment_is_one_readable_line(tmp_path):
    database = tmp_path / "detections.db"
    assert comment_text(message_of(database, add_result(database))) == TEXT
    uncertain = message_of(database, add_result(database, is_uncertain=True))
    assert comment_text(uncertain) == "birdnet_nl: uncertain, alarm 93 % (song 7 %), merel 2026.1"
