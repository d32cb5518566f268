"""Health file: what a supervisor or a person needs to see whether a station is watched, replaced atomically."""

import json
import logging
import os
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from birdnet_nl import __version__
from birdnet_nl.util.errors import SetupError
from birdnet_nl.util.files import atomic_path

log = logging.getLogger("birdnet_nl")
MAX_BYTES = 1_000_000
INTERVAL_S, COUNT_INTERVAL_S = 5.0, 30.0  # between two files, and between two counts of all detections


@dataclass
class Health:
    """Content of a health file. Times are seconds since 1970, None for never.

    Attributes:
        status: `ok`, `starting`, `stopped`, or the trouble that lasts in one sentence.
        updated_at: of the file; a supervisor may restart a program whose file is older than five minutes.
        last_success_at: when the station was last read, or a result stored.
        queue: detections that are new or wait for their audio.
        states: number of detections in each state.
        last_error: the latest trouble, also when it is over.
    """

    station: str
    database: str
    model: str = ""
    version: str = __version__
    pid: int = field(default_factory=os.getpid)
    started_at: float = field(default_factory=time.time)
    updated_at: float = 0.0
    status: str = "starting"
    last_read_at: float | None = None
    last_result_at: float | None = None
    last_success_at: float | None = None
    queue: int = 0
    states: dict[str, int] = field(default_factory=dict)
    troubles: dict[str, str] = field(default_factory=dict)
    last_error: str = ""
    last_error_at: float | None = None


class HealthFile:
    """Health of a running program, written at most every few seconds, and at once when its status changes.

    Raises:
        SetupError: if there is a file at the path that is no health file; it is not replaced.
    """

    def __init__(self, path: Path | None, health: Health) -> None:
        if path is not None:
            check_health_path(path)
        self.path, self.health = path, health
        self._written, self._status, self._is_writable = -1e9, "", True
        self._lock = threading.Lock()  # the reader reports its troubles too

    def trouble(self, name: str, message: str) -> None:
        """Set the trouble of a part (`station`, `database`, …); an empty message for none."""
        health = self.health
        with self._lock:
            if not message:
                health.troubles.pop(name, None)
            elif health.troubles.get(name) != message:
                health.troubles[name] = message
                health.last_error, health.last_error_at = message, time.time()

    def read(self) -> None:
        """Note that the station was read."""
        self.health.last_read_at = self.health.last_success_at = time.time()

    def stored(self) -> None:
        """Note that results were stored."""
        self.health.last_result_at = self.health.last_success_at = time.time()

    def write(self, status: str = "", always: bool = False) -> None:
        """Replace the file where its time has come; a file that cannot be written is logged once."""
        with self._lock:
            self.health.status = status or next(iter(self.health.troubles.values()), "ok")
            content = asdict(self.health) | {"updated_at": time.time()}
        is_due = time.monotonic() - self._written >= INTERVAL_S
        if self.path is None or not (always or is_due or self.health.status != self._status):
            return
        self._written, self._status = time.monotonic(), self.health.status
        try:
            with atomic_path(self.path, sync=False) as part:
                part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
            self._is_writable = True
        except OSError as error:
            if self._is_writable:
                log.warning("the health file %s cannot be written (%s)", self.path, error.strerror or error)
            self._is_writable = False


def check_health_path(path: Path) -> None:
    """Raise `SetupError` if writing a health file would replace another file, such as the database of a station."""
    refused = SetupError(f"--health {path} is no health file, and it is not replaced; give another file")
    try:
        if not path.exists():
            return
        with path.open("rb") as file:
            content = file.read(MAX_BYTES).strip(b"\0")  # after a power failure a file may hold only zeros
        values = json.loads(content) if content else None
    except (OSError, ValueError):
        raise refused from None
    if content and not (isinstance(values, dict) and {"station", "status", "updated_at"} <= set(values)):
        raise refused
