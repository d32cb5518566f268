"""HTTP client for Xeno-canto's API v3, with a rate limit, retries, and a key that stays out of logs and errors."""

import hashlib
import logging
import random
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx

from birdnet_nl.recordings.rate_limit import DELAY_S, HOURLY_BUDGET, RateLimit, Secret, retry_after_s
from birdnet_nl.recordings.xeno_canto_pages import Entry, Page, Reading, error_message, parse_page
from birdnet_nl.util.errors import BirdnetNlError, SetupError

BASE_URL = "https://xeno-canto.org"
KEY_VARIABLE = "XENO_CANTO_API_KEY"
HOW_TO_GET_A_KEY = (
    f"register at {BASE_URL}, confirm your e-mail address, copy the key from your account page there "
    f"and set {KEY_VARIABLE} to it"
)
PER_PAGE = 500
MAX_REDIRECTS = 5
MAX_RETRY_AFTER_S = 600.0
_LOGGERS = ("httpx", "httpcore.connection", "httpcore.http11", "httpcore.http2", "httpcore.proxy", "httpcore.socks")


class DownloadError(BirdnetNlError):
    """A query or file that Xeno-canto does not deliver correctly, and the `reason` without query and advice."""

    reason = ""


class RefusedError(DownloadError):
    """A response that another attempt would not change."""


class BusyError(DownloadError):
    """A server that asks to wait for longer than `MAX_RETRY_AFTER_S`."""


class IncompleteError(DownloadError):
    """A query of which fewer recordings arrive than are announced; `entries` are those that arrived."""

    def __init__(self, message: str, entries: list[Entry]) -> None:
        super().__init__(message)
        self.entries = entries


class ApiKeyError(SetupError):
    """A key that is missing or refused."""


class _TemporaryError(Exception):
    """A fault that another attempt may not have; the server may ask to wait for `wait_s` seconds first."""

    def __init__(self, reason: str, wait_s: float = 0.0) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


class _PermanentError(Exception):
    """A fault that every attempt would have."""


class XenoCanto(AbstractContextManager):
    """Client for queries and files; use it in a `with` block.

    Args:
        key: sent to the API only, never to file servers, and replaced in the log records of httpx.
        delay_s, hourly_budget: see `RateLimit`.
        attempts: for each request; the wait between them doubles, with jitter, from `min_wait_s` to `max_wait_s`.
        timeout_s: for connecting and for each read.
        deadline_s: for a whole response, so that a very slow file does not block all others.
    """

    def __init__(
        self,
        key: str,
        *,
        base_url: str = BASE_URL,
        delay_s: float = DELAY_S,
        hourly_budget: int = HOURLY_BUDGET,
        attempts: int = 5,
        min_wait_s: float = 1.0,
        max_wait_s: float = 60.0,
        timeout_s: float = 30.0,
        deadline_s: float = 900.0,
    ) -> None:
        if not key.strip():
            raise ApiKeyError(f"Xeno-canto needs a key and {KEY_VARIABLE} is not set; {HOW_TO_GET_A_KEY}")
        self.base_url = base_url.rstrip("/")
        self.rate_limit = RateLimit(delay_s, hourly_budget)
        self.attempts, self.min_wait_s, self.max_wait_s = attempts, min_wait_s, max_wait_s
        self.deadline_s = deadline_s
        self._key = Secret(key.strip())
        self._http = httpx.Client(timeout=timeout_s, headers={"User-Agent": "birdnet_nl (python-httpx)"})
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(self._key)

    def __exit__(self, *_: object) -> None:
        self._http.close()
        for name in _LOGGERS:
            logging.getLogger(name).removeFilter(self._key)

    def search(self, query: str) -> list[Entry]:
        """Return all recordings that a tag query finds, each id once.

        Recordings that are added or removed meanwhile shift the pages, so that one may be missed. If the total changes,
        an id occurs twice or the count differs from the total, all pages are read a second time. Raises
        `IncompleteError`, which has the recordings that arrived, if fewer arrive than are announced.
        """
        found: dict[str, Entry] = {}
        for attempt in range(2):
            try:
                reading = self._read_pages(query)
            except DownloadError as error:
                if attempt == 0:
                    raise
                reading.failure = error
                break
            found |= reading.entries
            if reading.is_exact:
                return list(found.values())
        reading.entries = found
        if missing := reading.missing():
            raise IncompleteError(f"query {query}: {missing}", list(found.values()))
        return list(found.values())

    def _read_pages(self, query: str) -> Reading:
        """Read all pages; a page that fails after the first one ends the reading.

        When everything announced has arrived, a further page is asked for once, and an error there has no effect.
        """
        reading = Reading()
        while reading.pages_read == 0 or reading.has_next():
            page = reading.pages_read + 1
            attempts = 1 if reading.is_complete else self.attempts
            try:
                request = partial(self._fetch_page, query, page)
                reading.add(self._retry(f"query {query}, page {page}", request, attempts))
            except (DownloadError, ApiKeyError) as error:
                if not reading.is_complete and (page == 1 or isinstance(error, BusyError | ApiKeyError)):
                    raise
                reading.failure = error
                break
        return reading

    def _fetch_page(self, query: str, page: int) -> Page:
        url = f"{self.base_url}/api/3/recordings"
        params = {"query": query, "page": str(page), "per_page": str(PER_PAGE), "key": self._key.value}
        with self._open(url, params) as response:
            text = b"".join(self._blocks(response))
        try:
            return parse_page(text)
        except ValueError:
            raise _TemporaryError("the response is not JSON of API v3") from None

    def fetch(self, url: str, target: Path, find_defect: Callable[[Path], str]) -> str:
        """Write the file at `url` to `target` and return its sha256; fetch again while `find_defect` returns a text."""
        return self._retry(f"file {url}", partial(self._fetch_file, url, target, find_defect))

    def _fetch_file(self, url: str, target: Path, find_defect: Callable[[Path], str]) -> str:
        digest = hashlib.sha256()
        with target.open("wb") as file, self._open(url) as response:
            for block in self._blocks(response):
                digest.update(block)
                file.write(block)
        if defect := find_defect(target):
            raise _TemporaryError(defect)
        return digest.hexdigest()

    def _blocks(self, response: httpx.Response) -> Iterator[bytes]:
        """Yield the body as it arrives, for at most `deadline_s`."""
        deadline = time.monotonic() + self.deadline_s
        for block in response.iter_bytes():
            yield block
            if time.monotonic() > deadline:
                raise _TemporaryError(f"the response was not complete after {self.deadline_s:g} s")

    @contextmanager
    def _open(self, url: str, params: dict[str, str] | None = None) -> Iterator[httpx.Response]:
        """Open a response of status 200 after redirects; with `params` (which hold the key) only on the same host."""
        host = urlsplit(url).hostname
        for _ in range(MAX_REDIRECTS + 1):
            self.rate_limit.wait()
            with self._http.stream("GET", url, params=params) as response:
                if response.status_code in (301, 302, 303, 307, 308) and "location" in response.headers:
                    url = urljoin(url, response.headers["location"])
                    if params is not None:
                        url = self._check_host(url, host)
                    continue
                self._check_status(response, is_api=params is not None)
                yield response
                return
        raise _PermanentError(f"more than {MAX_REDIRECTS} redirects")

    def _check_host(self, url: str, host: str | None) -> str:
        parts = urlsplit(url)
        is_same = (parts.hostname or "").removeprefix("www.") == (host or "").removeprefix("www.")
        if not is_same or (parts.scheme != "https" and self.base_url.startswith("https")):
            raise _PermanentError(f"the API redirects to {parts.scheme}://{parts.hostname}, which does not get the key")
        return url.partition("?")[0]

    def _check_status(self, response: httpx.Response, is_api: bool) -> None:
        status = response.status_code
        if status == 200:
            return
        if status == 429 or status >= 500:
            wait_s = retry_after_s(response.headers.get("retry-after", ""))
            raise _TemporaryError(f"Xeno-canto responds with status {status}", wait_s)
        message = self._key.redact(error_message(b"".join(self._blocks(response)), response.reason_phrase))
        if status == 401 and is_api:
            raise ApiKeyError(f"Xeno-canto refuses the key in {KEY_VARIABLE} ({message}); {HOW_TO_GET_A_KEY}")
        raise _PermanentError(f"Xeno-canto responds with status {status} ({message})")

    def _retry(self, what: str, request: Callable[[], Any], attempts: int | None = None) -> Any:
        """Repeat `request` until it succeeds; raise outside `except`, so that no error has a context with the URL."""
        attempts = attempts or self.attempts
        for attempt in range(attempts):
            try:
                return request()
            except ApiKeyError as error:
                failure: BirdnetNlError = ApiKeyError(str(error))
                break
            except (_PermanentError, httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
                reason = self._key.redact(str(error))
                failure = RefusedError(f"{what}: {reason}")
                failure.reason = reason
                break
            except _TemporaryError as error:
                reason, wait_s = str(error), error.wait_s
            except httpx.TimeoutException:
                reason, wait_s = "no response in time", 0.0
            except httpx.HTTPError as error:
                reason, wait_s = f"the connection failed ({type(error).__name__})", 0.0
            failure = DownloadError(f"{what}: {reason}, {attempt + 1} times; try again later, finished files are kept")
            failure.reason = reason
            if wait_s > MAX_RETRY_AFTER_S:
                failure = BusyError(f"{what}: {reason} and asks to wait {wait_s / 60:.0f} minutes; try again then")
                break
            if attempt + 1 < attempts:
                backoff_s = min(self.max_wait_s, self.min_wait_s * 2**attempt)
                time.sleep(max(wait_s, backoff_s * random.uniform(0.5, 1.0)))
        raise failure
