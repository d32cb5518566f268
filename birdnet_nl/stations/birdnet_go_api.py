"""Requests to BirdNET-Go's API v2, with limits of time and size, and errors that say what to do."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import IO, Any

import httpx

from birdnet_nl.stations.birdnet_go_login import Login, Session
from birdnet_nl.stations.birdnet_go_rows import Listing, Row, parse_listing, parse_row
from birdnet_nl.stations.http import TEMPORARY, check_url, describe, new_client, retry_after_s
from birdnet_nl.stations.station import AudioNotReadyError, StationUnavailableError
from birdnet_nl.util.errors import DataError

MAX_LIST_BYTES = 8_000_000  # 500 detections are about 350 kB
MAX_CLIP_BYTES = 200_000_000
WHOLE_S = 120.0  # for a whole answer, however it drips


class Api:
    """Client of one BirdNET-Go, for any thread.

    Every method raises `StationUnavailableError` if the station cannot be reached, is too slow, asks for a login that
    is not given, or answers with something else than BirdNET-Go.
    """

    def __init__(self, url: str, login: Login | None = None, timeout_s: float = 20, ca_file: str = "") -> None:
        self.url = check_url(url, "--url")
        self.timeout_s = timeout_s
        self.client = new_client(timeout_s, ca_file)
        self.client.headers["Accept-Encoding"] = "identity"  # a small answer cannot unpack to a huge one
        self._session = Session(self.client, self.url, login or Login())

    def close(self) -> None:
        self.client.close()

    def recent(self, limit: int) -> Listing:
        """Return the newest detections; never an old answer, which BirdNET-Go keeps of its pages."""
        return self._listing(self._json("/detections/recent", {"limit": limit}))

    def page(self, offset: int, limit: int) -> Listing:
        """Return detections from the newest on, after skipping `offset`."""
        return self._listing(self._json("/detections", {"numResults": limit, "offset": offset}))

    def detection(self, id: int) -> tuple[Row | None, float | None]:
        """Return one detection, None where there is none of this id, and its age in seconds by the station's clock."""
        with self._request("GET", f"/detections/{id}") as response:
            if response.status_code == 404:
                return None, None
            self._check(response)
            row = parse_row(self._read_json(response))
            now = response.headers.get("Date", "")
        if row is None or row.time_with_zone is None:
            return row, None
        try:
            return row, parsedate_to_datetime(now).timestamp() - row.time_with_zone.timestamp()
        except (TypeError, ValueError):
            return row, None

    def download(self, id: int, file: IO[bytes]) -> httpx.Response | None:
        """Write the clip of a detection to a file and return the answer, None where there is no clip (404).

        Raises:
            AudioNotReadyError: if it is not written yet, or breaks off.
            DataError: if it is larger than `MAX_CLIP_BYTES`, or no sound.
        """
        with self._request("GET", f"/audio/{id}") as response:
            status = response.status_code
            if status == 404:
                return None
            if status == 503:
                raise AudioNotReadyError("the clip is not written yet", retry_after_s(response))
            if status == 500:
                raise AudioNotReadyError("BirdNET-Go answers 500 for the clip")
            if status == 400:
                raise DataError("is refused by BirdNET-Go (400)")
            self._check(response)
            kind = response.headers.get("Content-Type", "")
            if kind.startswith(("text/", "application/json")):
                raise StationUnavailableError(f"BirdNET-Go at {self.url} answers with {kind[:40]} instead of sound")
            try:
                for block in self._blocks(response, MAX_CLIP_BYTES):
                    file.write(block)
            except (httpx.TransportError, httpx.DecodingError, StationUnavailableError) as error:
                raise AudioNotReadyError(f"the clip broke off ({error})") from error
        return response

    def review(self, id: int, comment: str, is_locked: bool) -> int:
        """Write a comment to a detection, leave its review and lock as they are, and return the status code."""
        body = {"comment": comment, "lock_detection": is_locked}
        for renew in (False, True):
            try:
                headers = self._session.csrf_headers(renew)
            except httpx.HTTPError as error:
                raise self._unavailable(error) from error
            with self._request("POST", f"/detections/{id}/review", json=body, headers=headers) as response:
                if response.status_code != 403 or renew:
                    break
        if response.status_code not in (404, 409):
            self._check(response)
        return response.status_code

    @contextmanager
    def stream(self, path: str, timeout: httpx.Timeout) -> Iterator[httpx.Response]:
        """Yield the answer of an endpoint that sends events for a long time."""
        with self._request("GET", path, timeout=timeout, headers={"Accept": "text/event-stream"}) as response:
            self._check(response)
            if not response.headers.get("Content-Type", "").startswith("text/event-stream"):
                raise StationUnavailableError(f"{self.url} sends no events")
            yield response

    @contextmanager
    def _request(self, method: str, path: str, **options: Any) -> Iterator[httpx.Response]:
        """Send a request, after a login where one is asked for, and yield its answer before the body is read."""
        for is_second in (False, True):
            login = self._session.number
            try:
                with self.client.stream(method, f"{self.url}/api/v2{path}", **options) as response:
                    if response.status_code != 401 or is_second:
                        yield response
                        return
                self._session.log_in(login)
            except httpx.HTTPError as error:
                raise self._unavailable(error) from error

    def _check(self, response: httpx.Response) -> None:
        status = response.status_code
        if response.is_success:
            return
        hint = ""
        if status in (401, 403):
            hint = "; the login is not accepted, check it in a browser"
        elif response.has_redirect_location:
            hint = f" and leads to {response.headers['Location'][:100]}; give the right address as --url"
        elif status == 404:
            hint = "; check that --url is the address of BirdNET-Go"
        is_later = status in TEMPORARY or status == 429
        raise StationUnavailableError(
            f"BirdNET-Go at {self.url} answers {status}{hint}", retry_after_s(response) if is_later else None
        )

    def _json(self, path: str, params: dict[str, Any]) -> Any:
        with self._request("GET", path, params=params) as response:
            self._check(response)
            return self._read_json(response)

    def _read_json(self, response: httpx.Response) -> Any:
        try:
            return json.loads(b"".join(self._blocks(response, MAX_LIST_BYTES)))
        except (ValueError, RecursionError, DataError) as error:
            reason = str(error) if isinstance(error, DataError) else "is no JSON"
            raise StationUnavailableError(
                f"the answer of {self.url} {reason}; check that --url is the address of BirdNET-Go"
            ) from error

    def _listing(self, content: Any) -> Listing:
        items = content.get("data") if isinstance(content, dict) else content
        if items is None and isinstance(content, dict) and content.get("total") == 0:
            items = []  # Go may write an empty list as null
        if not isinstance(items, list):
            raise StationUnavailableError(
                f"the answer of {self.url} is no list of detections; check that --url is the address of BirdNET-Go"
            )
        return parse_listing(items, content.get("total") if isinstance(content, dict) else None)

    def _blocks(self, response: httpx.Response, most_bytes: int) -> Iterator[bytes]:
        """Yield the body; raises DataError beyond a size, StationUnavailableError beyond `WHOLE_S`."""
        deadline = time.monotonic() + WHOLE_S
        size = 0
        for block in response.iter_bytes():
            size += len(block)
            if size > most_bytes:
                raise DataError(f"is larger than {most_bytes // 1_000_000} MB")
            if time.monotonic() > deadline:
                raise StationUnavailableError(f"{self.url} needs more than {WHOLE_S:.0f} s for one answer")
            yield block

    def _unavailable(self, error: httpx.HTTPError) -> StationUnavailableError:
        return StationUnavailableError(
            f"BirdNET-Go at {self.url} cannot be reached ({describe(error)}); check that it runs, and --url"
        )
