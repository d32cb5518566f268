"""The Xeno-canto client against a local server with the faults of a real server and connection."""

import logging
import time
import traceback
from types import SimpleNamespace

import pytest

from birdnet_nl.recordings import xeno_canto
from birdnet_nl.recordings.rate_limit import RateLimit, retry_after_s
from birdnet_nl.recordings.sound_file import find_defect
from birdnet_nl.recordings.xeno_canto import ApiKeyError, DownloadError, IncompleteError, XenoCanto
from birdnet_nl.recordings.xeno_canto_pages import parse_count

QUERY = 'sp:"parus major" grp:birds'


def check(path):
    return find_defect(path, 2.0)


def test_a_search_returns_the_recordings_of_all_pages_once(server, client_of):
    for number in range(1, 11):
        server.add(number)
    server.page_size = 3
    recordings = client_of(server).search(QUERY)
    assert [recording["id"] for recording in recordings] == [str(number) for number in range(1, 11)]
    assert len(server.requests) == 4


def test_a_recording_added_during_a_search_makes_no_duplicate(server, client_of):
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
    assert sorted(ids, key=int) == [*map(str, range(1, 8)), "99"]  # the second reading finds the new one


def test_a_recording_removed_during_a_search_loses_no_other(server, client_of):
    for number in range(1, 8):
        server.add(number)
    server.page_size = 3
    server.on_page = lambda page: server.recordings.pop("1", None) if page == 2 else None
    ids = {recording["id"] for recording in client_of(server).search(QUERY)}
    assert ids >= set(map(str, range(2, 8)))


@pytest.mark.parametrize("fault", ["500", "503", "pause", "html", "empty", "truncated", "reset", "hang", "redirect"])
def test_a_search_survives(server, client_of, fault):
    server.add(1)
    server.faults["api"].append(fault)
    recordings = client_of(server, timeout_s=0.25).search(QUERY)
    assert [recording["id"] for recording in recordings] == ["1"]
    assert server.injected[fault] == 1


def one_more_page(number, pages=3):
    """Make a change of the body that answers page 1 and 2 normally, and page `pages` with `number`."""

    def change(page, body):
        if page == pages:
            return number
        return {**body, "numPages": pages}

    return change


EXTRA_PAGES = {
    "no recordings": {"numRecordings": "4", "numPages": 3, "recordings": []},
    "an empty object": {"numRecordings": "4", "numPages": 3, "recordings": {}},
    "null": {"numRecordings": "4", "numPages": 3, "recordings": None},
    "no keys": {},
    "only null": None,
    "a list": [],
    "html": b"<!DOCTYPE html><html></html>",
    "nothing": b"",
    "an error": {"error": "no such page"},
    "other totals": {"numRecordings": 0, "numPages": 0, "recordings": []},
}


@pytest.mark.parametrize("name", EXTRA_PAGES)
def test_an_extra_page_is_no_error_when_everything_announced_has_arrived(server, client_of, name):
    for number in range(1, 5):
        server.add(number)
    server.page_size = 2
    server.change_body = one_more_page(EXTRA_PAGES[name])
    assert [entry["id"] for entry in client_of(server).search(QUERY)] == ["1", "2", "3", "4"]
    assert len(server.requests) <= 6  # one attempt for the extra page


@pytest.mark.parametrize("fault", ["500", "404", "403", "reset", "hang", "429 an hour", "401"])
def test_a_failing_extra_page_is_no_error(server, client_of, fault):
    server.add(1)
    server.change_body = lambda page, body: {**body, "numPages": 2}
    server.on_page = lambda page: server.faults["api"].append(fault) if page == 1 else None
    client = client_of(server, timeout_s=0.25)
    assert [entry["id"] for entry in client.search(QUERY)] == ["1"]
    assert server.injected[fault] == 1


def as_object(page, body):
    return {**body, "recordings": {str(i): entry for i, entry in enumerate(body["recordings"])}}


def one_by_itself(page, body):
    return {**body, "recordings": body["recordings"][0]} if len(body["recordings"]) == 1 else body


CHANGES = {
    "recordings as an object": as_object,
    "the last recording by itself": one_by_itself,
    "totals as numbers": lambda page, body: {**body, "numRecordings": 5, "numPages": str(body["numPages"])},
    "a thousands separator": lambda page, body: {**body, "numRecordings": "5.0", "numPages": "3"},
    "no totals": lambda page, body: {name: body[name] for name in ("recordings", "numPages")},
    "no pages": lambda page, body: {name: body[name] for name in ("recordings", "numRecordings")},
    "fewer pages than there are": lambda page, body: {**body, "numPages": 1},
    "changing pages": lambda page, body: {**body, "numPages": 3 if page == 1 else page},
    "many pages": lambda page, body: {**body, "numPages": 1_000_000},
    "a smaller total": lambda page, body: {**body, "numRecordings": "3"},
}


@pytest.mark.parametrize("name", CHANGES)
def test_pages_of_unusual_form_are_read(server, client_of, name):
    for number in range(1, 6):
        server.add(number)
    server.page_size = 2
    server.change_body = CHANGES[name]
    assert {entry["id"] for entry in client_of(server).search(QUERY)} == {"1", "2", "3", "4", "5"}
    assert len(server.requests) <= 14


def test_a_count_may_have_a_thousands_separator():
    counts = {"1,234": 1234, "1.234.567": 1234567, "1 234": 1234, "1’234": 1234, 7: 7, "7": 7, "7.0": 7, "0": 0}
    assert {value: parse_count(value) for value in counts} == counts
    assert [parse_count(value) for value in (None, "", "many", True, -1, "1,2", [])] == [None] * 7


def test_repeated_recordings_count_as_arrived(server, client_of):
    for number in range(1, 5):
        server.add(number)
    server.page_size = 2
    server.change_body = lambda page, body: {
        **body, "recordings": body["recordings"] if page == 1 else [server.recordings["2"], server.recordings["3"]]
    }  # fmt: skip
    assert [entry["id"] for entry in client_of(server).search(QUERY)] == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("page_2", "reason"),
    [
        (b"<html></html>", r" \(the response is not JSON of API v3\)"),
        ({"recordings": []}, ""),
        ({"recordings": {}}, ""),
    ],
)
def test_fewer_recordings_than_announced_are_one_sentence_and_stay(server, client_of, page_2, reason):
    for number in range(1, 6):
        server.add(number)
    server.page_size = 2
    server.change_body = lambda page, body: page_2 if page > 1 else body
    with pytest.raises(IncompleteError, match=rf"only 2 of 5 announced recordings arrived{reason}; these") as caught:
        client_of(server, attempts=2).search(QUERY)
    assert [entry["id"] for entry in caught.value.entries] == ["1", "2"]


def test_the_two_readings_of_all_pages_complete_each_other(server, client_of):
    for number in range(1, 5):
        server.add(number)
    server.page_size = 2
    readings = []

    def change(page, body):
        readings.append(page)
        recordings = body["recordings"][:1] if readings.count(page) == 1 else body["recordings"][1:]
        return {**body, "recordings": recordings}

    server.change_body = change
    assert {entry["id"] for entry in client_of(server).search(QUERY)} == {"1", "2", "3", "4"}


def test_a_very_slow_response_ends_at_the_deadline(server, client_of, tmp_path):
    server.add(1)
    server.faults["1"].extend(["drip", "drip"])
    server.faults["api"].extend(["drip", "drip"])
    client = client_of(server, attempts=2, deadline_s=0.1)
    start = time.monotonic()
    with pytest.raises(DownloadError, match=r"not complete after 0\.1 s, 2 times"):
        client.fetch(f"{server.url}/1/download", tmp_path / "x", check)
    with pytest.raises(DownloadError, match=r"not complete after 0\.1 s, 2 times"):
        client.search(QUERY)
    assert time.monotonic() - start < 3


def test_retries_wait_for_retry_after_and_back_off(server, client_of, monkeypatch):
    waits = []
    monkeypatch.setattr(xeno_canto, "time", SimpleNamespace(sleep=waits.append, monotonic=time.monotonic))
    server.add(1)
    server.faults["api"].extend(["503 date", "429 ten minutes"])
    server.faults["api"].extend(["500", "500"])
    client_of(server, min_wait_s=1.0, max_wait_s=6.0).search(QUERY)
    assert 8 <= waits[0] <= 10 and waits[1] == 600
    assert 2 <= waits[2] <= 4 and 3 <= waits[3] <= 6  # with jitter, and never longer than max_wait_s


def test_retry_after_can_be_seconds_or_a_date():
    assert retry_after_s("7") == 7
    assert retry_after_s("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert retry_after_s("Wed, 21 Oct 2099 07:28:00 GMT") > 1e9
    assert retry_after_s("soon") == retry_after_s("") == 0


@pytest.mark.parametrize(
    ("fault", "text"),
    [("400 object", "no such tag"), ("400 text", "query must use tags"), ("404", "status 404"), ("403", "status 403")],
)
def test_a_refused_query_is_not_repeated(server, client_of, fault, text):
    server.faults["api"].append(fault)
    with pytest.raises(DownloadError, match=text):
        client_of(server).search(QUERY)
    assert len(server.requests) == 1


def test_a_redirect_loop_raises(server, client_of, tmp_path):
    server.add(1)
    server.faults["1"].append("redirect loop")
    with pytest.raises(DownloadError, match="more than 5 redirects"):
        client_of(server).fetch(f"{server.url}/1/download", tmp_path / "x", check)


def test_the_error_for_a_missing_or_refused_key_explains_how_to_get_one(server, client_of):
    with pytest.raises(ApiKeyError, match=r"XENO_CANTO_API_KEY is not set; register at https://xeno-canto.org"):
        XenoCanto("  ")
    with pytest.raises(ApiKeyError, match=r"refuses the key in XENO_CANTO_API_KEY .*; register at") as caught:
        client_of(server, key="another key").search(QUERY)
    assert "another key" not in str(caught.value) and "another+key" not in str(caught.value)


@pytest.mark.parametrize(
    "fault", ["500", "hang", "reset", "html", "400 object", "401", "redirect away", "429 an hour", "truncated", "200"]
)
def test_no_log_error_or_traceback_contains_the_key(server, client_of, caplog, fault):
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


def test_no_other_server_gets_the_key(server, client_of):
    server.faults["api"].append("redirect away")
    with pytest.raises(DownloadError, match="redirects to http://localhost, which does not get the key"):
        client_of(server).search(QUERY)
    assert len(server.requests) == 1


def test_every_request_waits_for_the_rate_limit(server, client_of):
    for number in range(1, 7):
        server.add(number)
    server.page_size = 2
    client, waits = client_of(server), []
    client.rate_limit = RateLimit(5.0, 100, clock=lambda: 0.0, sleep=waits.append)
    client.search(QUERY)
    assert waits == [5.0, 10.0]


def test_the_rate_limit_keeps_the_delay_and_the_hourly_budget():
    now = [0.0]
    starts = []
    rate_limit = RateLimit(1.0, 3, clock=lambda: now[0], sleep=lambda wait_s: now.__setitem__(0, now[0] + wait_s))
    for _ in range(7):
        rate_limit.wait()
        starts.append(now[0])
    assert starts == [0, 1, 2, 3600, 3601, 3602, 7200]
    with pytest.raises(ValueError, match="delay_s=-1"):
        RateLimit(-1, 3)
