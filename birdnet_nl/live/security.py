"""Guard of the live page: it checks every request before anything else reads it, and adds headers to every response.

Checked in this order: method, size of the address and of the body, host name, rate, login, origin of a write.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from fastapi import Request
from fastapi.responses import Response

from birdnet_nl.live.login import is_logged_in
from birdnet_nl.live.rates import Rate, RateLimiter
from birdnet_nl.live.refused import RefusedError
from birdnet_nl.live.settings import LiveSettings
from birdnet_nl.util.console import log

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
MAX_BODY_BYTES = 8_192
MAX_QUERY_BYTES = 2_048
MAX_PATH_BYTES = 256
BODY_TIMEOUT_S = 10.0
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; "
        "connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "x-robots-tag": "noindex, nofollow",
}
OPEN_PATHS = ("/login", "/static/")  # without login
RATES = {  # kind of request -> limit for one client
    "login": Rate(burst=10, per_s=0.1),
    "write": Rate(burst=60, per_s=2),
    "spectrogram": Rate(burst=300, per_s=20),
    "export": Rate(burst=5, per_s=0.1),
    "read": Rate(burst=200, per_s=20),
}
ALL_LOGINS = Rate(burst=60, per_s=0.5)  # of all clients together, against guessing from many addresses


class Guard:
    """ASGI middleware around the whole application, errors included.

    `refuse(request, error)` renders the response of a refused request.
    """

    def __init__(
        self, app: ASGIApp, settings: LiveSettings, refuse: Callable[[Request, RefusedError], Response]
    ) -> None:
        self._app, self._settings, self._refuse = app, settings, refuse
        self._limiters = {kind: RateLimiter(rate) for kind, rate in RATES.items()}
        self._all_logins = RateLimiter(ALL_LOGINS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        if scope["type"] != "http":  # a WebSocket; closed before it is accepted, which answers 403
            return await send({"type": "websocket.close", "code": 1008})
        request, started = Request(scope), False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message = {**message, "headers": _with_headers(message["headers"])}
            await send(message)

        try:
            self._check(request)
            await self._app(scope, await _body_first(request, receive), send_with_headers)
        except RefusedError as error:
            if not started:
                await self._refuse(request, error)(scope, receive, send_with_headers)
        except Exception as error:
            log.error("live page: %s", describe(error))
            if not started:
                refused = RefusedError(500, "Something went wrong on the server; its log has the reason.")
                await self._refuse(request, refused)(scope, receive, send_with_headers)

    def _check(self, request: Request) -> None:
        if request.method not in ("GET", "HEAD", "POST"):
            raise RefusedError(405, "This method is not possible here.", {"allow": "GET, HEAD, POST"})
        raw_path = request.scope.get("raw_path") or request.url.path.encode()
        if len(raw_path) > MAX_PATH_BYTES or len(request.scope["query_string"]) > MAX_QUERY_BYTES:
            raise RefusedError(414, "The address is too long.")
        if not self._settings.is_own_host(host_name(request.headers.get("host", ""))):
            raise RefusedError(
                421, "The page is not served under this name; open it by its address, or start it with --allow-host."
            )
        self._check_rate(request)
        is_open = request.url.path.startswith(OPEN_PATHS)
        if request.method == "POST":
            self._check_write(request)
        elif self._settings.token_for_reading and not is_open and not self.is_logged_in(request):
            raise RefusedError(401, "Log in with the token.")

    def _check_rate(self, request: Request) -> None:
        if request.url.path.startswith("/static/"):  # in memory, and kept by the browser
            return
        kind, client = request_kind(request), request.client.host if request.client else ""
        wait_s = self._limiters[kind].wait_s(client)
        if kind == "login" and not wait_s:
            wait_s = self._all_logins.wait_s("")
        if wait_s:
            raise RefusedError(429, "Too many requests; wait a moment.", {"retry-after": str(int(wait_s) + 1)})

    def _check_write(self, request: Request) -> None:
        origin = request.headers.get("origin")
        if request.url.path in ("/login", "/logout"):  # without the token (or cookie) a foreign page achieves nothing
            if origin not in (None, "null") and not is_same_origin(request):
                raise RefusedError(403, "The request came from another page.")
            return
        has_bearer = request.headers.get("authorization", "").lower().startswith("bearer ")
        if not has_bearer and (origin is None or not is_same_origin(request)):
            raise RefusedError(403, "The request came from another page.")
        if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            raise RefusedError(403, "The request came from another page.")
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise RefusedError(415, "Only JSON is possible here.")
        if self._settings.read_only:
            raise RefusedError(403, "The page is read-only.")
        if self._settings.token and not self.is_logged_in(request):
            raise RefusedError(401, "Log in with the token.")

    def is_logged_in(self, request: Request) -> bool:
        return is_logged_in(request.headers, request.cookies, self._settings.token)


def request_kind(request: Request) -> str:
    path = request.url.path
    if request.method == "POST":
        return "login" if path == "/login" else "write"
    if path.endswith("/spectrogram.png"):
        return "spectrogram"
    return "export" if path.endswith(".csv") else "read"


def host_name(host: str) -> str:
    """Return the name of a Host header without its port; empty for one that is no host."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return ""
    return parts.hostname or "" if parts.netloc == host and "@" not in host else ""


def is_same_origin(request: Request) -> bool:
    """Return whether the Origin header names this server, as the browser opened it (also behind a TLS proxy)."""
    try:
        origin = urlsplit(request.headers.get("origin", ""))
    except ValueError:
        return False
    return origin.scheme in ("http", "https") and origin.netloc.lower() == request.headers.get("host", "").lower()


def describe(error: BaseException) -> str:
    """Describe an error in one line for the log, with the place where it was raised; control characters escaped."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    place = f"{frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}" if frame else "?"
    return f"{type(error).__name__}: {str(error)[:500]!r} at {place}"


def _with_headers(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    present = {name.lower() for name, _ in headers}
    added = [(name.encode(), value.encode()) for name, value in HEADERS.items() if name.encode() not in present]
    if b"cache-control" not in present:
        added.append((b"cache-control", b"no-store"))
    return [*headers, *added]


async def _body_first(request: Request, receive: Receive) -> Callable[[], Awaitable[Message]]:
    """Read the body of a write before the application does, up to the limits of size and time, and replay it."""
    if request.method != "POST":
        return receive
    length = request.headers.get("content-length", "0")
    if not length.isdigit() or int(length[:20]) > MAX_BODY_BYTES:
        raise RefusedError(413, "The request is too large.")
    body = b""
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            while True:
                message = await receive()
                body += message.get("body", b"")
                if len(body) > MAX_BODY_BYTES:
                    raise RefusedError(413, "The request is too large.")
                if message["type"] == "http.disconnect" or not message.get("more_body"):
                    break
    except TimeoutError:
        raise RefusedError(408, "The request took too long.") from None
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return messages.pop() if messages else await receive()

    return replay
