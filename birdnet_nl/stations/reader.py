"""Thread that reads a station: it stores what changed, and waits until something may have changed again."""

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from birdnet_nl.stations.back_off import Trouble
from birdnet_nl.stations.connected import Connected
from birdnet_nl.stations.database import DatabaseError, explain
from birdnet_nl.stations.health import HealthFile
from birdnet_nl.stations.records import Counts, StoredKnown, add_station, position, store_changes
from birdnet_nl.stations.station import Station, StationUnavailableError

log = logging.getLogger("birdnet_nl")
WAIT_S = 60.0  # then the station is read even if nothing seems to have changed
MAX_WITHOUT_PROGRESS = 20  # answers in a row that hold nothing and promise more; then it is waited
ONCE_ATTEMPTS, ONCE_SETTLE_S = 3, 2.5


class Reader(threading.Thread):
    """Reader of one station.

    Args:
        settings: of the station, for the page.
        on_stored: called after something was stored.
        once: end when everything is read, or cannot be read.

    Attributes:
        failure: what it could not read or write, with `once`: `station` or `database`; empty if everything was read.
    """

    def __init__(
        self,
        station: Station,
        database: Path,
        settings: Mapping[str, Any],
        health: HealthFile,
        on_stored: Callable[[], None],
        once: bool = False,
    ) -> None:
        super().__init__(name="reader", daemon=True)
        self.station, self.health, self.on_stored, self.once = station, health, on_stored, once
        self.stopping = threading.Event()
        self.failure = ""
        self._has_more, self._without_progress, self._once_ends = False, 0, 0.0
        self._connected = Connected(database, lambda connection: add_station(connection, station.name, settings))
        self._troubles = {"station": Trouble(), "database": Trouble()}

    def stop(self) -> None:
        """End the thread soon."""
        self.stopping.set()
        self.station.wake()

    def run(self) -> None:
        attempts = 0
        try:
            while not self.stopping.is_set():
                delay_s = self._read()
                if delay_s is None:
                    attempts = 0
                elif self.once and (attempts := attempts + 1) >= ONCE_ATTEMPTS:
                    self.failure = "database" if self._troubles["database"].attempts else "station"
                    return
                else:
                    self.stopping.wait(delay_s)
                    continue
                if self._has_more:
                    continue
                if self.once and not self._waits_for_more():
                    return
                if not self.once:
                    self.station.wait(WAIT_S)
        finally:
            self._connected.close()
            self.on_stored()

    def _waits_for_more(self) -> bool:
        """Wait, with `once`, for what is being written at this moment; returns whether to read again."""
        if self._once_ends == 0.0:
            self._once_ends = time.monotonic() + ONCE_SETTLE_S
        while (left_s := self._once_ends - time.monotonic()) > 0 and not self.stopping.is_set():
            if self.station.wait(left_s):
                return True
        return False

    def _read(self) -> float | None:
        """Store what changed; returns the seconds until the next attempt if that was not possible, else None."""
        try:
            connection, name = self._connected.get(), self.station.name
            before = position(connection, name)
            changes = self.station.changes(before, StoredKnown(connection, name))
            counts = store_changes(connection, name, changes)
            is_other = counts != Counts() or changes.position != before
            self._without_progress = 0 if is_other else self._without_progress + 1
            self._has_more = changes.more and self._without_progress < MAX_WITHOUT_PROGRESS
        except StationUnavailableError as error:
            return self._met("station", str(error), error.retry_after_s)
        except sqlite3.Error as error:
            self._connected.close()
            return self._met("database", str(explain(error, self._connected.path)))
        except DatabaseError as error:
            self._connected.close()
            return self._met("database", str(error))
        except Exception as error:  # a fault of ours must not end the reading for good
            message = f"the station cannot be read (unexpected error, {type(error).__name__}: {error})"
            if message != self._troubles["station"].message:
                log.exception("unexpected error")
            return self._met("station", message)
        for name, trouble in self._troubles.items():
            trouble.ended()
            self.health.trouble(name, "")
        self.health.read()
        if counts != Counts():
            log_counts(counts)
            self.on_stored()
        return None

    def _met(self, name: str, message: str, retry_after_s: float | None = None) -> float:
        self.health.trouble(name, message)
        delay_s = self._troubles[name].met(message, retry_after_s)
        self.on_stored()  # the health file is written by the other thread
        return delay_s


def log_counts(counts: Counts) -> None:
    """Log what a station changed; single new detections are logged with their results."""
    if counts.new > 1 or counts != Counts(new=counts.new):
        log.info("detections: %s", counts)
