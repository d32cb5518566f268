"""Connection of one thread to our database, which may be replaced, moved or on a full disk: it is opened again."""

import ctypes
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from birdnet_nl.stations.database import identity, open_database

COMPANIONS = ("-wal", "-shm")


class Connected:
    """Connection that follows the file at its path.

    Args:
        prepare: called with each new connection.
    """

    def __init__(self, path: Path, prepare: Callable[[sqlite3.Connection], object] = lambda connection: None) -> None:
        self.path, self._prepare = path, prepare
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._companions: dict[Path, tuple[int, int] | None] = {}

    def get(self) -> sqlite3.Connection:
        """Return the connection, to the file that is there now; raises as `open_database` does."""
        if self._connection is not None and identity(self.path) != self._identity:
            self._abandon()
        if self._connection is None:
            connection = open_database(self.path)
            try:
                self._prepare(connection)
            except BaseException:
                connection.close()
                raise
            self._connection, self._identity = connection, identity(self.path)
            files = (self.path.with_name(f"{self.path.name}{suffix}") for suffix in COMPANIONS)
            self._companions = {file: identity(file) for file in files}
        return self._connection

    def close(self) -> None:
        """Close the connection; the next call opens it again."""
        if self._connection is not None and identity(self.path) != self._identity:
            self._abandon()
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def _abandon(self) -> None:
        """Leave a connection whose file was moved or replaced.

        What is in its write-ahead log goes to its own file, and the log at the path is deleted, since SQLite would
        apply it to the new file. The connection is never closed: SQLite would then delete the log of the new file. All
        threads that use the database do the same, since SQLite's locks do not protect threads with different files.
        """
        connection, self._connection = self._connection, None
        with suppress(sqlite3.Error):
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        for file, of_old in self._companions.items():
            if of_old is not None and identity(file) == of_old:
                file.unlink(missing_ok=True)
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))
