"""Waiting until files in a folder change: through inotify, or by looking at them every few seconds."""

import errno
import logging
import os
import re
import select
import time
from collections.abc import Sequence
from pathlib import Path

from birdnet_nl.stations import inotify

log = logging.getLogger("birdnet_nl")
SETTLE_S = 0.05  # a writer is left alone until it was quiet for so long …
MAX_SETTLE_S = 0.3  # … but no longer than this
SLOW_S = 3.0  # between two looks without inotify
SAFETY_S = 30.0  # between two looks with it, for events that never come
MASK = inotify.MODIFY | inotify.CLOSE_WRITE | inotify.MOVED_FROM | inotify.MOVED_TO | inotify.CREATE | inotify.DELETE
SELF = inotify.DELETE_SELF | inotify.MOVE_SELF | inotify.UNMOUNT | inotify.IGNORED | inotify.OVERFLOW
REMOTE = re.compile(  # file systems whose other users' changes inotify does not report
    r"nfs\d*|cifs|smb\d*|smbfs|9p|afs|ceph|coda|davfs\d*|glusterfs|lustre|ncpfs|ocfs2|virtiofs|vboxsf|prl_fs|drvfs|"
    r"fuse\.(sshfs|s3fs|rclone|goofys|gcsfuse|glusterfs|davfs|ceph|smb|nfs|curlftpfs|vmhgfs-fuse).*"
)
MOUNTS = Path("/proc/self/mounts")


class Wake:
    """Something that `select` can wait for, set from another thread or a signal handler."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        for end in (self._reader, self._writer):
            os.set_blocking(end, False)

    def fileno(self) -> int:
        return self._reader

    def set(self) -> None:
        try:
            os.write(self._writer, b"\0")
        except (BlockingIOError, OSError):  # set already, or closed
            return

    def clear(self) -> bool:
        """Return whether it was set, and clear it."""
        was_set = False
        try:
            while os.read(self._reader, 4096):
                was_set = True
        except BlockingIOError:
            pass
        return was_set

    def close(self) -> None:
        for end in (self._reader, self._writer):
            os.close(end)


class FilesChanged:
    """Waits for changes of a file and of those beside it that belong to it, e.g. the journal of a database.

    The folder may be missing, moved or replaced at any time. Where inotify cannot be used, the reason is logged once,
    and the file is looked at every few seconds.

    Args:
        path: the file.
        suffixes: of the files beside it, e.g. `-journal`; the first, empty, is the file itself.
    """

    def __init__(self, path: Path, suffixes: Sequence[str] = ("", "-journal", "-wal")) -> None:
        self._path, self._suffixes = path, suffixes
        self._follow_link()
        self._wake = Wake()
        self._inotify: inotify.Inotify | None = None
        self._is_logged = False
        self._signature = self._look()

    def wait(self, timeout_s: float) -> bool:
        """Block until something may have changed since the last call (True), or the time is over or woken (False)."""
        end = time.monotonic() + timeout_s
        while True:
            had_watch = self._inotify is not None
            self._watch()
            pause_s = SAFETY_S if self._inotify else SLOW_S
            if self._inotify and not had_watch:  # what happened before is not reported
                pause_s = 0.0
            ready = self._select(max(0.0, min(pause_s, end - time.monotonic())))
            is_woken = self._wake.clear() if self._wake in ready else False
            is_changed = self._drain() if self._inotify in ready else False
            if is_changed:
                self._settle()
            signature = self._look()
            is_changed = is_changed or signature != self._signature
            self._signature = signature
            if is_changed or is_woken or time.monotonic() >= end:
                return is_changed

    def wake(self) -> None:
        self._wake.set()

    def close(self) -> None:
        self._unwatch()
        self._wake.close()

    def _select(self, timeout_s: float) -> list[object]:
        readers = [self._wake, *([self._inotify] if self._inotify else [])]
        return select.select(readers, [], [], timeout_s)[0]

    def _settle(self) -> None:
        """Wait until the writer pauses: a reading right after one commit would meet the next."""
        end = time.monotonic() + MAX_SETTLE_S
        while self._inotify and time.monotonic() < end:
            if not select.select([self._inotify], [], [], SETTLE_S)[0] or not self._drain():
                return

    def _drain(self) -> bool:
        """Return whether one of the events that are there is of the files."""
        is_changed = False
        assert self._inotify is not None
        for event in self._inotify.events():
            if event.mask & SELF and not event.name:
                self._unwatch()  # the folder is gone, or has another name: looked up again
                return True
            is_changed = is_changed or event.name in self._names
        return is_changed

    def _follow_link(self) -> None:
        """Find the file itself: SQLite makes the files beside it where it is, not beside a link to it."""
        path = Path(os.path.realpath(self._path))
        self._folder = path.parent
        self._names = {os.fsencode(path.name + suffix) for suffix in self._suffixes}
        beside = [f"{path}{suffix}" for suffix in self._suffixes if suffix not in ("", "-journal")]
        self._paths = [os.fspath(self._path), *beside]  # the file itself shows the commits of its journal

    def _look(self) -> tuple[tuple[int, int, int, int] | None, ...]:
        return tuple(map(_signature, self._paths))

    def _watch(self) -> None:
        if self._inotify:
            return
        self._follow_link()
        reason = ""
        try:
            if system := remote_file_system(self._folder):
                reason = f"it is on a network share ({system})"
            else:
                self._inotify = inotify.Inotify()
                self._inotify.add(os.fsencode(self._folder), MASK | SELF & ~inotify.OVERFLOW)
        except OSError as error:
            self._unwatch()
            if error.errno == errno.ENOENT:  # looked for again every few seconds
                return
            reason = explain(error)
        if reason and not self._is_logged:
            self._is_logged = True
            log.info("%s is looked at every %.0f s, because %s", self._folder, SLOW_S, reason)

    def _unwatch(self) -> None:
        if self._inotify:
            self._inotify.close()
            self._inotify = None


def explain(error: OSError) -> str:
    """Return why inotify cannot be used, and what to do about it."""
    if error.errno == errno.ENOSPC:
        return (
            "the limit of watched folders is reached; raise it with: sudo sysctl fs.inotify.max_user_watches=524288 "
            "(and in /etc/sysctl.conf)"
        )
    if error.errno == errno.EMFILE:
        return (
            "the limit of programs that watch is reached; raise it with: sudo sysctl fs.inotify.max_user_instances=512"
        )
    return f"changes are not reported here ({error.strerror})"


def remote_file_system(folder: Path) -> str:
    """Return the type of the file system of a folder if it is a network share, else an empty string."""
    try:
        place = os.path.realpath(folder)
        mounts = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    found, kind = "", ""
    for line in mounts:
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = re.sub(r"\\(\d{3})", lambda match: chr(int(match[1], 8)), fields[1])
        is_above = place == point or place.startswith(point.rstrip("/") + "/")
        if is_above and len(point) >= len(found):
            found, kind = point, fields[2]
    return kind if REMOTE.fullmatch(kind) else ""


def _signature(path: str) -> tuple[int, int, int, int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116  a Path costs more than the question
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
