"""Xeno-canto's API v3 over HTTP: politely, patiently, and without ever showing the key."""

import hashlib
import json
import logging
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx

from birdnet_nl.recordings.rate_limit import DELAY_S, HOURLY_BUDGET, Pace, Secret, retry_after_s
from birdnet_nl.util.errors import BirdnetNlError, SetupError

BASE_URL = "https://xeno-canto.org"
KEY_VARIABLE = "XENO_CANTO_API_KEY"
HOW_TO_GET_A_KEY = (
    f"register at {BASE_URL}, confirm your e-mail address, copy the key from your account page there "
    f"and set {KEY_VARIABLE} to it"
)
PER_PAGE = 500
MAX_REDIRECTS = 5
LONGEST_RETRY_AFTER_S = 600.0
_LOGGERS = ("httpx", "httpcore.connection", "httpcore.http11", "httpcore.http2", "httpcore.proxy", "httpcore.socks")


class DownloadError(BirdnetNlError):
    """Xeno-canto, or a file on it, that does not come or is not what it should be."""


class RefusedError(DownloadError):
    """An answer that another attempt would not change."""


class BusyError(DownloadError):
    """Xeno-canto wants to be left alone for longer than a program should sleep."""


class ApiKeyError(SetupError):
    """A key that is missing or refused."""


class _PassingError(Exception):
    """A fault that may be over at the next attempt, which is due in `wait_s` seconds if the server said so."""

    def __init__(self, reason: str, wait_s: float = 0.0) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


class _LastingError(Exception):
    """A fault that another attempt would not cure."""


class XenoCanto:
    """A client for queries and files; use it in a `with` block.

    Args:
        key: goes to the API only, never to the servers of files, and is blotted out of what httpx logs.
        delay_s, hourly_budget: see `Pace`.
        attempts: for each request; waits grow from `first_wait_s`, doubling, with jitter, to `longest_wait_s`.
        timeout_s: for connecting and for each read.
        deadline_s: for a whole answer, so that a file that drips does not hold up all others.
    """

    def __init__(
        self,
        key: str,
        *,
        base_url: str = BASE_URL,
        delay_s: float = DELAY_S,
        hourly_budget: int = HOURLY_BUDGET,
        attempts: int = 5,
        first_wait_s: float = 1.0,
        longest_wait_s: float = 60.0,
        timeout_s: float = 30.0,
        deadline_s: float = 900.0,
    ) -> None:
        if not key.strip():
            raise ApiKeyError(f"Xeno-canto asks for a key and {KEY_VARIABLE} is not set; {HOW_TO_GET_A_KEY}")
        self.base_url = base_url.rstrip("/")
        self.pace = Pace(delay_s, hourly_budget)
        self.attempts, self.first_wait_s, self.longest_wait_s = attempts, first_wait_s, longest_wait_s
        self.deadline_s = deadline_s
        self._key = Secret(key.strip())
        self._http = httpx.Client(timeout=timeout_s, headers={"User-Agent": "birdnet_nl (python-httpx)"})
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(self._key)

    def __enter__(self) -> "XenoCanto":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()
        for name in _LOGGERS:
            logging.getLogger(name).removeFilter(self._key)

    def search(self, query: str) -> list[dict[str, Any]]:
        """All recordings a tag query finds, each id once.

        Recordings that are added or removed meanwhile shift the pages, and one may slip from a page not yet read to one
        read already. When that shows (the number announced changes, an id comes twice, or fewer come than were
        announced) all pages are read once more.
        """
        found: dict[str, dict[str, Any]] = {}
        for look in range(2):
            entries, announced = self._all_pages(query, may_end_early=look == 0)
            found |= {str(entry["id"]): entry for entry in entries}
            if announced == {len(entries)} and len({str(entry["id"]) for entry in entries}) == len(entries):
                break
        return list(found.values())

    def _all_pages(self, query: str, may_end_early: bool) -> tuple[list[dict[str, Any]], set[int]]:
        """The entries of all pages, and the numbers of recordings that the pages announced.

        With `may_end_early`, a page that is refused because it is gone by now ends the list with the number 0.
        """
        entries: list[dict[str, Any]] = []
        announced: set[int] = set()
        page, pages = 1, 1
        while page <= pages:
            try:
                answer = self._ask(query, page)
            except RefusedError:
                if page == 1 or not may_end_early:
                    raise
                return entries, announced | {0}
            pages = int(answer["numPages"])
            announced.add(int(answer["numRecordings"]))
            entries += answer["recordings"]
            page += 1
        return entries, announced

    def fetch(self, url: str, target: Path, what_is_wrong: Callable[[Path], str]) -> str:
        """Write the file at `url` to `target` and return its sha256.

        `what_is_wrong` looks at the file written; a non-empty answer counts as a fault and the file is fetched again.
        """
        return self._insist(f"file {url}", lambda: self._fetch_once(url, target, what_is_wrong))

    def _fetch_once(self, url: str, target: Path, what_is_wrong: Callable[[Path], str]) -> str:
        digest = hashlib.sha256()
        with target.open("wb") as file, self._answer(url) as answer:
            for block in self._blocks(answer):
                digest.update(block)
                file.write(block)
        if reason := what_is_wrong(target):
            raise _PassingError(reason)
        return digest.hexdigest()

    def _blocks(self, answer: httpx.Response) -> Iterator[bytes]:
        """The body as it comes in, for `deadline_s` at most."""
        deadline = time.monotonic() + self.deadline_s
        for block in answer.iter_bytes():
            yield block
            if time.monotonic() > deadline:
                raise _PassingError(f"the answer was not complete after {self.deadline_s:g} s")

    def _ask(self, query: str, page: int) -> dict[str, Any]:
        return self._insist(f"query {query}, page {page}", lambda: self._ask_once(query, page))

    def _ask_once(self, query: str, page: int) -> dict[str, Any]:
        url = f"{self.base_url}/api/3/recordings"
        params = {"query": query, "page": str(page), "per_page": str(PER_PAGE), "key": self._key.value}
        with self._answer(url, params) as answer:
            text = b"".join(self._blocks(answer))
        try:
            body = json.loads(text)
            [int(body[name]) for name in ("numPages", "numRecordings")]
            [recording["id"] for recording in body["recordings"]]
        except (ValueError, KeyError, TypeError):
            raise _PassingError("the answer is not the JSON of API v3") from None
        return body

    @contextmanager
    def _answer(self, url: str, params: dict[str, str] | None = None) -> Iterator[httpx.Response]:
        """The answer with status 200, after redirects; with `params` (which hold the key) only within the same host."""
        host = urlsplit(url).hostname
        for _ in range(MAX_REDIRECTS + 1):
            self.pace.wait()
            with self._http.stream("GET", url, params=params) as answer:
                if answer.status_code in (301, 302, 303, 307, 308) and "location" in answer.headers:
                    url = urljoin(url, answer.headers["location"])
                    if params is not None:
                        url = self._same_host(url, host)
                    continue
                self._check_status(answer, is_api=params is not None)
                yield answer
                return
        raise _LastingError(f"more than {MAX_REDIRECTS} redirects")

    def _same_host(self, url: str, host: str | None) -> str:
        parts = urlsplit(url)
        same = (parts.hostname or "").removeprefix("www.") == (host or "").removeprefix("www.")
        if not same or (parts.scheme != "https" and self.base_url.startswith("https")):
            raise _LastingError(f"the API sends us to {parts.scheme}://{parts.hostname}, where the key is not taken")
        return url.partition("?")[0]

    def _check_status(self, answer: httpx.Response, is_api: bool) -> None:
        status = answer.status_code
        if status == 200:
            return
        if status == 429 or status >= 500:
            raise _PassingError(f"Xeno-canto answers {status}", retry_after_s(answer.headers.get("retry-after", "")))
        message = self._key.blot(_message_of(b"".join(self._blocks(answer)), answer.reason_phrase))
        if status == 401 and is_api:
            raise ApiKeyError(f"Xeno-canto refuses the key in {KEY_VARIABLE} ({message}); {HOW_TO_GET_A_KEY}")
        raise _LastingError(f"Xeno-canto answers {status} ({message})")

    def _insist(self, what: str, request: Callable[[], Any]) -> Any:
        """Do `request` until it succeeds; our errors are raised outside `except`, so that none drags a URL along."""
        reason = ""
        for attempt in range(self.attempts):
            try:
                return request()
            except ApiKeyError as error:
                refusal: BirdnetNlError = ApiKeyError(str(error))
                break
            except (_LastingError, httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
                reason = self._key.blot(str(error))
                refusal = RefusedError(f"{what}: {reason}")
                break
            except _PassingError as error:
                reason, wait_s = str(error), error.wait_s
            except httpx.TimeoutException:
                reason, wait_s = "no answer in time", 0.0
            except httpx.HTTPError as error:
                reason, wait_s = f"the connection failed ({type(error).__name__})", 0.0
            refusal = DownloadError(
                f"{what}: {reason}, {attempt + 1} times; try again later, what has come so far is kept"
            )
            if wait_s > LONGEST_RETRY_AFTER_S:
                refusal = BusyError(f"{what}: {reason} and asks to wait {wait_s / 60:.0f} minutes; try again then")
                break
            if attempt + 1 < self.attempts:
                backoff_s = min(self.longest_wait_s, self.first_wait_s * 2**attempt)
                time.sleep(max(wait_s, backoff_s * random.uniform(0.5, 1.0)))
        raise refusal


def _message_of(text: bytes, otherwise: str) -> str:
    """What the API says went wrong: {"error": …, "message": …}, {"error": {"code", "message"}}, or plain text."""
    try:
        body = json.loads(text)
    except ValueError:
        return otherwise or "no reason given"
    if not isinstance(body, dict):
        return str(body)[:200]
    error = body.get("error")
    message = body.get("message") or (error.get("message") if isinstance(error, dict) else error)
    return str(message or "no reason given")[:200]
