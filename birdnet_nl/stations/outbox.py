"""Delivery of results from the table `outbox`: each channel has a thread, so that none delays prediction or another.

A row is deleted when its receiver has confirmed it. Rows are delivered in the order of their results, each at least
once: after a crash between the confirmation and the deletion a receiver gets the message again, with the same `id`.
"""

import contextlib
import logging
import sqlite3
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from birdnet_nl.stations.connected import Connected
from birdnet_nl.stations.database import DatabaseError
from birdnet_nl.stations.message import SELECT, Message, message_from
from birdnet_nl.util.errors import BirdnetNlError

LAST_MESSAGE_S = 2.0  # at the end, for the message that is being delivered
log = logging.getLogger(__name__)


class DeliveryError(BirdnetNlError):
    """A message that could not be delivered now; it is tried again."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class UnreachableError(DeliveryError):
    """A receiver that is down or overloaded; no message is to blame."""


class RejectedError(DeliveryError):
    """A message that the receiver refuses; it is given up after `Limits.rejections`."""


class GivenUpError(BirdnetNlError):
    """A message that can never be delivered, with the reason."""


class Channel(Protocol):
    """A receiver of results. All methods are called by one thread.

    Attributes:
        name: value of `outbox.channel`.
    """

    name: str

    def connect(self) -> None:
        """Connect if there is no connection; called before messages and from time to time.

        Raises:
            UnreachableError: if the receiver cannot be reached.
        """
        ...

    def deliver(self, message: Message) -> None:
        """Send one message and wait until the receiver has confirmed it; raises DeliveryError or GivenUpError."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Limits:
    """Limits of waiting messages and the times between attempts.

    Attributes:
        messages, age_s: older messages are dropped with a line in the log, while the receiver cannot be reached.
        rejections: attempts with a message that the receiver refuses.
        failures: attempts after which a message lets the others pass.
        first_wait_s, longest_wait_s: of the back-off, which doubles.
        idle_s: time after which an idle connection is checked.
    """

    messages: int = 10_000
    age_s: float = 7 * 86_400
    rejections: int = 3
    failures: int = 10
    first_wait_s: float = 1
    longest_wait_s: float = 60
    idle_s: float = 15


class Outbox:
    """Delivery of the rows that `Results` are stored with, by one thread for each channel."""

    def __init__(self, database: Path, limits: Limits | None = None) -> None:
        self.database = database
        self.limits = limits or Limits()
        self._workers: list[_Worker] = []

    def start(self, channels: Iterable[Channel]) -> None:
        """Start delivery, of the rows that are left of earlier runs too."""
        for channel in channels:
            worker = _Worker(self.database, channel, self.limits)
            self._workers.append(worker)
            worker.start()

    def notify(self) -> None:
        """Report that rows were added; returns at once."""
        for worker in self._workers:
            worker.added.set()

    def problems(self) -> dict[str, str]:
        """Return the reason for each channel that cannot deliver now."""
        return {worker.channel.name: worker.problem for worker in self._workers if worker.problem}

    def close(self, timeout_s: float = 10) -> None:
        """Deliver what waits, for at most `timeout_s` and while nothing fails, then disconnect; other rows stay."""
        for worker in self._workers:
            worker.finish()
        deadline = time.monotonic() + timeout_s
        for worker in self._workers:
            worker.join(max(0, deadline - time.monotonic()))
        for worker in self._workers:
            worker.stop()
        for worker in self._workers:
            worker.join(LAST_MESSAGE_S)
        self._workers.clear()


class _Worker(threading.Thread):
    """Thread that delivers the rows of one channel."""

    def __init__(self, database: Path, channel: Channel, limits: Limits) -> None:
        super().__init__(name=f"outbox-{channel.name}", daemon=True)
        self.database = database
        self.channel = channel
        self.limits = limits
        self.added = threading.Event()
        self.finishing = threading.Event()  # ends when nothing waits, or something fails
        self.stopping = threading.Event()  # ends after the present message
        self.problem = ""
        self._wait_s = limits.first_wait_s

    def finish(self) -> None:
        self.finishing.set()
        self.added.set()

    def stop(self) -> None:
        self.stopping.set()
        self.added.set()

    def run(self) -> None:
        connected = Connected(self.database)
        connection: sqlite3.Connection | None = None
        try:
            while not self.stopping.is_set() and not (self.finishing.is_set() and self.problem):
                try:
                    connection = connected.get()
                    self._deliver_all(connection)
                    self._recovered(connection)
                except DeliveryError as error:
                    self._failed(connection, error)
                except (sqlite3.Error, DatabaseError) as error:  # locked for long, a full disk: opened again
                    self._failed(None, DeliveryError(f"{self.database.name} cannot be read or written ({error})"))
                    connected.close()
                except Exception as error:  # a defect must not end delivery for good
                    log.exception("%s: delivery failed", self.channel.name)
                    self._failed(None, DeliveryError(f"{type(error).__name__}: {error}"))
                else:
                    if self.finishing.is_set():
                        return
                    self.added.wait(self.limits.idle_s)
        finally:
            connected.close()
            self.channel.close()

    def _deliver_all(self, connection: sqlite3.Connection) -> None:
        """Deliver until no row is left; raises DeliveryError for the first that cannot be delivered now."""
        self.channel.connect()
        while not self.stopping.is_set():
            self.added.clear()  # before reading: a row that is added meanwhile sets it again
            row = connection.execute(
                f"{SELECT} WHERE channel = ? ORDER BY outbox.attempts >= ?, outbox.id LIMIT 1",
                (self.channel.name, self.limits.failures),
            ).fetchone()
            if row is None:
                return
            self._deliver(connection, message_from(row))

    def _deliver(self, connection: sqlite3.Connection, message: Message) -> None:
        what = f"{self.channel.name}: result of {message.station} {message.key}"
        try:
            if message.is_deleted:
                log.info("%s is not sent: the station deleted the detection", what)
            else:
                self._send(message)
                self._wait_s = self.limits.first_wait_s
        except GivenUpError as error:
            log.warning("%s is not sent: %s", what, error)
        except UnreachableError:
            raise
        except DeliveryError as error:
            if isinstance(error, RejectedError) and message.attempts + 1 >= self.limits.rejections:
                log.warning("%s is not sent after %d attempts: %s", what, message.attempts + 1, error)
            else:
                connection.execute(
                    "UPDATE outbox SET attempts = attempts + 1, reason = ? WHERE id = ?", (str(error), message.row)
                )
                raise
        connection.execute("DELETE FROM outbox WHERE id = ?", (message.row,))

    def _send(self, message: Message) -> None:
        """Send a message; a defect counts as a failure of this message, so that it lets the others pass in the end."""
        try:
            self.channel.deliver(message)
        except (DeliveryError, GivenUpError):
            raise
        except Exception as error:
            log.exception("%s: delivery failed", self.channel.name)
            raise DeliveryError(f"{type(error).__name__}: {error}") from error

    def _failed(self, connection: sqlite3.Connection | None, error: DeliveryError) -> None:
        """Log a new problem, drop what is beyond the limits, and wait with back-off."""
        if str(error) != self.problem:
            log.warning("%s: %s; messages wait and are tried again", self.channel.name, error)
            self.problem = str(error)
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):  # tried again after the next attempt
                drop_old(connection, self.channel.name, self.limits, time.time())
        wait_s = max(self._wait_s, min(error.retry_after_s or 0, 3600))
        self._wait_s = min(2 * self._wait_s, self.limits.longest_wait_s)
        self.finishing.wait(wait_s)

    def _recovered(self, connection: sqlite3.Connection) -> None:
        self._wait_s = self.limits.first_wait_s
        if self.problem and not self.stopping.is_set():
            log.info("%s: delivers again", self.channel.name)
            self.problem = ""


def drop_old(connection: sqlite3.Connection, channel: str, limits: Limits, now: float) -> int:
    """Delete the oldest rows of a channel beyond the limits, with a line in the log; return their number."""
    (count,) = connection.execute("SELECT count(*) FROM outbox WHERE channel = ?", (channel,)).fetchone()
    too_many = max(0, count - limits.messages)
    dropped = connection.execute(
        "DELETE FROM outbox WHERE channel = ?1 AND (created_at < ?2 OR id IN "
        "(SELECT id FROM outbox WHERE channel = ?1 ORDER BY id LIMIT ?3))",
        (channel, now - limits.age_s, too_many),
    ).rowcount
    if dropped:
        log.warning(
            "%s: %d undelivered messages were dropped, because they are older than %g days or more than %d wait; "
            "their results stay in the database",
            channel, dropped, limits.age_s / 86_400, limits.messages,
        )  # fmt: skip
    return dropped
