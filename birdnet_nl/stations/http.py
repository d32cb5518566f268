"""HTTP of stations and webhooks: one client that hides credentials, and what answers mean for the next attempt."""

import logging
import ssl
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from urllib.parse import urlsplit

import httpx

from birdnet_nl.util.errors import SetupError

MAX_RETRY_AFTER_S = 86_400.0
TEMPORARY = frozenset({408, 425, 429, 502, 503, 504})  # the server, or a proxy before it, is busy or restarting
CONNECT_REASONS = {  # part of the error's text -> reason
    "CERTIFICATE": "certificate not accepted",
    "WRONG_VERSION": "it answers without TLS, as http:// and not https://",
    "RECORD LAYER": "it answers without TLS, as http:// and not https://",
    "NAME OR SERVICE": "no computer of this name is known",
    "NAME RESOLUTION": "no computer of this name is known",
}
log = logging.getLogger(__name__)


def new_client(timeout_s: float, ca_file: str = "", uses_proxy: bool = False) -> httpx.Client:
    """Create a client that follows no redirects.

    httpx logs whole addresses, which may hold tokens, and is silenced. `uses_proxy`: whether the proxy of the
    environment is used, which a station in the own network must not.
    """
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return httpx.Client(
        timeout=timeout_s,
        follow_redirects=False,
        verify=_tls_context(ca_file),
        trust_env=uses_proxy,
        headers={"User-Agent": f"birdnet-nl/{version('birdnet-nl')}"},
    )


def _tls_context(ca_file: str) -> ssl.SSLContext | bool:
    if not ca_file:
        return True
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise SetupError(f"{ca_file} is no file of certificates (PEM): {error.strerror or error}") from error


def check_url(url: str, option: str) -> str:
    """Return an address without a slash at its end.

    Raises:
        SetupError: if it is no http(s) address, or holds a user name or password.
    """
    try:
        parts = urlsplit(url.strip())
        _ = parts.port
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SetupError(f"{option} {url} is no address; give one such as http://192.168.1.20:8080")
    if parts.username is not None or parts.password is not None:
        raise SetupError(
            f"{option} for {parts.hostname} holds a user name or password, which other users see in the list of "
            "processes; leave it out and use the environment or a file"
        )
    return url.strip().rstrip("/")


def shown_host(url: str) -> str:
    """Return scheme and host of an address for messages: its path may hold a token."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def retry_after_s(response: httpx.Response) -> float | None:
    """Return the seconds of the header Retry-After, which holds seconds or a date; None without a valid one."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), MAX_RETRY_AFTER_S)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return min(max(0.0, (moment - datetime.now(UTC)).total_seconds()), MAX_RETRY_AFTER_S)


def describe(error: httpx.HTTPError) -> str:
    """Return the reason of a failed request in a few words, without the address."""
    if isinstance(error, httpx.ConnectTimeout | httpx.ReadTimeout | httpx.WriteTimeout | httpx.PoolTimeout):
        return "no answer in time"
    if isinstance(error, httpx.ConnectError):
        text = str(error).upper()
        return next((reason for part, reason in CONNECT_REASONS.items() if part in text), "no connection")
    return "connection broken" if isinstance(error, httpx.TransportError) else type(error).__name__
