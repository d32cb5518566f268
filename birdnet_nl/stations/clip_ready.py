"""Readiness of a sound file that another program writes: its size no longer grows and its header is complete."""

import os
import time
from collections import OrderedDict
from pathlib import Path

from birdnet_nl.audio.decode_headers import read_layout
from birdnet_nl.audio.decode_layout import NO_LENGTH
from birdnet_nl.stations.station import AudioGoneError, AudioNotReadyError
from birdnet_nl.util.printed_commands import short_path

QUIET_S = 0.3  # without a change of the file; then its header is checked
UNFINISHED_S = 60.0  # without a change: an incomplete file is handed out as it is, since its writer is gone
MAX_REMEMBERED = 1000


class ClipReady:
    """Check of files before they are decoded.

    The clock of the file system may differ from ours: a file whose time is in the future is quiet when two looks found
    the same size.
    """

    def __init__(self) -> None:
        self._looks: OrderedDict[Path, tuple[int, int, float]] = OrderedDict()  # size, modified in ns, monotonic time

    def check(self, path: Path) -> None:
        """Return if the file can be decoded, or will never be more complete.

        Raises:
            AudioNotReadyError: if it is empty, grows, or has a header that is to be completed, and changed a short
                time ago.
            AudioGoneError: if it does not exist.
        """
        try:
            status = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            raise AudioGoneError(f"{short_path(path)} does not exist any more") from None
        except OSError as error:
            raise AudioNotReadyError(f"{short_path(path)} cannot be read ({error.strerror})") from None
        quiet_s = self._quiet_s(path, status)
        if quiet_s < QUIET_S:
            raise AudioNotReadyError(f"{short_path(path)} is being written", QUIET_S)
        if quiet_s < UNFINISHED_S and (reason := incomplete(path, status.st_size)):
            raise AudioNotReadyError(f"{short_path(path)} {reason}", min(5.0, max(0.5, quiet_s)))
        self._looks.pop(path, None)

    def _quiet_s(self, path: Path, status: os.stat_result) -> float:
        """Return for how long the file has not changed, as far as clocks and earlier looks show."""
        now = time.monotonic()
        size, modified_ns, since = self._looks.get(path, (-1, 0, now))
        if (size, modified_ns) != (status.st_size, status.st_mtime_ns):
            since = now
            self._looks[path] = (status.st_size, status.st_mtime_ns, now)
            self._looks.move_to_end(path)
            if len(self._looks) > MAX_REMEMBERED:
                self._looks.popitem(last=False)
        return max(now - since, time.time() - max(status.st_mtime, status.st_ctime))


def incomplete(path: Path, size: int) -> str:
    """Return why a file is not complete by its content; empty for a complete one, and one of no known format."""
    if size == 0:
        return "is empty"
    try:
        layout = read_layout(path)
    except (OSError, ValueError):  # removed or emptied meanwhile
        return "cannot be read"
    if layout.cut:
        return "ends before its sound does"
    return "has a header without the length of its sound" if NO_LENGTH in layout.notes else ""
