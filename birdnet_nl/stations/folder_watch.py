"""Changes of sound files in a folder and all folders below it: written, renamed, removed."""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from birdnet_nl.recordings.listing import is_hidden, is_sound_name
from birdnet_nl.stations import inotify
from birdnet_nl.stations.folder_scan import walk

CLOSED_QUIET_S = 0.5  # after a file was closed: its writer may open it again
OPEN_QUIET_S = 2.0  # after the last growth of a file of which no closing is seen, e.g. a hard link
MOVE_S = 0.5  # between the two events of a move
MAX_PENDING = 10_000  # files; with more the folder is listed again
MASK = inotify.CLOSE_WRITE | inotify.MOVED_FROM | inotify.MOVED_TO | inotify.CREATE | inotify.DELETE
SELF = inotify.DELETE_SELF | inotify.MOVE_SELF | inotify.UNMOUNT


@dataclass
class FileChanges:
    """Changes of files as absolute paths.

    Attributes:
        written: complete files that are new or were written again.
        renamed: old path -> new path; the new ones are in `written`.
        removed: deleted files, and those moved out of the folder.
    """

    written: list[str] = field(default_factory=list)
    renamed: dict[str, str] = field(default_factory=dict)
    removed: list[str] = field(default_factory=list)


@dataclass
class _Pending:
    """File that was written: when it may be complete (monotonic), its size, and whether its writer closed it."""

    due: float
    size: int = -1
    is_closed: bool = False


class FolderWatch:
    """Watch on a folder tree; `fileno` can be waited for.

    Attributes:
        needs_scan: whether changes were missed, so that the folder has to be listed again.
        is_lost: whether the folder itself was removed, renamed or unmounted.
    """

    def __init__(self, root: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.needs_scan = self.is_lost = False
        self._root = os.fsencode(root)
        self._clock = clock
        self._inotify = inotify.Inotify()
        self._pending: dict[str, _Pending] = {}
        self._renamed: dict[str, str] = {}
        self._removed: dict[str, None] = {}  # in their order
        self._moves: dict[int, tuple[bytes, bool, float]] = {}  # cookie -> path, whether a folder, when

    def fileno(self) -> int:
        return self._inotify.fileno()

    def close(self) -> None:
        self._inotify.close()

    def enter(self, folder: str) -> None:
        """Watch one folder; raises `OSError` where that is impossible, but not for one that disappeared."""
        path = os.fsencode(folder)
        try:
            self._inotify.add(path, MASK | (SELF if path == self._root else 0))
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            if path == self._root:
                raise

    def read(self) -> None:
        """Take in the events that are there now; raises `OSError` if a new folder cannot be watched."""
        for event in self._inotify.events():
            if event.mask & inotify.OVERFLOW:
                self.needs_scan = True
            elif event.mask & (SELF | inotify.IGNORED):
                self.is_lost = self.is_lost or event.folder == self._root
            else:
                self._take_in(event)
        if len(self._pending) > MAX_PENDING:
            self._pending.clear()
            self.needs_scan = True

    def due_s(self) -> float | None:
        """Return the seconds until `take` may return something; None where nothing is pending."""
        is_renamed = any(new not in self._pending for new in self._renamed.values())
        if is_renamed or self._removed or self.needs_scan or self.is_lost:
            return 0.0
        times = [pending.due for pending in self._pending.values()]
        times += [since + MOVE_S for _, _, since in self._moves.values()]
        return max(0.0, min(times) - self._clock()) if times else None

    def take(self) -> FileChanges:
        """Return the changes that are complete."""
        now = self._clock()
        for cookie, (path, is_folder, since) in list(self._moves.items()):
            if now >= since + MOVE_S:  # moved out of the tree
                del self._moves[cookie]
                self._remove(path, is_folder)
        due = [path for path, pending in self._pending.items() if now >= pending.due]
        written = [path for path in due if self._is_complete(path)]
        renamed = {old: new for old, new in self._renamed.items() if new not in self._pending}
        for old in renamed:
            del self._renamed[old]
        removed, self._removed = list(self._removed), {}
        return FileChanges(written, renamed, removed)

    def add(self, path: str) -> None:
        """Report a file when it no longer grows, though no event of it was seen."""
        self._wrote(path, is_closed=False)

    def _take_in(self, event: inotify.Event) -> None:
        path, is_folder = os.path.join(event.folder, event.name), bool(event.mask & inotify.IS_FOLDER)  # noqa: PTH118
        if is_hidden(os.fsdecode(event.name), is_folder) and not event.mask & inotify.MOVED_TO:
            if event.mask & inotify.MOVED_FROM:
                self._moves[event.cookie] = (path, is_folder, self._clock())
            return
        if event.mask & inotify.MOVED_FROM:
            self._moves[event.cookie] = (path, is_folder, self._clock())
        elif event.mask & inotify.MOVED_TO:
            before = self._moves.pop(event.cookie, None)
            self._moved(before[0] if before else None, path, is_folder)
        elif is_folder and event.mask & inotify.CREATE:
            self._new_folder(path)
        elif event.mask & inotify.DELETE:
            self._remove(path, is_folder=False)
        elif not is_folder:
            self._wrote(os.fsdecode(path), is_closed=bool(event.mask & inotify.CLOSE_WRITE))

    def _moved(self, old: bytes | None, new: bytes, is_folder: bool) -> None:
        name = os.fsdecode(new).rpartition(os.sep)[2]
        if is_hidden(name, is_folder):
            if old is not None:
                self._remove(old, is_folder)
            return
        if not is_folder:
            if old is not None:
                self._rename(os.fsdecode(old), os.fsdecode(new))
            self._wrote(os.fsdecode(new), is_closed=True)
            return
        if old is not None:
            self._inotify.remove_tree(old)
        self._new_folder(new)
        if old is not None:
            for path in [path for path in self._pending if path.startswith(f"{os.fsdecode(new)}/")]:
                self._rename(os.fsdecode(old) + path[len(os.fsdecode(new)) :], path)

    def _rename(self, old: str, new: str) -> None:
        self._pending.pop(old, None)
        first = next((key for key, value in self._renamed.items() if value == old), old)  # renamed twice
        self._renamed.pop(first, None)
        self._removed.pop(new, None)
        if first == new:
            return
        if is_sound_name(first) and is_sound_name(new):
            self._renamed[first] = new
        elif is_sound_name(first):
            self._removed[first] = None

    def _remove(self, path: bytes, is_folder: bool) -> None:
        if is_folder:  # its files are known to the database only
            self._inotify.remove_tree(path)
            self.needs_scan = True
            return
        name = os.fsdecode(path)
        self._pending.pop(name, None)
        for old in [old for old, new in self._renamed.items() if new == name]:
            del self._renamed[old]
            self._removed[old] = None
        if is_sound_name(name):
            self._removed[name] = None

    def _new_folder(self, path: bytes) -> None:
        """Watch a folder that was made or moved here, and take its files as written."""
        with suppress(FileNotFoundError, NotADirectoryError, PermissionError):  # removed again, or not ours to read
            for entry in walk(os.fsdecode(path), self.enter):
                self._wrote(entry.path, is_closed=False)

    def _wrote(self, path: str, is_closed: bool) -> None:
        if is_sound_name(path) and not is_hidden(path.rpartition(os.sep)[2], is_folder=False):
            quiet_s = CLOSED_QUIET_S if is_closed else OPEN_QUIET_S
            size = self._pending[path].size if path in self._pending else -1
            self._pending.pop(path, None)
            self._removed.pop(path, None)
            self._pending[path] = _Pending(self._clock() + quiet_s, size, is_closed)

    def _is_complete(self, path: str) -> bool:
        """Return whether a file is to be reported now; else it is looked at again later, or forgotten if it is gone."""
        pending = self._pending.pop(path)
        try:
            status = os.stat(path)  # noqa: PTH116
        except OSError:
            return False
        if pending.is_closed or (status.st_size == pending.size and status.st_size > 0):
            return True
        if status.st_size > 0 and time.time() - max(status.st_mtime, status.st_ctime) >= OPEN_QUIET_S:
            return True
        self._pending[path] = _Pending(self._clock() + OPEN_QUIET_S, status.st_size)
        return False
