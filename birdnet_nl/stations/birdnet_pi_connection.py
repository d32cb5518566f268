"""Read-only connection to the database of a program that must never be held up.

A reader of a database with a rollback journal holds a lock during which no other program can commit. BirdNET-Pi takes
any error for "busy" and drops a row after three tries, so every reading takes a few milliseconds, begins when nothing
is being written, and long series of readings pause in between. Nothing is ever written: the file is opened with
`mode=ro`, which also leaves an unfinished transaction (a hot journal) to BirdNET-Pi.
"""

import os
import sqlite3
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from birdnet_nl.stations.station import StationUnavailableError

BUSY_S = 2.0
REST = 20.0  # pause after a reading, as a multiple of its time: at most 5 % of the time a writer finds a lock
MAX_REST_S = 0.1
JOURNAL_WAIT_S = 0.05  # for a transaction in progress; one that takes longer is left to SQLite
COUNTER_PLACE, WAL_PLACE = 24, 18  # in the header of an SQLite file
WAL = 2


class ReadOnlyDatabase:
    """A database file, opened when it is needed, and again when another file takes its place.

    Attributes:
        file: device and inode of the open file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = (-1, -1)
        self._connection: sqlite3.Connection | None = None
        self._header = -1
        self._journal, self._keeps_journal = "", False

    def open(self) -> bool:
        """Open the file if it is not open; returns whether it was opened now.

        Raises:
            StationUnavailableError: as every method, if the file cannot be read now.
        """
        try:
            status = self.path.stat()
        except OSError as error:
            self.close()
            raise StationUnavailableError(
                f"{self.path} cannot be read ({error.strerror}); it is tried again, and another can be given with --db"
            ) from None
        file = (status.st_dev, status.st_ino)
        if self._connection is not None and file == self.file:
            return False
        self.close()
        if status.st_size == 0:
            raise StationUnavailableError(f"{self.path} is empty; it is tried again until BirdNET-Pi has filled it")
        try:
            self._header = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            self._check_wal(status)
            self._connection = connect(self.path)
        except sqlite3.Error as error:
            self.close()
            raise unavailable(self.path, error) from None
        except OSError as error:
            self.close()
            raise StationUnavailableError(f"{self.path} cannot be read ({error.strerror})") from None
        except StationUnavailableError:
            self.close()
            raise
        self.file, self._keeps_journal = file, False
        self._journal = f"{os.path.realpath(self.path)}-journal"
        return True

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._header >= 0:  # after the connection: closing a file ends the locks of its process
            os.close(self._header)
            self._header = -1

    def read(self, query: str, values: Iterable[Any] = (), rest: bool = False) -> list[tuple[Any, ...]]:
        """Return all rows of one short reading, which is over when this returns."""
        if self._connection is None:
            self.open()
        assert self._connection is not None
        self._wait_for_writer()
        start = time.perf_counter()
        try:
            rows = self._connection.execute(query, tuple(values)).fetchall()
        except sqlite3.Error as error:
            self.close()
            raise unavailable(self.path, error) from None
        if rest:
            time.sleep(min(MAX_REST_S, REST * (time.perf_counter() - start)))
        return rows

    def _wait_for_writer(self) -> None:
        """Begin no reading between the insertion of a row and its commit, which would fail."""
        if self._keeps_journal:
            return
        end = time.monotonic() + JOURNAL_WAIT_S
        while os.path.exists(self._journal):  # noqa: PTH110  a Path costs more than the question
            if time.monotonic() >= end:  # left by a crash, or kept between transactions
                self._keeps_journal = True
                return
            time.sleep(0.001)

    def counter(self) -> int | None:
        """Return the number of transactions so far, modulo 2^32; None in WAL mode, which does not count them."""
        header = os.pread(self._header, 100, 0)
        if len(header) < 100 or header[WAL_PLACE] == WAL:
            return None
        return int.from_bytes(header[COUNTER_PLACE : COUNTER_PLACE + 4], "big")

    def _check_wal(self, status: os.stat_result) -> None:
        """Refuse a database in WAL mode where reading would leave files that its owner cannot write."""
        if os.pread(self._header, 1, WAL_PLACE) == bytes([WAL]) and os.geteuid() not in (0, status.st_uid):
            raise StationUnavailableError(
                f"{self.path} is in WAL mode, in which a reader makes files that BirdNET-Pi has to write; run this as "
                "the user that BirdNET-Pi runs as"
            )


def connect(path: Path) -> sqlite3.Connection:
    """Open an existing database for reading only, in autocommit mode: each reading is a transaction of its own."""
    connection = sqlite3.connect(
        f"file:{quote(os.fsencode(path))}?mode=ro",
        uri=True,
        timeout=BUSY_S,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.text_factory = lambda content: content.decode("utf-8", "surrogateescape")
    return connection


def unavailable(path: Path, error: sqlite3.Error) -> StationUnavailableError:
    """Return the error for the engine, in one sentence that says what is done about it."""
    name = getattr(error, "sqlite_errorname", "") or ""
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return StationUnavailableError(f"{path} is being written for more than {BUSY_S:.0f} s; it is tried again")
    if name in ("SQLITE_READONLY_ROLLBACK", "SQLITE_READONLY_RECOVERY"):
        return StationUnavailableError(
            f"{path} has an unfinished transaction, which BirdNET-Pi completes when it writes the next detection; "
            "it is tried again"
        )
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return StationUnavailableError(
            f"{path} is no complete SQLite database ({error}); it is tried again, in case it is being copied"
        )
    if name.startswith("SQLITE_CANTOPEN"):
        return StationUnavailableError(f"{path} cannot be opened; check that this user may read it and its folder")
    return StationUnavailableError(f"{path} cannot be read ({error}); it is tried again")
