"""The client against a real server on loopback; every fault that Xeno-canto or the way to it may show."""

import hashlib
import logging
import time
import traceback
from itertools import pairwise

import pytest

from birdnet_nl.recordings.rate_limit import Pace, retry_after_s
from birdnet_nl.recordings.sound_file import what_is_wrong
from birdnet_nl.recordings.xeno_canto import ApiKeyError, BusyError, DownloadError, XenoCanto

QUERY = 'sp:"parus major" grp:birds'


def look(path):
    return what_is_wrong(path, 2.0, ".mp3")


def test_all_pages_are_read_and_each_recording_comes_once(server, client_of):
    for number in range(1, 11):
        server.add(number)
    server.page_size = 3
    found = client_of(server).search(QUERY)
    assert [recording["id"] for recording in found] == [str(number) for number in range(1, 11)]
    assert len(server.requests) == 4


def test_a_recording_added_while_reading_gives_no_double(server, client_of):
    for number in range(1, 8):
        server.add(number)
    server.page_size = 3

    def add_in_front(page):
        if page == 2 and "99" not in server.recordings:
            before = dict(server.recordings)
            server.recordings.clear()
            server.add(99)
            server.recordings.update(before)

    server.on_page = add_in_front
    ids = [recording["id"] for recording in client_of(server).search(QUERY)]
    assert sorted(ids, key=int) == [*map(str, range(1, 8)), "99"]  # the shift is noticed, and the new one is found too


def test_a_recording_removed_while_reading_loses_no_other(server, client_of):
    for number in range(1, 8):
        server.add(number)
    server.page_size = 3
    server.on_page = lambda page: server.recordings.pop("1", None) if page == 2 else None
    ids = {recording["id"] for recording in client_of(server).search(QUERY)}
    assert ids >= set(map(str, range(2, 8)))


@pytest.mark.parametrize(
    "fault",
    ["500", "503", "pause", "html", "empty", "truncated", "reset", "hang", "redirect"],
)
def test_a_query_survives(server, client_of, fault):
    server.add(1)
    server.faults["api"].append(fault)
    found = client_of(server, timeout_s=0.25).search(QUERY)
    assert [recording["id"] for recording in found] == ["1"]
    assert server.injected[fault] == 1


@pytest.mark.parametrize(
    "fault",
    ["500", "503", "pause", "html", "empty", "truncated", "cut", "reset", "drip", "hang", "redirect", "redirect away"],
)
def test_a_file_survives(server, client_of, tmp_path, fault):
    server.add(1)
    server.faults["1"].append(fault)
    client = client_of(server, timeout_s=0.25, deadline_s=0.2)
    sha256 = client.fetch(f"{server.url}/1/download", tmp_path / "x", look)
    assert (tmp_path / "x").read_bytes() == server.sound
    assert sha256 == hashlib.sha256(server.sound).hexdigest()
    assert server.injected[fault] == 1


def test_an_answer_that_drips_is_given_up(server, client_of, tmp_path):
    server.add(1)
    server.faults["1"].extend(["drip", "drip"])
    server.faults["api"].extend(["drip", "drip"])
    client = client_of(server, attempts=2, deadline_s=0.1)
    start = time.monotonic()
    with pytest.raises(DownloadError, match=r"not complete after 0\.1 s, 2 times"):
        client.fetch(f"{server.url}/1/download", tmp_path / "x", look)
    with pytest.raises(DownloadError, match=r"not complete after 0\.1 s, 2 times"):
        client.search(QUERY)
    assert time.monotonic() - start < 3


def test_retry_after_is_obeyed_and_back_off_grows(server, client_of):
    server.add(1)
    server.faults["api"].extend(["503 date", "429 seconds"])
    client_of(server).search(QUERY)
    times = [at for at, _ in server.requests]
    assert times[2] - times[1] >= 1.0
    server.requests.clear()
    server.faults["api"].extend(["500", "500", "500"])
    client_of(server, first_wait_s=0.04).search(QUERY)
    times = [at for at, _ in server.requests]
    waits = [later - earlier for earlier, later in pairwise(times)]
    assert waits[0] >= 0.02 and waits[1] >= 0.04 and waits[2] >= 0.08


def test_retry_after_is_seconds_or_a_date():
    assert retry_after_s("7") == 7
    assert retry_after_s("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert retry_after_s("Wed, 21 Oct 2099 07:28:00 GMT") > 1e9
    assert retry_after_s("soon") == retry_after_s("") == 0


def test_a_server_that_asks_for_an_hour_is_left_alone(server, client_of):
    server.faults["api"].append("429 an hour")
    with pytest.raises(BusyError, match=r"answers 429 and asks to wait 60 minutes; try again then"):
        client_of(server).search(QUERY)
    assert len(server.requests) == 1


def test_a_lasting_fault_is_told_after_the_attempts(server, client_of, tmp_path):
    server.add(1)
    server.faults["1"].extend(["html"] * 9)
    with pytest.raises(DownloadError, match=r"/1/download: a web page came in place of the sound, 3 times; try again"):
        client_of(server, attempts=3).fetch(f"{server.url}/1/download", tmp_path / "x", look)
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ("400 object", "no such tag"),
        ("400 text", "query must use tags"),
        ("404", "answers 404"),
        ("403", "answers 403"),
    ],
)
def test_a_refused_query_is_not_repeated(server, client_of, fault, text):
    server.faults["api"].append(fault)
    with pytest.raises(DownloadError, match=text):
        client_of(server).search(QUERY)
    assert len(server.requests) == 1


def test_a_redirect_loop_ends(server, client_of, tmp_path):
    server.add(1)
    server.faults["1"].append("redirect loop")
    with pytest.raises(DownloadError, match="more than 5 redirects"):
        client_of(server).fetch(f"{server.url}/1/download", tmp_path / "x", look)


def test_a_missing_or_refused_key_says_how_to_get_one(server, client_of):
    with pytest.raises(ApiKeyError, match=r"XENO_CANTO_API_KEY is not set; register at https://xeno-canto.org"):
        XenoCanto("  ")
    with pytest.raises(ApiKeyError, match=r"refuses the key in XENO_CANTO_API_KEY .*; register at") as caught:
        client_of(server, key="another key").search(QUERY)
    assert "another key" not in str(caught.value) and "another+key" not in str(caught.value)


@pytest.mark.parametrize(
    "fault", ["500", "hang", "reset", "html", "400 object", "401", "redirect away", "429 an hour", "truncated", "200"]
)
def test_the_key_is_in_no_log_error_or_traceback(server, client_of, caplog, fault):
    server.add(1)
    server.faults["api"].extend([fault] * 2 if fault != "200" else [])
    client = client_of(server, attempts=2, timeout_s=0.25)
    texts = [repr(client), repr(vars(client))]
    with caplog.at_level(logging.DEBUG):
        try:
            client.search(QUERY)
        except Exception as error:
            texts += traceback.format_exception(error)
            assert error.__cause__ is None and error.__context__ is None
            captured = traceback.TracebackException.from_exception(error, capture_locals=True)
            texts += captured.format()
    records = [record.getMessage() + repr(record.args) for record in caplog.records]
    assert any("/api/3/recordings" in record for record in records) or fault in ("hang", "reset")
    for form in (server.key, server.key.replace(" ", "+"), "geheime%20sleutel", "geheime+sleutel"):
        assert form not in "\n".join(texts + records)


def test_the_key_goes_to_no_other_server(server, client_of):
    server.faults["api"].append("redirect away")
    with pytest.raises(DownloadError, match="sends us to http://localhost, where the key is not taken"):
        client_of(server).search(QUERY)
    assert len(server.requests) == 1


def test_requests_keep_their_distance(server, client_of):
    for number in range(1, 7):
        server.add(number)
    server.page_size = 2
    client_of(server, delay_s=0.4).search(QUERY)
    times = [at for at, _ in server.requests]
    assert len(times) == 3
    assert times[-1] - times[0] > 0.5  # 0.8 s, less what a busy machine may take to notice the first request


def test_the_hourly_budget_is_kept():
    now = [0.0]
    starts = []
    pace = Pace(1.0, 3, clock=lambda: now[0], sleep=lambda wait_s: now.__setitem__(0, now[0] + wait_s))
    for _ in range(7):
        pace.wait()
        starts.append(now[0])
    assert starts == [0, 1, 2, 3600, 3601, 3602, 7200]
    with pytest.raises(ValueError, match="delay_s=-1"):
        Pace(-1, 3)
