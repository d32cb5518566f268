"""Clips of BirdNET-Pi: found by their names, also where the folder has the name of the species in another language."""

import os
import re
import time
import unicodedata
from collections import OrderedDict
from datetime import datetime, timedelta
from pathlib import Path

from birdnet_nl.stations.clip_ready import ClipReady
from birdnet_nl.stations.detection import StationDetection
from birdnet_nl.stations.station import AudioGoneError, AudioNotReadyError, StationUnavailableError
from birdnet_nl.util.printed_commands import short_path

YOUNG = timedelta(minutes=10)  # a detection whose clip may still come
MAX_DAYS = 8  # whose folders are remembered
MAX_MISSING = 10_000  # clips that are remembered as missing
DAY = re.compile(r"\d{4}-\d\d-\d\d")  # name of the folder of a day
CLIP_S, DETECTION_S = 6.0, 3.0


class BirdnetPiClips:
    """Clips below the folder `By_Date`.

    Args:
        folder: with one folder for each day, and in it one for each species.
        clip_s: length of a clip by BirdNET-Pi's settings (EXTRACTION_LENGTH).
    """

    def __init__(self, folder: Path, clip_s: float = CLIP_S) -> None:
        self.folder, self.clip_s = folder, clip_s
        self._ready = ClipReady()
        self._missing: OrderedDict[str, float] = OrderedDict()  # key -> when it was asked for first
        self._days: OrderedDict[str, tuple[int, list[str]]] = OrderedDict()

    def path(self, detection: StationDetection) -> Path:
        """Return the complete clip of a detection.

        Raises:
            AudioNotReadyError, AudioGoneError, StationUnavailableError: as `Station.clip`.
        """
        if not detection.clip:
            raise AudioGoneError(detection.reason or "the detection has no clip")
        path = self.find(detection.clip)
        if path is None:
            self._check_folder()
            if datetime.now() - detection.recorded_at < YOUNG and self._waited(detection.key) < YOUNG:
                raise AudioNotReadyError(f"{short_path(self.folder / detection.clip)} is not written yet")
            raise AudioGoneError(
                f"{short_path(self.folder / detection.clip)} does not exist; BirdNET-Pi deletes old clips"
            )
        self._ready.check(path)
        return path

    def _waited(self, key: str) -> timedelta:
        """Return for how long a missing clip was asked for: the station's clock may be ahead of ours."""
        first = self._missing.setdefault(key, time.monotonic())
        if len(self._missing) > MAX_MISSING:
            self._missing.popitem(last=False)
        return timedelta(seconds=time.monotonic() - first)

    def find(self, clip: str) -> Path | None:
        """Return the file of a detection's clip: at its place, or in another folder of its day; None without one.

        A path that leads out of the folder, also through a link, counts as missing.
        """
        day, _, rest = clip.partition("/")
        name = rest.rpartition("/")[2]
        if "\0" in clip or ".." in clip.split("/") or clip.startswith("/") or not name:
            return None
        for path in (self.folder / clip, self.folder / day / name):
            if self._is_clip(path):
                return path
        for folder in self._folders_of(day):
            if self._is_clip(path := self.folder / day / folder / name):
                return path
        return None if name.isascii() else self._find_spelling(day, name)

    def _find_spelling(self, day: str, name: str) -> Path | None:
        """Return the file whose name has the same letters in another spelling (NFC and NFD), e.g. after a copy."""
        wanted = unicodedata.normalize("NFC", name)
        for folder in self._folders_of(day):
            try:
                names = os.listdir(self.folder / day / folder)  # noqa: PTH208  names are all that is needed
            except OSError:
                continue
            for other in names:
                if unicodedata.normalize("NFC", other) == wanted and self._is_clip(
                    path := self.folder / day / folder / other
                ):
                    return path
        return None

    def _folders_of(self, day: str) -> list[str]:
        """Return the names of the folders of a day, listed again when one was added or removed."""
        folder = self.folder / day
        try:
            modified_ns = folder.stat().st_mtime_ns
            known = self._days.get(day)
            is_settled = time.time_ns() - modified_ns > 2_000_000_000  # else another folder may follow in the same tick
            if known is None or known[0] != modified_ns or not is_settled:
                with os.scandir(folder) as entries:
                    names = sorted(entry.name for entry in entries if entry.is_dir())
                self._days[day] = known = (modified_ns, names)
            self._days.move_to_end(day)
        except OSError:
            return []
        if len(self._days) > MAX_DAYS:
            self._days.popitem(last=False)
        return known[1]

    def _is_clip(self, path: Path) -> bool:
        try:
            return path.is_file() and path.resolve().is_relative_to(self.folder.resolve())
        except (OSError, ValueError, RuntimeError):  # a name that is too long, a circle of links
            return False

    def _check_folder(self) -> None:
        """Raise `StationUnavailableError` when the folder is missing, as when a disk is not mounted, or another one."""
        try:
            with os.scandir(self.folder) as entries:
                others = 0
                for entry in entries:
                    if DAY.fullmatch(entry.name):
                        return
                    others += not entry.name.startswith(".")
            if not others:  # every clip was deleted
                return
            problem = "holds no folders of days"
        except OSError as error:
            problem = f"cannot be read ({error.strerror})"
        raise StationUnavailableError(
            f"the folder of clips {short_path(self.folder)} {problem}; check that its disk is mounted, or give another "
            "with --clips"
        )


def detection_window_s(duration_s: float, clip_s: float = CLIP_S) -> tuple[float, float]:
    """Return the part of a clip that holds the detection: 3 s in the middle of a clip of the usual length.

    At an end of its recording BirdNET-Pi cuts a shorter clip, with the detection nearer to the start or to the end:
    both places are in the part that is returned (0 to 4.5 s of a clip of 4.5 s). A clip that is longer than usual, from
    before a change of the settings, counts as usual.
    """
    if duration_s <= DETECTION_S:
        return 0.0, max(0.0, duration_s)
    margin_s = (clip_s - DETECTION_S) / 2
    if duration_s >= clip_s - 0.25 or margin_s <= 0:
        start_s = (duration_s - DETECTION_S) / 2
        return start_s, start_s + DETECTION_S
    from_start_s = max(0.0, min(margin_s, duration_s - DETECTION_S))  # cut at the end of the recording
    from_end_s = max(0.0, duration_s - margin_s - DETECTION_S)  # cut at its start
    return min(from_start_s, from_end_s), max(from_start_s, from_end_s) + DETECTION_S
