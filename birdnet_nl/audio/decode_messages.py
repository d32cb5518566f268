"""Messages that the compiled decoders print while they read a damaged file, sent to the log with the file's name.

libmpg123 offers no hook through libsndfile: it prints to C's `stderr`. That variable is pointed to a file in memory
while a sound file is read. The file descriptor 2 stays as it is, so Python's output, progress bars and other processes
are not affected. This works with glibc; elsewhere the messages stay on the screen.
"""

import ctypes
import logging
import os
import platform
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MAX_LINES = 5  # of one file
log = logging.getLogger("birdnet_nl")


class _Messages:
    """The replaced `stderr` of C, used by all threads that decode; the original is back when none does."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reading: list[Path] = []
        self._file = self._original = self._end = 0
        self._stderr: ctypes.c_void_p | None = None
        if platform.libc_ver()[0] != "glibc" or not hasattr(os, "memfd_create"):
            return
        try:
            libc = ctypes.CDLL(None)
            libc.fdopen.restype = ctypes.c_void_p
            self._memory = os.memfd_create("decoder messages")
            self._file = libc.fdopen(self._memory, b"w")
            if self._file:
                libc.setvbuf(ctypes.c_void_p(self._file), None, 2, 0)  # 2: unbuffered
                self._stderr = ctypes.c_void_p.in_dll(libc, "stderr")
        except (OSError, ValueError, AttributeError):
            self._stderr = None

    def start(self, path: Path) -> None:
        with self._lock:
            self._reading.append(path)
            if self._stderr is not None and len(self._reading) == 1:
                self._original, self._stderr.value = self._stderr.value, self._file

    def stop(self, path: Path) -> None:
        with self._lock:
            if self._stderr is None:
                self._reading.remove(path)
                return
            size = os.fstat(self._memory).st_size
            names = ", ".join(sorted({str(path) for path in self._reading})) if size > self._end else ""
            text = os.pread(self._memory, min(size - self._end, 1 << 16), self._end)
            self._reading.remove(path)
            self._end = size
            if not self._reading:
                self._stderr.value = self._original
                if size:
                    os.ftruncate(self._memory, 0)
                    os.lseek(self._memory, 0, os.SEEK_SET)
                    self._end = 0
        lines = list(dict.fromkeys(filter(None, map(str.strip, text.decode(errors="replace").splitlines()))))
        for line in lines[:MAX_LINES]:
            log.info("%s: decoder: %s", names, line)
        if len(lines) > MAX_LINES:
            log.info("%s: decoder: %d more messages", names, len(lines) - MAX_LINES)


_messages: _Messages | None = None
_creating = threading.Lock()


@contextmanager
def decoder_messages(path: Path) -> Iterator[None]:
    """Log what the decoders print while `path` is read; where several files are read at once, the names of all."""
    global _messages
    with _creating:  # two threads may read the first files
        _messages = messages = _messages or _Messages()
    messages.start(path)
    try:
        yield
    finally:
        messages.stop(path)
