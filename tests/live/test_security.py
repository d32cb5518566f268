"""Security of the live page: what a request may do, and that 500 hostile ones learn nothing and break nothing."""

import importlib.util
import itertools
import logging
import os
import socket
import threading
import time
from datetime import date
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from birdnet_nl.live.app import create_app
from birdnet_nl.live.login import COOKIE, SESSION_S, is_session, is_token, new_session
from birdnet_nl.live.media import checked_clip
from birdnet_nl.live.parts import Live
from birdnet_nl.live.queries import Filters
from birdnet_nl.live.rates import Rate, RateLimiter
from birdnet_nl.live.refused import RefusedError
from birdnet_nl.live.security import HEADERS, MAX_BODY_BYTES
from birdnet_nl.live.server import LiveServer, listen
from birdnet_nl.live.settings import LiveSettings
from birdnet_nl.util.errors import SetupError

spec = importlib.util.spec_from_file_location("live_factory", Path(__file__).with_name("factory.py"))
factory = importlib.util.module_from_spec(spec)
spec.loader.exec_module(factory)

TOKEN = "0123456789abcdef0123456789abcdef"
SECRET = "root-of-all-secrets"
HOST = "http://localhost"
CORRECTION = {"type": "song", "person": "Anna"}
LEAKS = ("Traceback", 'File "', SECRET, TOKEN, "site-packages", "sqlite3.", "FROM detections", "root:x:0:0")


@pytest.fixture
def connection(tmp_path):
    connection = factory.make_database(tmp_path / "detections.db", tmp_path / "clips")
    factory.write_clip(tmp_path / "clips" / "a.wav", 1.0)
    (tmp_path / "secret.wav").write_text(SECRET)
    factory.add_detection(connection, f"{date.today()}T06:00:00", clip="a.wav")
    yield connection
    connection.close()


def live(tmp_path, base_url=HOST, **settings) -> TestClient:
    values = {"database": tmp_path / "detections.db", "cache": tmp_path / "cache"} | settings
    return TestClient(create_app(Live(LiveSettings(**values))), base_url=base_url, follow_redirects=False)


def correct(page, headers=None, path="/detections/1/correction", **options):
    return page.post(path, **({"json": CORRECTION} | options), headers={"origin": HOST} | (headers or {}))


# settings


@pytest.mark.parametrize(
    "settings",
    [
        {"host": "0.0.0.0"},
        {"host": "::"},
        {"host": "192.168.1.5"},
        {"allowed_hosts": ("bird.example",)},
        {"host": "0.0.0.0", "read_only": True},
        {"host": "0.0.0.0", "public_reading": True},
    ],
)
def test_a_page_for_others_needs_a_token(tmp_path, settings):
    with pytest.raises(SetupError, match="token"):
        LiveSettings(database=tmp_path / "a", cache=tmp_path, **settings)
    LiveSettings(database=tmp_path / "a", cache=tmp_path, token=TOKEN, **settings)


def test_everyone_may_read_where_it_is_asked_for_in_so_many_words(tmp_path):
    LiveSettings(database=tmp_path / "a", cache=tmp_path, host="0.0.0.0", read_only=True, public_reading=True)


@pytest.mark.parametrize(
    "token", ["short", "a" * 40, "with blanks in the token!", "ümlauts-are-not-possible-1", "x" * 5000]
)
def test_weak_tokens_are_refused_without_printing_them(tmp_path, token):
    with pytest.raises(SetupError) as error:
        LiveSettings(database=tmp_path / "a", cache=tmp_path, token=token)
    assert token not in str(error.value)
    assert TOKEN not in repr(LiveSettings(database=tmp_path / "a", cache=tmp_path, token=TOKEN))


# reading and writing with a token


def test_without_the_token_nothing_is_read_or_written(tmp_path, connection):
    page = live(tmp_path, token=TOKEN)
    paths = (
        "/",
        "/rows",
        "/events",
        "/highlights",
        "/patterns",
        "/check",
        "/detections.csv",
        "/detections/1/clip",
        "/detections/1/spectrogram.png",
    )
    for path in paths:
        answer = page.get(path)
        assert answer.status_code == 401 and "Blackbird" not in answer.text, path
    assert correct(page).status_code == 401
    assert page.get("/login").status_code == 200


def test_with_public_reading_only_writing_needs_the_token(tmp_path, connection):
    page = live(tmp_path, token=TOKEN, public_reading=True)
    assert page.get("/").status_code == 200 and 'class="taps"' not in page.get("/").text
    assert page.get("/detections/1/clip").status_code == 200
    assert correct(page).status_code == 401
    assert correct(page, {"authorization": f"Bearer {TOKEN}"}).status_code == 200


def test_login_sets_a_cookie_that_scripts_and_other_sites_cannot_use(tmp_path, connection):
    page = live(tmp_path, token=TOKEN)
    assert page.post("/login", data={"token": "wrong"}).status_code == 403
    answer = page.post("/login", data={"token": TOKEN})
    cookie = answer.headers["set-cookie"]
    assert answer.status_code == 303 and answer.headers["location"] == "/"
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie and TOKEN not in cookie
    assert page.get("/").status_code == 200 and correct(page).status_code == 200
    page.post("/logout")
    assert page.get("/").status_code == 401
    behind_tls = page.post("/login", data={"token": TOKEN}, headers={"x-forwarded-proto": "https"})
    assert "Secure" in behind_tls.headers["set-cookie"] and "Secure" not in cookie


def test_a_session_ends_and_cannot_be_forged():
    session = new_session(TOKEN, now_s=1000)
    assert is_session(session, TOKEN, now_s=1001)
    assert not is_session(session, TOKEN, now_s=1000 + SESSION_S + 1)
    assert not is_session(session, "another-token-0123456789", now_s=1001)
    later = str(int(session.partition(".")[0]) + 10)
    for forged in (
        f"{later}.{session.partition('.')[2]}",
        later,
        "",
        ".",
        f"{later}.",
        "9" * 50,
        "é.é",
        f"٣.{'a' * 64}",
    ):
        assert not is_session(forged, TOKEN, now_s=1001), forged
    assert not is_session(new_session("", 1000), "", now_s=1001) and not is_token("", "")


def test_the_token_is_compared_in_constant_time(monkeypatch):
    compared = []
    monkeypatch.setattr("hmac.compare_digest", lambda a, b: compared.append((a, b)) or a == b)
    assert is_token(TOKEN, TOKEN) and not is_token("x", TOKEN) and is_session(new_session(TOKEN), TOKEN)
    assert len(compared) == 3 and all(len(a) == len(b) for a, b in compared)


def test_guessing_tokens_is_slowed_down(tmp_path, connection):
    page = live(tmp_path, token=TOKEN)
    codes = [page.post("/login", data={"token": f"guess-{number}"}).status_code for number in range(15)]
    assert codes[:10] == [403] * 10 and codes[-1] == 429
    answer = page.post("/login", data={"token": TOKEN})
    assert answer.status_code == 429 and int(answer.headers["retry-after"]) > 0


# origin, host, methods, sizes


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": ""},
        {"origin": "http://localhost:1"},
        {"origin": "http://localhost.evil.example"},
        {"origin": "http://localhost@evil.example"},
        {"origin": "http://[", "host": "localhost"},
        {"sec-fetch-site": "cross-site"},
    ],
)
def test_a_write_from_another_page_is_refused(tmp_path, connection, headers):
    assert correct(live(tmp_path), headers).status_code == 403
    assert connection.execute("SELECT count(*) FROM corrections").fetchone()[0] == 0


def test_a_write_without_origin_or_as_a_form_is_refused(tmp_path, connection):
    page = live(tmp_path)
    assert page.post("/detections/1/correction", json=CORRECTION).status_code == 403
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=a", ""):
        answer = correct(page, {"content-type": content_type}, json=None, content=b'{"type": "song", "person": "x"}')
        assert answer.status_code == 415, content_type


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "192.168.1.5",
        "",
        "localhost@evil",
        "a/b",
        "[::1",
        "localhost:99999",
        "xn--localhost",
    ],
)
def test_other_host_names_are_refused_against_dns_rebinding(tmp_path, connection, host):
    assert live(tmp_path).get("/", headers={"host": host}).status_code == 421


@pytest.mark.parametrize("host", ["localhost", "localhost:8088", "127.0.0.1:8088", "[::1]:8088", "LOCALHOST"])
def test_own_host_names_are_accepted(tmp_path, connection, host):
    assert live(tmp_path).get("/", headers={"host": host}).status_code == 200


def test_on_the_network_addresses_and_the_name_of_the_machine_are_accepted_and_others_only_if_allowed(
    tmp_path, connection
):
    settings = LiveSettings(database=tmp_path, cache=tmp_path, host="0.0.0.0", token=TOKEN, allowed_hosts=("bird.lan",))
    own = socket.gethostname().partition(".")[0]
    for name in ("192.168.1.5", "::1", "fe80::1", f"{own}.local", "bird.lan", "BIRD.LAN."):
        assert settings.is_own_host(name), name
    assert not settings.is_own_host("evil.example") and not settings.is_own_host("")


def test_every_answer_has_strict_headers(tmp_path, connection):
    page = live(tmp_path)
    style = next(part for part in page.get("/").text.split('"') if part.endswith("live.css"))
    paths = (
        "/",
        "/rows",
        "/nothing",
        "/detections/1/clip",
        "/detections/1/spectrogram.png",
        "/detections.csv",
        style,
        "/login",
    )
    answers = [page.get(path) for path in paths]
    answers += [page.get("/", headers={"host": "evil.example"}), page.delete("/"), correct(page)]
    for answer in answers:
        for name, value in HEADERS.items():
            assert answer.headers[name] == value, answer.url
        assert "server" not in answer.headers and "cache-control" in answer.headers
    policy = HEADERS["content-security-policy"]
    assert "unsafe" not in policy and "default-src 'none'" in policy and "frame-ancestors 'none'" in policy


def test_no_page_has_inline_script_style_or_handler(tmp_path, connection):
    page = live(tmp_path, token=TOKEN)
    page.post("/login", data={"token": TOKEN})
    for path in ("/", "/patterns", "/check", "/highlights", "/login", "/nothing"):
        text = page.get(path, headers={"accept": "text/html"}).text
        assert "<style" not in text and ' style="' not in text and "javascript:" not in text and " onclick" not in text
        assert text.count("<script") == text.count('<script type="module" src="/static/') == 1
        assert "http://" not in text.replace("http://127.0.0.1:8080", "") and "https://" not in text


def test_documentation_of_the_interface_is_off_and_methods_are_few(tmp_path, connection):
    page = live(tmp_path)
    assert [page.get(path).status_code for path in ("/docs", "/redoc", "/openapi.json")] == [404] * 3
    assert [page.request(method, "/").status_code for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE")] == [
        405
    ] * 5


def test_large_bodies_queries_and_paths_are_refused(tmp_path, connection):
    page = live(tmp_path)
    assert correct(page, json=CORRECTION | {"comment": "x" * MAX_BODY_BYTES}).status_code == 413
    chunks = (b"x" * 4000 for _ in range(5))
    assert correct(page, {"content-type": "application/json"}, json=None, content=chunks).status_code == 413
    assert page.get("/?species=" + "x" * 3000).status_code == 414
    assert page.get("/" + "x" * 300).status_code == 414
    assert page.get("/?species=" + "x" * 200).status_code == 400


def test_deep_json_is_refused(tmp_path, connection):
    answer = correct(live(tmp_path), {"content-type": "application/json"}, json=None, content=b"[" * 8000)
    assert answer.status_code == 400


def test_read_only_accepts_no_corrections(tmp_path, connection):
    page = live(tmp_path, read_only=True)
    assert correct(page).status_code == 403 and 'class="taps"' not in page.get("/").text


def test_rates_are_limited_for_each_client_in_constant_memory():
    now = [0.0]
    limiter = RateLimiter(Rate(burst=3, per_s=1), clock=lambda: now[0])
    assert [limiter.wait_s("a") > 0 for _ in range(4)] == [False, False, False, True]
    assert limiter.wait_s("b") == 0
    now[0] = 2.0
    assert [limiter.wait_s("a") > 0 for _ in range(3)] == [False, False, True]
    for number in range(5000):
        limiter.wait_s(str(number))
    assert len(limiter._buckets) <= 1000


def test_many_writes_are_refused(tmp_path, connection):
    page = live(tmp_path)
    assert 429 in [correct(page, json={"type": ""}).status_code for _ in range(80)]


# files


@pytest.mark.parametrize(
    "clip",
    [
        "../secret.wav",
        "../../etc/passwd",
        "/etc/passwd",
        "sub/../../secret.wav",
        "link.wav",
        "linked/secret.wav",
        "a.txt",
        "noise",
        "",
        ".",
        "a.wav\0.mp3",
        "x" * 5000,
        "pipe.wav",
        "folder.wav",
        "\udcff.wav",
    ],
)
def test_only_sound_files_below_the_clip_folder_are_sent(tmp_path, connection, clip):
    folder = tmp_path / "clips"
    (folder / "a.txt").write_text(SECRET)
    (folder / "noise").write_text(SECRET)
    (folder / "folder.wav").mkdir()
    (folder / "link.wav").symlink_to(tmp_path / "secret.wav")
    (folder / "linked").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe.wav")
    with pytest.raises(RefusedError):
        checked_clip(folder, clip)
    if clip.isprintable():
        id = factory.add_detection(connection, f"{date.today()}T07:00:00", clip=clip)
        page = live(tmp_path)
        for path in (f"/detections/{id}/clip", f"/detections/{id}/spectrogram.png"):
            answer = page.get(path)
            assert answer.status_code == 404 and SECRET not in answer.text and str(tmp_path) not in answer.text


def test_clips_are_sent_in_ranges(tmp_path, connection):
    page, content = live(tmp_path), (tmp_path / "clips" / "a.wav").read_bytes()
    whole, part = page.get("/detections/1/clip"), page.get("/detections/1/clip", headers={"range": "bytes=10-19"})
    assert whole.content == content and whole.headers["content-type"] == "audio/wav"
    assert part.status_code == 206 and part.content == content[10:20]
    assert page.get("/detections/1/clip", headers={"range": "bytes=99999999-"}).status_code == 416


def test_a_link_as_clip_folder_is_accepted(tmp_path, connection):
    (tmp_path / "other").symlink_to(tmp_path / "clips")
    assert live(tmp_path, clips=tmp_path / "other").get("/detections/1/clip").status_code == 200


# hostile requests

TRAVERSALS = ["../" * n + f for n in (1, 3, 8) for f in ("etc/passwd", "secret.wav", "detections.db")]
ENCODED = [
    text.replace("/", s).replace(".", d)
    for text in TRAVERSALS[:6]
    for s in ("%2f", "%5c", "/")
    for d in ("%2e", ".", "%252e")
]
MARKUP = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</textarea><svg/onload=alert(1)>",
    "{{7*7}}",
    "{% for x in ().__class__.__base__.__subclasses__() %}",
    "${7*7}",
    "javascript:alert(1)",
]
SQL = [
    "' OR '1'='1",
    "1; DROP TABLE detections",
    "merel' UNION SELECT sql FROM sqlite_master--",
    "%' --",
    "\\'; --",
    "1e400",
    "-1",
    "0x10",
    "NaN",
]
BYTES = [
    "%00",
    "%ff%fe",
    "%c0%ae%c0%ae",
    "%ed%a0%80",
    "a%0d%0aSet-Cookie:x=y",
    "%F0%9F%90%A6",
    "%e2%80%ae",
    "\u202e",
    "٣",
    "９",
]
PATHS = [
    "/static/{0}",
    "/static/x/{0}",
    "/detections/{0}/clip",
    "/detections/{0}/spectrogram.png",
    "/detections/1/{0}",
    "/{0}",
]
QUERIES = ["day", "species", "type", "certainty", "before", "ids", "lang", "year"]


def hostile_targets() -> list[str]:
    from urllib.parse import quote

    values = (
        [quote(text, safe="/.%") for text in TRAVERSALS + MARKUP + SQL]
        + ENCODED
        + [quote(text, safe="%") for text in BYTES]
    )
    paths = [path.format(value) for path in PATHS for value in values]
    pages = ("/", "/rows", "/detections.csv", "/patterns", "/events")
    quoted = [quote(text, safe="%") for text in MARKUP + SQL + BYTES + TRAVERSALS[:3]]
    queries = [
        f"{page}?{name}={value}"
        for (page, name), value in zip(itertools.cycle(itertools.product(pages, QUERIES)), quoted * 12, strict=False)
        if not (page == "/events" and name != "day")
    ]
    return paths + queries


@pytest.fixture
def raw_server(tmp_path, connection, monkeypatch):
    """A real server on loopback, without limits of rate, and a function that sends raw bytes to it."""
    monkeypatch.setattr(
        "birdnet_nl.live.security.RATES",
        {kind: Rate(1e9, 1e9) for kind in ("login", "write", "spectrogram", "export", "read")},
    )
    settings = LiveSettings(database=tmp_path / "detections.db", cache=tmp_path / "cache", port=0)
    server, listening = LiveServer(settings), listen(settings)
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    address = listening.getsockname()

    def send(data: bytes) -> bytes:
        with socket.create_connection(address, timeout=20) as link:
            link.sendall(data)
            answer = b""
            while part := link.recv(65536):
                answer += part
                if len(answer) > 3_000_000 or b"event: ready" in answer:
                    break
        return answer

    deadline = time.monotonic() + 20
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.02)
    yield send
    server.should_exit = True
    thread.join(10)
    assert not thread.is_alive()


def test_500_hostile_requests_leak_nothing_and_break_nothing(tmp_path, connection, raw_server, caplog):
    caplog.set_level(logging.ERROR, "birdnet_nl")
    factory.add_detection(connection, f"{date.today()}T07:00:00", clip="../secret.wav", common_name=MARKUP[0])
    targets = hostile_targets()
    requests = [
        f"GET {target} HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\nConnection: close\r\n\r\n".encode()
        for target in targets
    ]
    head = b"POST /detections/1/correction HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\n"
    head += b"Connection: close\r\nContent-Type: application/json\r\n"
    bodies = [
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"type": "song", "person": "\\ud800"}',
        b'{"type": ["song"], "person": {}}',
        b'{"type": "wrong", "person": "x", "result": 1e999}',
        b'{"type": "wrong", "person": "x", "result": true}',
    ] * 4
    requests += [head + f"Content-Length: {len(body)}\r\n\r\n".encode() + body for body in bodies]
    requests += [
        head + b"Content-Length: -5\r\n\r\n",
        head + b"Content-Length: 99999999999\r\n\r\n",
        head + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 40_000 + b"\r\nConnection: close\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        b"Cookie: birdnet_nl_session=\xff\xff; birdnet_nl_language=<script>\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nAccept-Language: \xff\xff<script>\r\nConnection: close\r\n\r\n",
        b"GET /detections/1/clip HTTP/1.1\r\nHost: localhost\r\nRange: bytes="
        + b"0-0," * 300
        + b"\r\nConnection: close\r\n\r\n",
    ]
    assert len(requests) >= 500
    for request in requests:
        answer = raw_server(request)
        status, text = answer.split(b" ", 2)[1:2], answer.decode("utf-8", "replace")
        assert status and (status[0][:1] in b"234" or status[0] == b"503"), (request[:200], text[:300])
        markup = () if "content-type: text/csv" in text else MARKUP[:4]  # a download, in which it is only text
        found = [leak for leak in (*LEAKS, str(tmp_path), *markup) if leak in text]
        assert not found, (found, request[:200])
    assert [record.getMessage() for record in caplog.records] == []
    assert b"200 OK" in raw_server(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert connection.execute("SELECT count(*) FROM detections").fetchone()[0] == 2


def test_an_unforeseen_error_shows_no_traceback_and_is_logged_in_one_line(tmp_path, connection, monkeypatch, caplog):
    def fail(*_):
        raise RuntimeError(f"{SECRET}\nforged log line")

    monkeypatch.setattr(Filters, "read", fail)
    answer = live(tmp_path).get("/", headers={"accept": "text/html"})
    assert answer.status_code == 500 and not [leak for leak in LEAKS if leak in answer.text]
    assert "its log has the reason" in answer.text and answer.headers["content-security-policy"]
    (record,) = [record for record in caplog.records if record.name == "birdnet_nl"]
    assert "RuntimeError" in record.getMessage() and "\n" not in record.getMessage()


def test_a_damaged_database_shows_no_path(tmp_path):
    (tmp_path / "detections.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
    answer = live(tmp_path).get("/", headers={"accept": "text/html"})
    assert answer.status_code == 503 and str(tmp_path) not in answer.text and "Traceback" not in answer.text


def test_a_replaced_database_is_noticed(tmp_path, connection):
    page = live(tmp_path)
    assert page.get("/rows").json()["selected"] == 1
    other = factory.make_database(tmp_path / "other.db")
    for number in range(3):
        factory.add_detection(other, f"{date.today()}T07:00:0{number}")
    other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    other.close()
    connection.close()
    for suffix in ("-wal", "-shm"):
        (tmp_path / f"detections.db{suffix}").unlink(missing_ok=True)
    (tmp_path / "other.db").replace(tmp_path / "detections.db")
    assert page.get("/rows").json()["selected"] == 3


def test_no_cookie_is_sent_without_login(tmp_path, connection):
    assert COOKIE not in live(tmp_path).get("/").headers.get("set-cookie", "")
