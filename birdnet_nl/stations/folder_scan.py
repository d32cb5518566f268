"""Sound files below a folder, listed once into a temporary database, so that memory does not grow with their number."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from birdnet_nl.recordings.listing import is_hidden, is_sound_name

BATCH = 1000  # rows stored at once
CACHE_KB = 4096
_BETWEEN = "FROM files WHERE recorded_at >= ? AND recorded_at < ?"


class FolderScan:
    """Relative paths of sound files with their days; links to folders are not followed.

    Args:
        folder: where to begin.
        time_of: returns date and time of a file as ISO text, or None to leave it out.
        enter: called with each folder before it is listed, e.g. to watch it.
    """

    def __init__(
        self, folder: Path, time_of: Callable[[os.DirEntry[str]], str | None], enter: Callable[[str], None]
    ) -> None:
        self.count = self.folders = 0
        self._root = os.fspath(folder)
        self._files = sqlite3.connect(
            "", isolation_level=None, check_same_thread=False
        )  # a temporary file that SQLite deletes
        self._files.execute(f"PRAGMA cache_size = -{CACHE_KB}")
        self._files.execute("CREATE TABLE files (recorded_at TEXT, path BLOB)")
        self._files.execute("BEGIN")
        batch: list[tuple[str, bytes]] = []
        for entry in walk(self._root, enter):
            self.count += 1
            if (recorded_at := time_of(entry)) is not None:
                batch.append((recorded_at, os.fsencode(entry.path[len(self._root) :].lstrip(os.sep))))
            if len(batch) >= BATCH:
                self._store(batch)
        self._store(batch)
        self._files.execute("CREATE INDEX by_time ON files (recorded_at)")
        self._files.execute("COMMIT")

    def days(self) -> Iterator[str]:
        """Return the days with files, the latest first."""
        query, before = "SELECT max(recorded_at) FROM files WHERE recorded_at < ?", "~"  # which comes after all digits
        while (latest := self._files.execute(query, (before,)).fetchone()[0]) is not None:
            before = latest[:10]
            yield before

    def number_between(self, start: str, end: str) -> int:
        """Return the number of files with `start <= recorded_at < end`."""
        return self._files.execute(f"SELECT count(*) {_BETWEEN}", (start, end)).fetchone()[0]

    def between(self, start: str, end: str) -> dict[str, str]:
        """Return path -> recorded_at of the files with `start <= recorded_at < end`, the latest first."""
        rows = self._files.execute(f"SELECT path, recorded_at {_BETWEEN} ORDER BY recorded_at DESC, path", (start, end))
        return {os.fsdecode(path): recorded_at for path, recorded_at in rows}

    def close(self) -> None:
        self._files.close()

    def _store(self, batch: list[tuple[str, bytes]]) -> None:
        self._files.executemany("INSERT INTO files VALUES (?, ?)", batch)
        batch.clear()


def walk(folder: str, enter: Callable[[str], None]) -> Iterator[os.DirEntry[str]]:
    """Return the sound files below a folder, without hidden ones and the system folders of a NAS.

    `enter` is called with each folder before it is listed. A folder that disappears meanwhile, or cannot be read, is
    passed over.

    Raises:
        OSError: if `folder` itself cannot be listed; or what `enter` raises.
    """
    folders = [folder]
    while folders:
        path = folders.pop()
        enter(path)
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    with suppress(OSError):
                        if entry.is_dir(follow_symlinks=False):
                            if not is_hidden(entry.name, is_folder=True):
                                folders.append(entry.path)
                        elif is_sound_name(entry.name) and not is_hidden(entry.name, False) and entry.is_file():
                            yield entry
        except OSError:
            if path == folder:
                raise
