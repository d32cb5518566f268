"""Token of the live page: compared in constant time, and a signed cookie so that it is typed once."""

import hashlib
import hmac
import time
from collections.abc import Mapping

COOKIE = "birdnet_nl_session"
SESSION_S = 30 * 86_400


def is_token(given: str, token: str) -> bool:
    """Compare a token in a time that does not depend on its content or length."""
    return bool(token) and hmac.compare_digest(_digest(given), _digest(token))


def new_session(token: str, now_s: float | None = None) -> str:
    """Return the value of the cookie: the time when it ends, and its signature. Another token makes it invalid."""
    ends_at = str(int((time.time() if now_s is None else now_s) + SESSION_S))
    return f"{ends_at}.{_signature(ends_at, token)}"


def is_session(value: str, token: str, now_s: float | None = None) -> bool:
    ends_at, _, signature = value.partition(".")
    if not token or not (ends_at.isascii() and ends_at.isdigit() and len(ends_at) <= 12):
        return False
    is_signed = hmac.compare_digest(signature.encode("utf-8", "replace"), _signature(ends_at, token).encode())
    return is_signed and int(ends_at) > (time.time() if now_s is None else now_s)


def is_logged_in(headers: Mapping[str, str], cookies: Mapping[str, str], token: str) -> bool:
    """Return whether a request has the token as `Authorization: Bearer …`, or a cookie of the login form."""
    kind, _, given = headers.get("authorization", "").partition(" ")
    return (kind.lower() == "bearer" and is_token(given.strip(), token)) or is_session(cookies.get(COOKIE, ""), token)


def _signature(ends_at: str, token: str) -> str:
    return hmac.new(token.encode(), f"session {ends_at}".encode(), hashlib.sha256).hexdigest()


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()
