"""Any folder that receives sound files as a station: of a recorder, of another program, or a network share."""

import json
import logging
import os
import select
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from birdnet_nl.species.table import Species
from birdnet_nl.stations.clip_ready import ClipReady
from birdnet_nl.stations.detection import StationDetection
from birdnet_nl.stations.files_changed import Wake, explain, remote_file_system
from birdnet_nl.stations.folder_days import FolderComparison
from birdnet_nl.stations.folder_files import detection_of, time_of
from birdnet_nl.stations.folder_scan import FolderScan
from birdnet_nl.stations.folder_watch import OPEN_QUIET_S, FolderWatch
from birdnet_nl.stations.station import AudioGoneError, Changes, Known, StationUnavailableError
from birdnet_nl.util.errors import DataError
from birdnet_nl.util.files import did_you_mean, user_path

log = logging.getLogger("birdnet_nl")
DAILY_S = 86_400.0  # between two listings of the whole folder where changes are reported
SLOW_S = 60.0  # between two listings where they are not …
SLOW_SHARE = 20.0  # … or more: listing takes at most a twentieth of the time
WINDOW_S = 15.0  # of a longer file, around its middle


class FolderStation:
    """Sound files in a folder and the folders below it, each file a detection.

    The folder is listed when the station starts. After that the kernel reports changes (inotify); it is listed again
    once a day, and when reports were lost. On a network share, or where the limit of watches is reached, it is listed
    every minute or less often. Links to folders are not followed.

    Args:
        species: of all files; by default each folder or file name gives it, see `species_of_file`.

    Raises:
        DataError: if the folder does not exist.
    """

    def __init__(self, folder: str | Path, species: Species | None = None, name: str = "folder") -> None:
        folder = user_path(folder)
        if not folder.is_dir():
            raise DataError(f"there is no folder {folder}{did_you_mean(folder)}; give one that receives sound files")
        self.name, self.folder, self.species = name, folder.resolve(), species
        self._ready = ClipReady()
        self._wake = Wake()
        self._watch: FolderWatch | None = None
        self._is_slow = False
        self._comparison: FolderComparison | None = None
        self._next_scan = 0.0
        self._process = uuid4().hex[:8]
        self._answers = 0
        self._unconfirmed: Changes | None = None
        self._position = self._token = ""  # of the last question and of the last answer

    @property
    def settings(self) -> Mapping[str, str]:
        """Settings that the page needs to find the files."""
        return {"kind": "folder", "clips": str(self.folder)}

    def changes(self, position: str, known: Known) -> Changes:
        """See `Station.changes`; an answer whose position does not come back was not stored, and is given again."""
        if self._answers and position not in (self._position, self._token):  # our database was replaced
            self._forget()
        self._position = position
        if self._unconfirmed is not None and position != self._unconfirmed.position:
            return self._unconfirmed
        self._unconfirmed = None
        self._prepare(known)
        changes = self._reported()
        if changes is None and self._comparison is not None:
            changes = self._comparison.run(known)
            if self._comparison.is_done:
                self._end_scan()
        if changes is None:
            return Changes(position=position, more=self._comparison is not None)
        self._answers += 1
        self._token = json.dumps([self._process, self._answers])
        self._unconfirmed = replace(changes, position=self._token, more=self._comparison is not None)
        return self._unconfirmed

    def wait(self, timeout_s: float) -> bool:
        """See `Station.wait`."""
        end = time.monotonic() + timeout_s
        while True:
            now = time.monotonic()
            due_s = self._watch.due_s() if self._watch else None
            if due_s == 0 or now >= self._next_scan or self._comparison is not None:
                return True
            pause_s = min(end - now, self._next_scan - now, *([] if due_s is None else [due_s]))
            readers = [self._wake, *([self._watch] if self._watch else [])]
            ready = select.select(readers, [], [], max(0.0, pause_s))[0]
            if self._watch in ready:
                self._read_events()
            is_woken = self._wake in ready and self._wake.clear()
            if is_woken or time.monotonic() >= end:
                return bool(self._watch and self._watch.due_s() == 0)

    def wake(self) -> None:
        self._wake.set()

    @contextmanager
    def clip(self, detection: StationDetection) -> Iterator[Path]:
        """See `Station.clip`; a path that leads out of the folder, also through a link, counts as missing."""
        path = self.folder / detection.clip
        try:
            is_below = path.resolve().is_relative_to(self.folder)
        except (OSError, ValueError, RuntimeError):
            is_below = False
        if not detection.clip or not is_below:
            raise AudioGoneError(f"{detection.clip!r} is no file below {self.folder}")
        if not self.folder.is_dir():
            raise self._missing()
        self._ready.check(path)
        yield path

    def window_s(self, detection: StationDetection, duration_s: float) -> tuple[float, float]:
        """Return the whole file, or 15 s around its middle."""
        start_s = max(0.0, (duration_s - WINDOW_S) / 2)
        return start_s, min(duration_s, start_s + WINDOW_S)

    def report(self, detection: StationDetection, text: str) -> None:
        """Do nothing: files have no comments."""

    def close(self) -> None:
        self._unwatch()
        if self._comparison is not None:
            self._comparison.close()
            self._comparison = None
        self._wake.close()

    def _prepare(self, known: Known) -> None:
        """List the folder where that is due."""
        if not self.folder.is_dir():
            self._unwatch()
            raise self._missing()
        if self._watch:
            self._read_events()
        is_due = self._watch is None and not self._is_slow
        is_due = is_due or (self._watch is not None and self._watch.needs_scan) or time.monotonic() >= self._next_scan
        if is_due and self._comparison is None:
            self._started = time.monotonic()
            was_watched = self._watch is not None
            scan = self._scan()
            if not was_watched and scan.count == 0 and known.days() and not any(self.folder.iterdir()):
                scan.close()
                self._unwatch()
                raise StationUnavailableError(f"{self.folder} is empty; check that its disk is mounted")
            self._comparison = FolderComparison(scan, known, self._detection, self.folder)
            self._next_scan = float("inf")

    def _forget(self) -> None:
        """List the folder again, for a database that does not hold what was answered."""
        if self._comparison is not None:
            self._comparison.close()
        self._comparison = self._unconfirmed = None
        self._next_scan = 0.0

    def _end_scan(self) -> None:
        assert self._comparison is not None
        self._comparison.close()
        self._comparison = None
        took_s = time.monotonic() - self._started
        pause_s = max(SLOW_S, SLOW_SHARE * took_s) if self._is_slow else DAILY_S
        self._next_scan = time.monotonic() + pause_s

    def _scan(self) -> FolderScan:
        """Watch and list all folders; without watching where that is impossible."""
        try:
            if not self._is_slow and (system := remote_file_system(self.folder)):
                self._slow_down(f"it is on a network share ({system})")
            if not self._is_slow:
                try:
                    self._watch = self._watch or FolderWatch(self.folder)
                    self._watch.needs_scan = False
                    return FolderScan(self.folder, self._settled_time, self._watch.enter)
                except OSError as error:
                    if not self.folder.is_dir():
                        raise
                    self._slow_down(explain(error))
            return FolderScan(self.folder, self._settled_time, lambda folder: None)
        except OSError as error:
            self._unwatch()
            raise StationUnavailableError(f"{self.folder} cannot be read ({error.strerror})") from None

    def _slow_down(self, reason: str) -> None:
        self._unwatch()
        self._is_slow = True
        log.info("%s is listed every %.0f s or less often, because %s", self.folder, SLOW_S, reason)

    def _settled_time(self, entry: os.DirEntry[str]) -> str | None:
        """Return the time of a file; None for one that may still be written, which is looked at again."""
        status = entry.stat()
        if status.st_size == 0 or -1 < time.time() - max(status.st_mtime, status.st_ctime) < OPEN_QUIET_S:
            if self._watch:
                self._watch.add(entry.path)
            return None
        return time_of(Path(entry.path), status).isoformat()

    def _read_events(self) -> None:
        assert self._watch is not None
        try:
            self._watch.read()
        except OSError as error:
            self._slow_down(explain(error))
            self._next_scan = 0.0
            return
        if self._watch.is_lost:
            self._unwatch()
            self._next_scan = 0.0

    def _reported(self) -> Changes | None:
        """Return the changes that the kernel reported; None without any."""
        if self._watch is None or self._watch.due_s() != 0:
            return None
        files = self._watch.take()
        found = [detection for path in files.written if (detection := self._detection(path)) is not None]
        found.sort(key=lambda detection: detection.recorded_at, reverse=True)
        renamed = {self._key(old): self._key(new) for old, new in files.renamed.items()}
        gone = [self._key(path) for path in files.removed]
        return Changes(found, renamed, gone) if found or renamed or gone else None

    def _detection(self, path: str) -> StationDetection | None:
        return detection_of(Path(path), self.folder, self.species)

    def _key(self, path: str) -> str:
        return os.path.relpath(path, self.folder)

    def _unwatch(self) -> None:
        if self._watch:
            self._watch.close()
            self._watch = None

    def _missing(self) -> StationUnavailableError:
        return StationUnavailableError(f"{self.folder} does not exist now; check that its disk is mounted")
