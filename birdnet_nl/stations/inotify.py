"""Changes of folders as the Linux kernel reports them (inotify), without threads.

Used instead of watchdog, which does not report that the kernel's queue overflowed, and does not watch a folder that is
moved into a watched one.
"""

import ctypes
import errno
import os
import struct
from collections.abc import Iterator
from typing import NamedTuple

CLOSE_WRITE, MOVED_FROM, MOVED_TO, CREATE, DELETE = 0x8, 0x40, 0x80, 0x100, 0x200
MODIFY, DELETE_SELF, MOVE_SELF, UNMOUNT, OVERFLOW, IGNORED = 0x2, 0x400, 0x800, 0x2000, 0x4000, 0x8000
ONLY_FOLDERS, IS_FOLDER = 0x01000000, 0x40000000
EVENT = struct.Struct("iIII")  # watch, mask, cookie, length of the name
BUFFER_BYTES = 1 << 16


class Event(NamedTuple):
    """Event of one name in a watched folder.

    Attributes:
        folder: as it was given to `add`; empty for an overflow.
        name: empty for the folder itself.
        mask: the bits above.
        cookie: connects the two events of a move, else 0.
    """

    folder: bytes
    name: bytes
    mask: int
    cookie: int


class Inotify:
    """An inotify instance; `fileno` can be waited for with `select`.

    Raises:
        OSError: if there is none on this system, or the limit of instances is reached (EMFILE).
    """

    def __init__(self) -> None:
        try:
            self._libc = ctypes.CDLL(None, use_errno=True)
            number = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        except (AttributeError, OSError, TypeError):
            raise OSError(errno.ENOSYS, "this system has no inotify") from None
        if number < 0:
            raise _error("inotify")
        self._number = number
        self._folder_of: dict[int, bytes] = {}
        self._watch_of: dict[bytes, int] = {}

    def fileno(self) -> int:
        return self._number

    def add(self, folder: bytes, mask: int) -> None:
        """Watch a folder, without those in it.

        Raises:
            OSError: if it does not exist (ENOENT), is no folder, or the limit of watches is reached (ENOSPC).
        """
        watch = self._libc.inotify_add_watch(self._number, folder, ctypes.c_uint32(mask | ONLY_FOLDERS))
        if watch < 0:
            raise _error(os.fsdecode(folder))
        if (before := self._folder_of.get(watch)) is not None:  # the same folder under its old name
            self._watch_of.pop(before, None)
        self._folder_of[watch], self._watch_of[folder] = folder, watch

    def remove_tree(self, folder: bytes) -> None:
        """Stop watching a folder and those in it, e.g. since it was moved away."""
        below = folder + b"/"
        for path in [path for path in self._watch_of if path == folder or path.startswith(below)]:
            watch = self._watch_of.pop(path)
            self._folder_of.pop(watch, None)
            self._libc.inotify_rm_watch(self._number, watch)

    def events(self) -> Iterator[Event]:
        """Return the events that are there now; does not block."""
        while True:
            try:
                content = os.read(self._number, BUFFER_BYTES)
            except BlockingIOError:
                return
            place = 0
            while place < len(content):
                watch, mask, cookie, length = EVENT.unpack_from(content, place)
                place += EVENT.size
                name = content[place : place + length].rstrip(b"\0")
                place += length
                if mask & OVERFLOW:
                    yield Event(b"", b"", OVERFLOW, 0)
                elif (folder := self._folder_of.get(watch)) is not None:
                    if mask & IGNORED:
                        self._folder_of.pop(watch)
                        self._watch_of.pop(folder, None)
                    yield Event(folder, name, mask, cookie)

    def close(self) -> None:
        if self._number >= 0:
            os.close(self._number)
            self._number = -1


def _error(name: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), name)
