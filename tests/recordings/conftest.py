"""A local server with Xeno-canto's API, which can inject faults; a sound file; and a client without delays."""

import json
import re
import socket
import struct
import threading
import time
from collections import Counter, defaultdict, deque
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
import soundfile

from birdnet_nl.recordings.xeno_canto import XenoCanto

KEY = "geheime sleutel+42"  # with characters that look different inside an address


class FakeXenoCanto:
    """Server with recordings by number, and for each number (or "api") a queue of faults, one per request."""

    def __init__(self, sound: bytes) -> None:
        self.key = KEY
        self.sound = sound
        self.page_size = 100
        self.recordings: dict[str, dict] = {}
        self.faults: dict[str, deque[str]] = defaultdict(deque)
        self.injected: Counter[str] = Counter()
        self.requests: list[tuple[float, str]] = []
        self.on_page = lambda page: None
        self.change_body = lambda page, body: body  # returns a JSON value, or bytes to send as they are
        self.slow_s = 0.0  # delay between the two halves of each file
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def add(self, number: int, **values: object) -> None:
        """Add a Great Tit song of quality A, changed by `values`; fields as in the API's documentation."""
        recording = {
            "id": str(number), "gen": "Parus", "sp": "major", "ssp": "", "grp": "birds", "en": "Great Tit",
            "rec": f"Recordist {number}", "cnt": "Netherlands", "loc": "Nijverdal", "lat": "52.36", "lon": "6.46",
            "alt": "10", "type": "song", "sex": "male", "stage": "adult", "method": "field recording",
            "url": f"//xeno-canto.org/{number}", "file": f"{self.url}/{number}/download",
            "file-name": f"XC{number}-koolmees.mp3", "sono": {"small": ""}, "osci": {"small": ""},
            "lic": "//creativecommons.org/licenses/by-nc-sa/4.0/", "q": "A", "length": "0:02", "time": "06:30",
            "date": "2023-04-00", "uploaded": "2023-05-01", "also": ["Turdus merula", "Erithacus rubecula"],
            "rmk": "in the\r\ngarden", "animal-seen": "yes", "playback-used": "no", "temp": "", "regnr": "",
            "auto": "no", "dvc": "", "mic": "", "smp": "44100",
        }  # fmt: skip
        self.recordings[str(number)] = {**recording, **values}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                try:
                    fake.respond(self)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

        return Handler

    def respond(self, http: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(http.path)
        self.requests.append((time.monotonic(), parts.path))
        is_api = parts.path == "/api/3/recordings"
        number = parts.path.split("/")[1]
        queue = self.faults["api" if is_api else number]
        if queue:
            fault = queue.popleft()
            self.injected[fault] += 1
            body = self._api_body(parts.query) if is_api else self.sound
            if not self._inject(http, fault, parts.path, body):
                return
        if is_api:
            self._respond_api(http, parts.query)
        elif number == "moved" or number in self.recordings:
            self._respond_sound(http)
        else:
            send(http, 404, b"not here", "text/plain")

    def _respond_api(self, http: BaseHTTPRequestHandler, query: str) -> None:
        key = parse_qs(query).get("key")
        if key == [self.key]:
            send(http, 200, self._api_body(query))
        else:
            send(http, 401, {"error": "client_error", "message": f"Missing or invalid key {key}"})

    def _api_body(self, query: str) -> bytes:
        values = parse_qs(query)
        page = int(values["page"][0])
        self.on_page(page)
        tags = dict(re.findall(r'(\w+):"?([^"]+?)"?(?= \w+:|$)', values["query"][0]))
        matches = [
            recording
            for recording in self.recordings.values()
            if f"{recording['gen']} {recording['sp']}".lower() == tags["sp"]
            and tags.get("type", "") in recording["type"]
        ]
        size = min(self.page_size, int(values["per_page"][0]))
        pages = max(1, -(-len(matches) // size))
        body = {
            "numRecordings": str(len(matches)), "numSpecies": "1", "page": page, "numPages": pages,
            "recordings": matches[(page - 1) * size : page * size],
        }  # fmt: skip
        body = self.change_body(page, body)
        return body if isinstance(body, bytes) else json.dumps(body).encode()

    def _respond_sound(self, http: BaseHTTPRequestHandler) -> None:
        start_response(http, 200, "audio/mpeg", len(self.sound))
        half = len(self.sound) // 2
        http.wfile.write(self.sound[:half])
        time.sleep(self.slow_s)
        http.wfile.write(self.sound[half:])

    def _inject(self, http: BaseHTTPRequestHandler, fault: str, path: str, body: bytes) -> bool:
        """Inject the fault; return True if the normal response follows."""
        kind = "application/json" if path.startswith("/api") else "audio/mpeg"
        if fault == "pause":
            time.sleep(0.1)
            return True
        if fault in ("500", "503", "404", "403", "401"):
            send(http, int(fault), b"<html>sorry</html>", "text/html")
        elif fault in ("429 ten minutes", "429 an hour"):
            send(http, 429, b"slow down", "text/plain", {"Retry-After": "600" if "minutes" in fault else "3600"})
        elif fault == "503 date":
            soon = datetime.now(UTC) + timedelta(seconds=10)
            send(http, 503, b"", "text/plain", {"Retry-After": format_datetime(soon, usegmt=True)})
        elif fault == "400 object":
            send(http, 400, {"error": {"code": "tag", "message": f"no such tag, key {self.key}"}})
        elif fault == "400 text":
            send(http, 400, {"error": "query must use tags"})
        elif fault in ("html", "empty"):
            send(http, 200, b"<!DOCTYPE html><html></html>" if fault == "html" else b"", kind)
        elif fault == "truncated":  # fewer bytes than the stated length
            start_response(http, 200, kind, len(body))
            http.wfile.write(body[: len(body) // 2])
            http.close_connection = True
        elif fault == "cut":  # fewer bytes, without a stated length
            start_response(http, 200, kind, None)
            http.wfile.write(body[: len(body) // 5])
            http.close_connection = True
        elif fault == "reset":
            start_response(http, 200, kind, len(body))
            http.wfile.write(body[:100])
            http.wfile.flush()
            http.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            http.close_connection = True
            http.connection.close()
        elif fault == "drip":  # each read is in time, but not the whole
            start_response(http, 200, kind, len(body))
            for byte in body[:600]:
                http.wfile.write(bytes([byte]))
                http.wfile.flush()
                time.sleep(0.01)
            http.close_connection = True
        elif fault == "hang":
            time.sleep(0.6)
            http.close_connection = True
        elif fault.startswith("redirect"):
            if fault == "redirect loop":
                self.faults[path.split("/")[1]].append(fault)
            elsewhere = {
                "redirect": "/moved/download" if kind != "application/json" else path,
                "redirect away": f"http://localhost:{self._http.server_port}{path}",
                "redirect loop": path,
            }
            send(http, 302, b"", "text/plain", {"Location": elsewhere[fault]})
        else:
            raise ValueError(f"fault {fault} does not exist")
        return False


def start_response(
    http: BaseHTTPRequestHandler, status: int, kind: str, length: int | None, headers: dict[str, str] | None = None
) -> None:
    http.send_response(status)
    http.send_header("Content-Type", kind)
    http.send_header(*(("Connection", "close") if length is None else ("Content-Length", str(length))))
    for name, value in (headers or {}).items():
        http.send_header(name, value)
    http.end_headers()


def send(
    http: BaseHTTPRequestHandler,
    status: int,
    body: bytes | dict,
    kind: str = "application/json",
    headers: dict[str, str] | None = None,
) -> None:
    data = json.dumps(body).encode() if isinstance(body, dict) else body
    start_response(http, status, kind, len(data), headers)
    http.wfile.write(data)


@pytest.fixture(scope="session")
def mp3_bytes(tmp_path_factory) -> bytes:
    """Two seconds of a whistle in noise as mp3."""
    rate_hz = 44100
    time_s = np.arange(2 * rate_hz) / rate_hz
    noise = np.random.default_rng(0).normal(0, 0.01, time_s.size)
    path = tmp_path_factory.mktemp("sound") / "whistle.mp3"
    soundfile.write(path, 0.3 * np.sin(2 * np.pi * 4000 * time_s) + noise, rate_hz, format="MP3")
    return path.read_bytes()


@pytest.fixture
def server(mp3_bytes):
    fake = FakeXenoCanto(mp3_bytes)
    yield fake
    fake.close()


@pytest.fixture
def client_of():
    """Make clients without delays; they are closed after the test."""
    fast = {"delay_s": 0.0, "min_wait_s": 0.01, "timeout_s": 5.0, "hourly_budget": 100_000, "key": KEY}
    with ExitStack() as stack:
        yield lambda fake, **settings: stack.enter_context(XenoCanto(base_url=fake.url, **{**fast, **settings}))
