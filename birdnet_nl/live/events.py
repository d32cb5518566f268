"""Server-sent events: ids of detections of a day that are new or changed, as soon as the database changes.

While a page is open, one thread asks SQLite once a second whether another connection wrote (`PRAGMA data_version`,
which reads one number); only then the versions of the day's detections are read and compared. Without open pages
nothing runs.
"""

import asyncio
import json
import sqlite3
import zlib
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import date
from typing import Any

from birdnet_nl.live.connections import Connections
from birdnet_nl.live.queries import TABLES, Filters
from birdnet_nl.live.refused import RefusedError
from birdnet_nl.stations.database import identity

INTERVAL_S = 1.0
KEEP_ALIVE_S = 15.0
MAX_CLIENTS = 40
MAX_IDS = 50  # in one event; with more the page reads its list again
QUEUE = 8  # events that a slow client may lag behind; then it reads its list again


class DayVersions:
    """Versions of the detections of one day, to find those that changed."""

    def __init__(self, day: date) -> None:
        self.day = day
        self._versions: dict[int, int] = {}

    def changes(self, connection: sqlite3.Connection) -> list[int]:
        """Return the ids of new, changed and deleted detections since the last call."""
        condition, values = Filters(self.day).sql()
        rows = connection.execute(
            "SELECT detections.id, scientific_name, common_name, clip, state, detections.result, corrections.id "
            f"{TABLES} WHERE {condition}",
            values,
        )
        present = {row[0]: zlib.crc32(repr(tuple(row)[1:]).encode("utf-8", "replace")) for row in rows}
        changed = [id for id, version in present.items() if self._versions.get(id) != version]
        changed += [id for id in self._versions if id not in present]
        self._versions = present
        return changed


class Events:
    """Connected clients by day, and the task that looks for changes while there are any."""

    def __init__(self, connections: Connections, interval_s: float = INTERVAL_S) -> None:
        self._connections, self._interval_s = connections, interval_s
        self._clients: dict[date, set[asyncio.Queue]] = {}
        self._versions: dict[date, DayVersions] = {}
        self._task: asyncio.Task | None = None
        self._marker: object = None
        self._stopped = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="events")

    def check_room(self) -> None:
        """Raise `RefusedError` when as many pages are open as are possible."""
        if sum(map(len, self._clients.values())) >= MAX_CLIENTS:
            raise RefusedError(503, "Too many pages are open.", {"retry-after": "60"})

    async def stream(self, day: date) -> AsyncIterator[str]:
        """Yield events for a page of a day until the client or the server ends it."""
        queue: asyncio.Queue = asyncio.Queue(QUEUE)
        self._clients.setdefault(day, set()).add(queue)
        try:
            await self._run(self._start, day)
            if self._task is None or self._task.done():
                self._task = asyncio.create_task(self._watch())
            yield "retry: 3000\n\nevent: ready\ndata: {}\n\n"
            while not self._stopped:
                try:
                    event = await asyncio.wait_for(queue.get(), KEEP_ALIVE_S)
                except TimeoutError:
                    yield ": still here\n\n"
                    continue
                if event is None:
                    return
                yield f"event: changed\ndata: {json.dumps(event)}\n\n"
        finally:
            self._clients[day].discard(queue)
            if not self._clients[day]:
                del self._clients[day]
                self._versions.pop(day, None)

    def stop(self) -> None:
        """End all streams, so that the server can stop."""
        self._stopped = True
        for queue in [queue for queues in self._clients.values() for queue in queues]:
            _put(queue, None)

    async def _watch(self) -> None:
        while self._clients and not self._stopped:
            changes = await self._run(self._look, list(self._clients))
            for day, ids in changes.items():
                event = {"ids": ids} if len(ids) <= MAX_IDS else {"all": True}
                for queue in self._clients.get(day, ()):
                    _put(queue, event)
            await asyncio.sleep(self._interval_s)

    async def _run(self, function: Callable, argument: Any) -> Any:
        """Run a function in the one thread that has the connection, whose `data_version` can be compared."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, argument)

    def _start(self, day: date) -> None:
        """Read the versions of a day before its page reads the list again, so that no change is between the two."""
        if day not in self._versions:
            with suppress(RefusedError), self._connections.reading() as connection:
                self._versions.setdefault(day, DayVersions(day)).changes(connection)

    def _look(self, days: list[date]) -> dict[date, list[int]]:
        """Return the changed ids of each day; empty where the database did not change or cannot be read now."""
        try:
            with self._connections.reading() as connection:
                version = connection.execute("PRAGMA data_version").fetchone()[0]
                marker = (identity(self._connections.path), id(connection), version)
                if marker == self._marker:
                    return {}
                found = {day: self._versions.setdefault(day, DayVersions(day)).changes(connection) for day in days}
                self._marker = marker
        except RefusedError:
            return {}
        return {day: ids for day, ids in found.items() if ids}


def _put(queue: asyncio.Queue, event: dict | None) -> None:
    if queue.full():
        while not queue.empty():
            queue.get_nowait()
        event = {"all": True} if event is not None else None
    queue.put_nowait(event)
