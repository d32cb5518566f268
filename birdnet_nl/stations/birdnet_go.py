"""BirdNET-Go as a station: read through its API only; a comment is written where the user asked for it."""

import logging
import os
import re
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx

from birdnet_nl.species.table import normalise_name
from birdnet_nl.stations.birdnet_go_api import Api
from birdnet_nl.stations.birdnet_go_changes import RECENT, RECENT_AFTER_GAP, Reading, read_changes
from birdnet_nl.stations.birdnet_go_login import Login
from birdnet_nl.stations.birdnet_go_stream import FIRST_WAIT_S, DetectionStream
from birdnet_nl.stations.detection import StationDetection
from birdnet_nl.stations.station import AudioGoneError, AudioNotReadyError, Changes, Known
from birdnet_nl.util.errors import SetupError

WINDOW_S = 3.0  # of BirdNET
MAX_PRE_CAPTURE_S = 600.0
LATE_CLIP_S = 120.0  # age up to which a missing clip may still be written: versions before 2026 answer 404 for it
LATE_CLIP_RETRY_S = 5.0
MOST_EXPECTED = 30  # that are asked for one by one in one call
EXPECTED_S = 30.0  # time after which a detection that the stream reported is no longer waited for
CLIP_NAME = re.compile(r"(?P<species>.+)_\d+p_(?P<time>\d{8}T\d{6})Z?(?:_\d+s)?\.(?P<suffix>\w{2,4})")
SUFFIXES = {
    "audio/wav": ".wav", "audio/x-wav": ".wav", "audio/wave": ".wav", "audio/flac": ".flac", "audio/x-flac": ".flac",
    "audio/mpeg": ".mp3", "audio/mp4": ".m4a", "audio/ogg": ".ogg", "audio/opus": ".opus", "audio/aac": ".aac",
}  # fmt: skip
LIST_S = 900.0  # between two lists without anything new
log = logging.getLogger(__name__)


class BirdnetGo:
    """Station that is read over HTTP.

    Args:
        login: for a station in private mode, and for comments.
        comments: whether `report` writes; else it does nothing.
        pre_capture_s: seconds of a clip before the detection, as in BirdNET-Go's settings.
    """

    def __init__(
        self,
        url: str,
        name: str = "birdnet-go",
        login: Login | None = None,
        comments: bool = False,
        pre_capture_s: float = 3.0,
        timeout_s: float = 20,
        ca_file: str = "",
        first_wait_s: float = FIRST_WAIT_S,
    ) -> None:
        if not 0 <= pre_capture_s <= MAX_PRE_CAPTURE_S:
            raise SetupError(
                f"--pre-capture-s {pre_capture_s:g} is not possible; give that of BirdNET-Go's settings, such as 3"
            )
        self.name = name
        self.comments = comments
        self.pre_capture_s = pre_capture_s
        self._api = Api(url, login, timeout_s, ca_file)
        self._first_wait_s = first_wait_s
        self._stream: DetectionStream | None = None
        self._changed = threading.Event()
        self._lock = threading.Lock()
        self._expected: dict[int, float] = {}  # id of a reported detection -> time until which it is waited for
        self._malformed = 0  # items that were logged
        self._has_gap = True  # a connection was made since the last list
        self._needs_list = True
        self._listed = ("", 0.0)  # position and time of the last list

    @property
    def settings(self) -> dict[str, Any]:
        """Settings that the page needs to find clips; no password."""
        return {"kind": "birdnet-go", "url": self._api.url, "pre_capture_s": self.pre_capture_s}

    def changes(self, position: str, known: Known) -> Changes:
        """Compare the newest detections with the stored ones, and read one page of a gap; see `Station.changes`.

        Nothing is requested while the stream is connected and reported nothing since the last list, for a while: then
        the list shows what was deleted or reviewed.
        """
        if self._is_up_to_date(position):
            return Changes(position=position)
        self._needs_list = False  # before the request: what is reported meanwhile sets it again
        has_gap, self._has_gap = self._has_gap, False
        try:
            reading = read_changes(self._api, position, known, RECENT_AFTER_GAP if has_gap else RECENT)
            self._add_expected(reading)
        except BaseException:
            self._has_gap = self._has_gap or has_gap
            self._needs_list = True
            raise
        if reading.malformed > self._malformed:
            log.warning(
                "%d detections of BirdNET-Go have no id and are left out: they cannot be asked for", reading.malformed
            )
        self._malformed = reading.malformed
        if reading.changes.more:
            self._needs_list = True
        self._listed = (reading.changes.position, time.monotonic())
        return reading.changes

    def wait(self, timeout_s: float) -> bool:
        """Block until the stream reports a detection or was connected again; the first call connects it."""
        if self._stream is None:
            self._stream = DetectionStream(self._api, self._on_change, self._first_wait_s)
            self._stream.start()
        if self._waits_for_detection():  # it was reported before it was in the list
            self._changed.wait(min(timeout_s, 1.0))
            self._changed.clear()
            return True
        has_changed = self._changed.wait(timeout_s)
        self._changed.clear()
        return has_changed

    def wake(self) -> None:
        self._changed.set()

    def close(self) -> None:
        if self._stream is not None:
            self._stream.stop()
            self._stream.join(2)
        self._changed.set()
        self._api.close()

    def window_s(self, detection: StationDetection, duration_s: float) -> tuple[float, float]:
        """Return the seconds after the pre-capture; of a shorter clip its last three seconds."""
        start_s = max(0.0, min(self.pre_capture_s, duration_s - WINDOW_S))
        return start_s, min(duration_s, start_s + WINDOW_S)

    @contextmanager
    def clip(self, detection: StationDetection) -> Iterator[Path]:
        """Download a clip into a temporary file; see `Station.clip`."""
        id = _id_of(detection)
        handle, name = tempfile.mkstemp(prefix="birdnet_nl_", suffix=".sound")
        path = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                answer = self._api.download(id, file)
            if answer is None:
                raise self._why_missing(detection, id)
            clip_name = _name_in(answer)
            if not _is_name_of(clip_name, detection):
                self._check_same(detection, id)
            suffix = _suffix_of(clip_name, answer)
            path = path.rename(path.with_suffix(suffix))
            yield path
        finally:
            path.unlink(missing_ok=True)

    def report(self, detection: StationDetection, text: str) -> None:
        """Write a comment, once; reviews and locks stay as they are. See `Station.report`."""
        if not self.comments:
            return
        id = _id_of(detection)
        row, _ = self._api.detection(id)
        if row is None or row.detection.key != detection.key:
            log.info("no comment for %s: BirdNET-Go deleted or changed it", detection.key)
        elif text not in row.comments:
            status = self._api.review(id, text, row.is_locked)
            if status == 409:
                log.info("no comment for %s: it is locked in BirdNET-Go", detection.key)
            elif status == 404:
                log.info("no comment for %s: BirdNET-Go deleted it", detection.key)

    def _on_change(self, id: int | None) -> None:
        if id is None:
            self._has_gap = True
        else:
            with self._lock:
                self._expected[id] = time.monotonic() + EXPECTED_S
                while len(self._expected) > 1000:
                    del self._expected[next(iter(self._expected))]
        self._needs_list = True
        self._changed.set()

    def _add_expected(self, reading: Reading) -> None:
        """Add detections that the stream reported and the list does not have, such as those of a wrong clock."""
        with self._lock:
            expected = [id for id in self._expected if id not in reading.ids][:MOST_EXPECTED]
        rows = {id: self._api.detection(id)[0] for id in expected}
        reading.changes.detections.extend(row.detection for row in rows.values() if row is not None)
        with self._lock:
            for id in (*reading.ids, *(id for id, row in rows.items() if row is not None)):
                self._expected.pop(id, None)

    def _is_up_to_date(self, position: str) -> bool:
        listed_position, listed_at = self._listed
        return (
            self._stream is not None
            and self._stream.is_connected
            and not self._needs_list
            and not self._waits_for_detection()
            and position == listed_position
            and time.monotonic() - listed_at < LIST_S
        )

    def _waits_for_detection(self) -> bool:
        now = time.monotonic()
        with self._lock:
            self._expected = {id: until for id, until in self._expected.items() if until > now}
            return bool(self._expected)

    def _why_missing(self, detection: StationDetection, id: int) -> AudioGoneError | AudioNotReadyError:
        age_s = self._check_same(detection, id)
        if age_s is not None and age_s < LATE_CLIP_S:
            return AudioNotReadyError("the clip is not written yet", LATE_CLIP_RETRY_S)
        return AudioGoneError("BirdNET-Go has no clip of this detection")

    def _check_same(self, detection: StationDetection, id: int) -> float | None:
        """Return the age of a detection in seconds; raises AudioGoneError if its id is another detection now."""
        row, age_s = self._api.detection(id)
        if row is None:
            raise AudioGoneError("BirdNET-Go deleted the detection")
        if row.detection.key != detection.key:
            raise AudioGoneError(f"BirdNET-Go has another detection as number {id} now: {row.detection.key}")
        return age_s


def _id_of(detection: StationDetection) -> int:
    if not (detection.clip.isascii() and detection.clip.isdigit()):
        raise AudioGoneError(f"{detection.clip!r} is no number of a detection of BirdNET-Go")
    return int(detection.clip)


def _name_in(answer: httpx.Response) -> str:
    """Return the file name in the header Content-Disposition, empty without one."""
    match = re.search(r"filename\*=UTF-8''([^;]+)", answer.headers.get("Content-Disposition", ""), re.IGNORECASE)
    return unquote(match[1].strip()) if match else ""


def _is_name_of(clip_name: str, detection: StationDetection) -> bool:
    """Return whether a clip's name has species and time of a detection, as BirdNET-Go writes it."""
    match = CLIP_NAME.fullmatch(clip_name)
    if match is None or normalise_name(match["species"]) != normalise_name(detection.scientific_name):
        return False
    try:
        moment = datetime.strptime(match["time"], "%Y%m%dT%H%M%S")
    except ValueError:
        return False
    return abs(moment - detection.recorded_at) <= timedelta(minutes=1)


def _suffix_of(clip_name: str, answer: httpx.Response) -> str:
    match = CLIP_NAME.fullmatch(clip_name)
    kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return SUFFIXES.get(kind) or (f".{match['suffix'].lower()}" if match else ".wav")
