"""Connections of the live page to the database: one to read for each thread, opened again where the file changed."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from birdnet_nl.live.refused import RefusedError
from birdnet_nl.stations.database import DatabaseError, explain, identity, is_temporary, open_database, open_read_only
from birdnet_nl.util.console import log

MAX_CACHED = 8  # results for each thread


class Connections:
    """Connections to a database that may be absent at first, replaced, moved or locked."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = threading.local()

    def exists(self) -> bool:
        return self.path.is_file() and self.path.stat().st_size > 0

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Yield the connection of this thread; raises `RefusedError` where the database cannot be read now."""
        with self._refusing():
            now = identity(self.path)
            if now is None or getattr(self._local, "identity", None) != now:
                self._close()
                self._local.connection = open_read_only(self.path)
                self._local.connection.execute("PRAGMA query_only = ON")
                self._local.identity = now
            try:
                yield self._local.connection
            except sqlite3.Error:
                self._close()
                raise

    def cached(self, read: Callable[[sqlite3.Connection, Any], Any], argument: Any) -> Any:
        """Return `read(connection, argument)` of this thread's connection, from memory while nobody wrote."""
        connection = self._local.connection
        version = connection.execute("PRAGMA data_version").fetchone()[0]
        if version != self._local.version or len(self._local.cache) >= MAX_CACHED:
            self._local.version, self._local.cache = version, {}
        key = (read, argument)
        if key not in self._local.cache:
            self._local.cache[key] = read(connection, argument)
        return self._local.cache[key]

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection that stores what people typed; an absent database is not created."""
        with self._refusing():
            if not self.exists():
                raise RefusedError(404, "There is no such detection.")
            connection = open_database(self.path, durable=True)
            try:
                yield connection
            finally:
                connection.close()

    def _close(self) -> None:
        connection = getattr(self._local, "connection", None)
        self._local.connection = self._local.identity = self._local.version = None
        self._local.cache = {}
        if connection is not None:
            connection.close()

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        """Turn errors of the database into refusals; the reason, which may hold a path, is only logged."""
        try:
            yield
        except DatabaseError as error:
            log.error("live page: %s", error)
            raise RefusedError(503, "The database cannot be read now.", {"retry-after": "10"}) from None
        except sqlite3.Error as error:
            log.error("live page: %s", explain(error, self.path))
            if not is_temporary(error) and not isinstance(error, sqlite3.DatabaseError):
                raise
            raise RefusedError(503, "The database cannot be read now.", {"retry-after": "10"}) from None
