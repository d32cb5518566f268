"""Watching a station: one thread reads it, this one predicts what is due, the newest first, and stores the results."""

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from pathlib import Path
from typing import Any

from birdnet_nl.stations.back_off import Trouble
from birdnet_nl.stations.classify import Window, classify
from birdnet_nl.stations.connected import Connected
from birdnet_nl.stations.database import DatabaseError, explain
from birdnet_nl.stations.detection import State
from birdnet_nl.stations.health import COUNT_INTERVAL_S, Health, HealthFile
from birdnet_nl.stations.instance_lock import InstanceLock
from birdnet_nl.stations.models_of_station import StationModels
from birdnet_nl.stations.outcome_log import OutcomeLog
from birdnet_nl.stations.reader import Reader
from birdnet_nl.stations.records import add_station, find_species_again
from birdnet_nl.stations.results import (
    Outcome,
    count_states,
    due,
    note_crash,
    predict_again,
    retry_without_model,
    seconds_to_next,
    store_outcomes,
)
from birdnet_nl.stations.station import Station, StationUnavailableError

log = logging.getLogger("birdnet_nl")
BATCH, BATCH_S = 32, 0.5  # detections in one transaction, and the time after which they are stored
IDLE_S = 60.0  # between two looks at the models, and two health files
ONCE_WAIT_S, ONCE_ATTEMPTS = 5.0, 3  # with `once`: for clips that are nearly ready, and for our database


class ExitCode(IntEnum):
    """Exit codes of `birdnet-nl watch`, for supervisors."""

    DONE = 0
    UNEXPECTED = 1
    NOT_POSSIBLE = 2  # as it was called, or without a model
    ANOTHER_INSTANCE = 3
    STATION_UNAVAILABLE = 4  # with --once
    DATABASE_UNAVAILABLE = 5


@dataclass(frozen=True)
class WatchOptions:
    """Options of watching.

    Attributes:
        settings: of the station, for the page.
        channels: names of the receivers of results; see the table `outbox`.
        again_since: predict detections since this time again where the model is another one.
        once: end when everything that is due is predicted.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    channels: Sequence[str] = ()
    window: Window = field(default_factory=Window)
    again_since: datetime | None = None
    once: bool = False
    health: Path | None = None


class Watch:
    """Loop over the detections of one station.

    Args:
        on_results: called after results were stored, to deliver them.
        problems: returns the lasting problem of each receiver, for the health file.
    """

    def __init__(
        self,
        station: Station,
        models: StationModels,
        database: Path,
        options: WatchOptions,
        lock: InstanceLock,
        on_results: Callable[[], None] = lambda: None,
        problems: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        self.station, self.models, self.options, self.lock = station, models, options, lock
        self.on_results, self.problems = on_results, problems
        self.health = HealthFile(options.health, Health(station.name, str(database), models.name))
        self.arrived = threading.Event()
        self.reader = Reader(station, database, options.settings, self.health, self.arrived.set, options.once)
        self._connected = Connected(database, self._prepare)
        self._unsaved: list[Outcome] = []
        self._troubles = {"our database": Trouble(), "clips": Trouble()}
        self._log = OutcomeLog()
        self._again, self._counted, self._once_failures = options.again_since, -1e9, 0
        self._without_model_checked = False

    def open(self) -> None:
        """Open the database before anybody else does; raises `DatabaseError` if it can never be used."""
        with suppress(sqlite3.Error):  # a full disk or a lock: tried again
            self._connected.get()

    def run(self) -> ExitCode:
        """Watch until a signal ends it, or with `once` until everything is done; what was predicted is stored.

        Raises:
            DatabaseError: if the database cannot be used at the start.
        """
        self.open()
        log.info("watching %s with %s; results are in %s", self.station.name, self.models.name, self._connected.path)
        self.reader.start()
        try:
            while not self._round():
                pass
        finally:
            code = self._end()
        return code

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """Prepare a database that was opened, which may be another one than before."""
        add_station(connection, self.station.name, self.options.settings)
        if self.lock.left_over is not None:
            note_crash(connection, self.station.name, self.lock.left_over)
            self.lock.left_over = None
        self.station.wake()
        self._without_model_checked = False

    def _round(self) -> bool:
        """Predict some detections or wait; returns whether everything is done, with `once`."""
        was_read = not self.reader.is_alive()
        self.arrived.clear()
        try:
            connection = self._connected.get()
            self._store(connection)
            if self.models.refresh():
                self.health.health.model = self.models.name
                log.info("models: %s", self.models.name)
                self._without_model_checked = False
            self._return_to_queue(connection)
            try:
                self._predict(connection)
            finally:
                self._store(connection)
            wait_s = self._seconds_to_wait(connection)
            self._write_health(connection)
            self._ended("our database")
        except StationUnavailableError as error:
            return self._met("clips", str(error), error.retry_after_s)
        except sqlite3.Error as error:
            self._connected.close()
            return self._met("our database", str(explain(error, self._connected.path)))
        except DatabaseError as error:
            self._connected.close()
            return self._met("our database", str(error))
        if self.options.once and was_read and wait_s > ONCE_WAIT_S:
            return True
        self.arrived.wait(wait_s)
        return False

    def _return_to_queue(self, connection: sqlite3.Connection) -> None:
        """Make detections new again that have a model now, or are to be predicted with another one."""
        name = self.station.name
        if not self._without_model_checked:
            self._without_model_checked = True
            find_species_again(connection, name)
            if count := retry_without_model(connection, name, lambda species: self.models.choose(species) is not None):
                log.info("%d detections have a model now", count)
        if self._again is not None:
            count = predict_again(connection, name, self._again, self.models.fingerprint)
            log.info("%d detections since %s are predicted again", count, self._again.isoformat(" "))
            self._again = None

    def _predict(self, connection: sqlite3.Connection) -> None:
        """Predict the newest detections, until new ones arrive or it is time to store."""
        began = time.monotonic()
        for stored in due(connection, self.station.name, BATCH):
            self.lock.note(stored.id)
            outcome = classify(self.station, stored, self.models, self.options.window)
            self.lock.note(None)
            self._unsaved.append(outcome)
            if outcome.state is not State.NO_MODEL:
                self._ended("clips")
            if self.arrived.is_set() or time.monotonic() - began > BATCH_S:
                return

    def _store(self, connection: sqlite3.Connection) -> None:
        if not self._unsaved:
            return
        store_outcomes(connection, self._unsaved, self.options.channels)
        outcomes, self._unsaved = self._unsaved, []
        self._log.add(outcomes)
        if any(outcome.result for outcome in outcomes):
            self.health.stored()
            self.on_results()

    def _seconds_to_wait(self, connection: sqlite3.Connection) -> float:
        next_s = seconds_to_next(connection, self.station.name)
        return IDLE_S if next_s is None else min(next_s, IDLE_S)

    def _met(self, name: str, message: str, retry_after_s: float | None = None) -> bool:
        """Wait after a trouble; returns whether to end, with `once`."""
        self.health.trouble(name, message)
        delay_s = self._troubles[name].met(message, retry_after_s)
        self.health.write()
        self._once_failures += 1
        if self.options.once and self._once_failures >= ONCE_ATTEMPTS:
            return True
        self._sleep(delay_s)
        return False

    def _sleep(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.arrived.clear()
            self.arrived.wait(left)

    def _ended(self, name: str) -> None:
        self._troubles[name].ended()
        self.health.trouble(name, "")
        self._once_failures = 0

    def _write_health(self, connection: sqlite3.Connection | None, status: str = "") -> None:
        problems = self.problems()
        for name in [name for name in self.health.health.troubles if name.startswith("delivery")]:
            if name.removeprefix("delivery to ") not in problems:
                self.health.trouble(name, "")
        for name, message in problems.items():
            self.health.trouble(f"delivery to {name}", message)
        if connection is not None and (status or time.monotonic() - self._counted > COUNT_INTERVAL_S):
            states = count_states(connection, self.station.name)
            self.health.health.states = states
            self.health.health.queue = sum(states[state] for state in State if not state.is_final)
            self._counted = time.monotonic()
        self.health.write(status, always=bool(status))

    def _end(self) -> ExitCode:
        """Store what was predicted, and stop the reader; returns the exit code."""
        self.reader.stop()
        connection, code = None, ExitCode.DONE
        try:
            connection = self._connected.get()
            connection.execute("PRAGMA busy_timeout = 1000")
            self._store(connection)
        except (sqlite3.Error, DatabaseError) as error:
            log.warning("%d predictions could not be stored and are made again (%s)", len(self._unsaved), error)
            code = ExitCode.DATABASE_UNAVAILABLE
        self.reader.join(1.0)
        self._log.close()
        if self.options.once and self.reader.failure:
            is_station = self.reader.failure == "station"
            code = code or (ExitCode.STATION_UNAVAILABLE if is_station else ExitCode.DATABASE_UNAVAILABLE)
        if self.options.once and self._once_failures and code is ExitCode.DONE:
            in_database = self._troubles["our database"].attempts > 0
            code = ExitCode.DATABASE_UNAVAILABLE if in_database else ExitCode.STATION_UNAVAILABLE
        with suppress(sqlite3.Error):
            self._write_health(connection, "stopped")
        self._connected.close()
        return code
