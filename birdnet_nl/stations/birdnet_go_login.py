"""Login to BirdNET-Go: a password or token, the session that it gives, and the token against forged requests (CSRF)."""

import json
import threading
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx

from birdnet_nl.stations.station import StationUnavailableError

PASSWORD_VARIABLE = "BIRDNET_NL_GO_PASSWORD"
DEFAULT_USER = "birdnet-client"  # BirdNET-Go's security.basicauth.clientid
RETRY_LOGIN_S = 900.0  # it allows five logins in a quarter of an hour
MAX_BYTES = 1_000_000


@dataclass(frozen=True)
class Login:
    """Credentials of BirdNET-Go; a token is sent as it is, a password is exchanged for a session."""

    user: str = DEFAULT_USER
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)

    def __bool__(self) -> bool:
        return bool(self.password or self.token)


class Session:
    """Login of one HTTP client, for any thread.

    Attributes:
        number: of logins so far.
    """

    def __init__(self, client: httpx.Client, url: str, login: Login) -> None:
        self.client, self.url, self.login = client, url, login
        self.number = 0
        self._csrf = ""
        self._blocked_until = 0.0
        self._lock = threading.Lock()
        if login.token:
            client.headers["Authorization"] = f"Bearer {login.token}"

    def log_in(self, number: int) -> None:
        """Log in, unless another thread did so since login `number`.

        Raises:
            StationUnavailableError: without a password, or if it is refused; then it is not tried again for a quarter
                of an hour.
        """
        with self._lock:
            if self.number == number:
                self._log_in()
                self.number += 1

    def _log_in(self) -> None:
        """Exchange the password for a session, in the two steps of BirdNET-Go's own page."""
        shown = f"BirdNET-Go at {self.url}"
        if self.login.token:
            raise StationUnavailableError(
                f"{shown} refuses the token; check the file of --go-token-file", RETRY_LOGIN_S
            )
        if not self.login:
            raise StationUnavailableError(
                f"{shown} asks for a login; set {PASSWORD_VARIABLE} or give --go-password-file", RETRY_LOGIN_S
            )
        wait_s = self._blocked_until - time.monotonic()
        if wait_s > 0:
            raise StationUnavailableError(f"{shown} refused the login; it is tried again later", wait_s)
        self._blocked_until = time.monotonic() + RETRY_LOGIN_S  # until it worked
        body = {"username": self.login.user, "password": self.login.password, "basePath": "/ui/"}
        status, content = self._send("POST", f"{self.url}/api/v2/auth/login", json=body)
        if status == 429:
            raise StationUnavailableError(f"{shown} allows no more logins for now", RETRY_LOGIN_S)
        if status in (400, 401, 403):
            raise StationUnavailableError(
                f"{shown} refuses the password of user {self.login.user}; check {PASSWORD_VARIABLE} or "
                "--go-password-file, and --go-user",
                RETRY_LOGIN_S,
            )
        if not 200 <= status < 300:
            self._blocked_until = 0
            raise StationUnavailableError(f"{shown} answers {status} to the login")
        target = _text(content, "redirectUrl")
        if target:
            if not target.startswith("/") or target.startswith("//"):
                raise StationUnavailableError(f"{shown} sends the login to another server", RETRY_LOGIN_S)
            parts = urlsplit(self.url)
            status, _ = self._send("GET", f"{parts.scheme}://{parts.netloc}{target}")
            if status >= 400:
                raise StationUnavailableError(f"{shown} answers {status} to the login", RETRY_LOGIN_S)
        self._blocked_until = 0
        self._csrf = ""

    def csrf_headers(self, renew: bool = False) -> dict[str, str]:
        """Return the header that BirdNET-Go demands of requests that change something."""
        if renew or not self._csrf:
            _, content = self._send("GET", f"{self.url}/api/v2/app/config")
            self._csrf = _text(content, "csrfToken") or self.client.cookies.get("csrf") or ""
        return {"X-CSRF-Token": self._csrf} if self._csrf else {}

    def _send(self, method: str, url: str, **options: Any) -> tuple[int, Any]:
        """Return status and JSON of a small answer; None for what is none."""
        content = bytearray()
        with self.client.stream(method, url, **options) as answer:
            for block in answer.iter_bytes():
                content += block
                if len(content) > MAX_BYTES:
                    return answer.status_code, None
        try:
            return answer.status_code, json.loads(content)
        except (ValueError, RecursionError):
            return answer.status_code, None


def _text(content: Any, name: str) -> str:
    value = content.get(name) if isinstance(content, dict) else None
    return value if isinstance(value, str) else ""
