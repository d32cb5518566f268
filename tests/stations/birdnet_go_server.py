"""Server on loopback with the documented endpoints of BirdNET-Go's API v2, which also misbehaves on request."""

import contextlib
import json
import queue
import socket
import threading
import time
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote, urlsplit

MAX_RESULTS = 1000


class BirdnetGoServer:
    """BirdNET-Go with detections that a test adds, deletes and changes.

    Attributes:
        faults: path -> answers that come before the right one: (status, headers, body), or a function of the handler.
        password: for what changes something; with `is_private` for everything.
        clips: id -> bytes, or seconds to wait for a clip that is being written (503).
    """

    def __init__(self, is_private=False, password="", user="birdnet-client"):
        self.detections = {}
        self.clips = {}
        self.faults = {}
        self.requests = []
        self.is_private, self.password, self.user = is_private, password, user
        self.sends_names = True  # Content-Disposition, as newer versions do
        self.sorts_by_time = False  # as versions of 2026 with their new schema do; else by id
        self.next_id = 1
        self.now = datetime(2026, 11, 30, 6, 0, 0)
        self.lock = threading.RLock()
        self.streams = []
        self.server = None
        self.port = 0
        self.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        self.server = _Server(("127.0.0.1", self.port), _handler(self))
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def stop(self):
        """Stop as a process that ends: streams break and connections are refused."""
        self.server.shutdown()
        self.server.server_close()
        self.cut_streams()

    close = stop

    def cut_streams(self):
        with self.lock:
            streams, self.streams = self.streams, []
        for stream in streams:
            stream.put(None)

    def add(self, scientific_name="Turdus merula", common_name="Merel", clip=b"RIFFsound", announce=True, **values):
        """Add a detection two minutes after the last one, and send its event; return its id."""
        with self.lock:
            id = values.pop("id", None) or self.next_id
            self.next_id = max(self.next_id, id + 1)
            self.now += timedelta(minutes=2)
            self.detections[id] = {
                "id": id, "date": f"{self.now:%Y-%m-%d}", "time": f"{self.now:%H:%M:%S}",
                "timestamp": f"{self.now.isoformat()}+01:00", "beginTime": f"{self.now.isoformat()}+01:00",
                "endTime": f"{(self.now + timedelta(seconds=12)).isoformat()}+01:00", "speciesCode": "eurbla",
                "scientificName": scientific_name, "commonName": common_name, "confidence": 0.5 + id % 1000 / 2000,
                "modelType": "bird", "verified": "unverified", "locked": False, **values,
            }  # fmt: skip
            if clip is not None:
                self.clips[id] = clip
        if announce:
            self.announce(id)
        return id

    def announce(self, id):
        detection = self.detections[id] | {"clipName": "x.wav", "eventType": "new_detection"}
        with self.lock:
            streams = list(self.streams)
        for stream in streams:
            stream.put(f"event: detection\ndata: {json.dumps(detection)}\n\n")

    def add_many(self, count):
        for _ in range(count):
            self.add(announce=False)

    def delete(self, *ids):
        with self.lock:
            for id in ids:
                del self.detections[id]
                self.clips.pop(id, None)

    def newest(self):
        with self.lock:
            newest = [self.detections[id] for id in sorted(self.detections, reverse=True)]
            if self.sorts_by_time:
                newest.sort(key=lambda row: (row["date"], row["time"]), reverse=True)
            return newest

    def paths(self, method="GET"):
        return [path for name, path, *_ in list(self.requests) if name == method]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, *arguments):
        self.connections = []
        super().__init__(*arguments)

    def get_request(self):
        connection, address = super().get_request()
        self.connections.append(connection)
        return connection, address

    def server_close(self):
        super().server_close()
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, *_):
        pass  # clients that go away are part of the tests


def _handler(station):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self.serve("GET")

        def do_POST(self):
            self.serve("POST")

        def do_DELETE(self):
            raise AssertionError("nothing may be deleted at the station")

        do_PUT = do_PATCH = do_DELETE  # noqa: N815

        def serve(self, method):
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            station.requests.append((method, self.path, dict(self.headers), body))
            path = parts.path.removeprefix("/api/v2")
            faults = station.faults.get(path) or []
            if faults:
                fault = faults.pop(0)
                return fault(self) if callable(fault) else self.send(*fault)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            if path == "/app/config":
                return self.send_json({"csrfToken": "token-1"}, {"Set-Cookie": "csrf=token-1; Path=/; SameSite=Lax"})
            if path == "/auth/login":
                return self.log_in(json.loads(body))
            if path == "/auth/callback":
                headers = {"Set-Cookie": "session=open; Path=/; HttpOnly", "Location": "/ui/"}
                return self.send(302 if query.get("code") == "code-1" else 401, headers)
            if station.is_private and not self.is_logged_in():
                return self.send_json({"error": "Authentication required"}, status=401)
            return self.serve_station(method, path, query, body)

        def serve_station(self, method, path, query, body):
            name, _, rest = path.strip("/").partition("/")
            if (name, rest) == ("detections", "recent"):
                return self.send_json(station.newest()[: int(query.get("limit", 10))])
            if (name, rest) == ("detections", ""):
                return self.send_page(int(query.get("numResults", 100)), int(query.get("offset", 0)))
            if (name, rest) == ("detections", "stream"):
                return self.send_stream()
            if name == "audio" and rest.isdigit():
                return self.send_audio(int(rest))
            id, _, action = rest.partition("/")
            if name == "detections" and id.isdigit() and int(id) in station.detections:
                if method == "POST" and action == "review":
                    return self.review(int(id), json.loads(body))
                return self.send_json(station.detections[int(id)])
            return self.send_json({"error": "Detection not found", "code": 404}, status=404)

        def is_logged_in(self):
            cookies = self.headers.get("Cookie", "")
            return "session=open" in cookies or self.headers.get("Authorization") == "Bearer t0ken"

        def log_in(self, content):
            if not station.password:
                return self.send_json({"success": True, "message": "Authentication is not required on this server"})
            if (content["username"], content["password"]) != (station.user, station.password):
                return self.send_json({"success": False, "message": "Invalid credentials"}, status=401)
            redirect = "/api/v2/auth/callback?code=code-1&redirect=%2Fui%2F"
            return self.send_json({"success": True, "redirectUrl": redirect})

        def send_page(self, count, offset):
            if count > MAX_RESULTS:
                return self.send_json({"error": "numResults exceeds maximum allowed value (1000)"}, status=400)
            detections = station.newest()
            return self.send_json({
                "data": detections[offset : offset + count], "total": len(detections), "limit": count,
                "offset": offset, "current_page": offset // count + 1, "total_pages": -(-len(detections) // count),
            })  # fmt: skip

        def send_audio(self, id):
            clip = station.clips.get(id)
            if clip is None or id not in station.detections:
                return self.send_json({"error": "No audio clip available for this note"}, status=404)
            if isinstance(clip, int | float):
                return self.send_json({"error": "Audio file is still being processed"}, {"Retry-After": str(clip)}, 503)
            headers = {"Content-Type": "audio/wav"}
            if station.sends_names:
                detection = station.detections[id]
                moment = datetime.fromisoformat(f"{detection['date']}T{detection['time']}")
                species = detection["scientificName"].lower().replace(" ", "_")
                clip_name = f"{species}_{detection['confidence'] * 100:.0f}p_{moment:%Y%m%dT%H%M%S}.wav"
                headers["Content-Disposition"] = f"inline; filename*=UTF-8''{quote(clip_name)}"
            return self.send(200, headers, clip)

        def review(self, id, content):
            if self.headers.get("X-CSRF-Token") != "token-1" or "csrf=token-1" not in self.headers.get("Cookie", ""):
                return self.send_json({"message": "Invalid CSRF token"}, status=403)
            if station.password and not self.is_logged_in():
                return self.send_json({"error": "Authentication required"}, status=401)
            detection = station.detections[id]
            if detection["locked"]:
                return self.send_json({"error": "Detection is locked and status cannot be changed"}, status=409)
            if content.get("comment"):
                comments = detection.setdefault("comments", [])
                comments.append(
                    {"id": len(comments) + 1, "entry": content["comment"], "createdAt": "", "updatedAt": ""}
                )
            detection["verified"] = content.get("verified") or detection["verified"]
            detection["locked"] = bool(content.get("lock_detection"))
            return self.send_json({"status": "success"})

        def send_stream(self):
            events = queue.Queue()
            with station.lock:
                station.streams.append(events)
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Connection", "close")
            self.end_headers()
            self.close_connection = True
            self.wfile.write(b'event: connected\ndata: {"clientId": "x", "type": "detections"}\n\n')
            while (event := events.get()) is not None:
                self.wfile.write(event.encode() if isinstance(event, str) else event)

        def send_json(self, content, headers=None, status=200):
            self.send(status, {"Content-Type": "application/json", **(headers or {})}, json.dumps(content).encode())

        def send(self, status, headers=None, body=b""):
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            if "Content-Length" not in (headers or {}):
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(body)

        def log_message(self, *_):
            pass

    return Handler


def drip(seconds):
    """Return a fault that answers a list one byte at a time."""

    def fault(handler):
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", "1000000")
        handler.end_headers()
        until = time.monotonic() + seconds
        with contextlib.suppress(OSError):
            while time.monotonic() < until:
                handler.wfile.write(b" ")
                time.sleep(0.02)
        handler.close_connection = True

    return fault


def break_off(status=200, headers=None, body=b"RIFFhalf"):
    """Return a fault that closes the connection before the body is whole."""

    def fault(handler):
        handler.send(status, {"Content-Length": "1000000", "Content-Type": "audio/wav", **(headers or {})}, body)
        handler.close_connection = True
        handler.connection.shutdown(socket.SHUT_RDWR)

    return fault


def silent(seconds):
    """Return a fault that answers nothing."""

    def fault(handler):
        time.sleep(seconds)
        handler.close_connection = True

    return fault
