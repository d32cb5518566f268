"""Access to the clips of a stored station without watching it, from the settings that `watch` stored; for exports."""

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

from birdnet_nl.stations.birdnet_pi_clips import BirdnetPiClips, detection_window_s
from birdnet_nl.stations.clip_ready import ClipReady
from birdnet_nl.stations.detection import StationDetection
from birdnet_nl.stations.station import AudioGoneError, StationUnavailableError

WINDOW_S = 15.0  # of a long file in a folder, around its middle, where it was never predicted


class ClipAccess(Protocol):
    """The part of `Station` that finds the clip of a detection, and the detection in it."""

    def clip(self, detection: StationDetection) -> AbstractContextManager[Path]: ...

    def window_s(self, detection: StationDetection, duration_s: float) -> tuple[float, float]: ...


class BirdnetPiAccess:
    """Clips of a BirdNET-Pi below its folder `By_Date`."""

    def __init__(self, folder: Path) -> None:
        self._clips = BirdnetPiClips(folder)

    @contextmanager
    def clip(self, detection: StationDetection) -> Iterator[Path]:
        """See `Station.clip`."""
        yield self._clips.path(detection)

    def window_s(self, detection: StationDetection, duration_s: float) -> tuple[float, float]:
        """See `Station.window_s`."""
        return detection_window_s(duration_s)


class FolderAccess:
    """Sound files below a folder; a path that leads out of it, also through a link, counts as missing."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._ready = folder, ClipReady()

    @contextmanager
    def clip(self, detection: StationDetection) -> Iterator[Path]:
        """See `Station.clip`."""
        if not self.folder.is_dir():
            raise StationUnavailableError(f"the folder {self.folder} is missing; check that its disk is mounted")
        path = self.folder / detection.clip
        try:
            is_ours = bool(detection.clip) and path.resolve().is_relative_to(self.folder.resolve()) and path.is_file()
        except (OSError, ValueError, RuntimeError):  # a name that is too long, a null byte, a circle of links
            is_ours = False
        if not is_ours:
            raise AudioGoneError(f"{detection.clip} does not exist in {self.folder}")
        self._ready.check(path)
        yield path

    def window_s(self, detection: StationDetection, duration_s: float) -> tuple[float, float]:
        """See `Station.window_s`."""
        start_s = max(0.0, (duration_s - WINDOW_S) / 2)
        return start_s, min(duration_s, start_s + WINDOW_S)


def open_clips(connection: sqlite3.Connection, station: str, clips: Path | None = None) -> ClipAccess:
    """Return the access to the clips of a station.

    Args:
        clips: folder in place of the stored one, e.g. a copy on another computer.

    Raises:
        StationUnavailableError: if nothing is stored about its clips.
    """
    settings = stored_settings(connection, station)
    kind, folder = settings.get("kind", ""), clips or settings.get("clips")
    if kind == "birdnet-go" and clips is None and settings.get("url"):
        from birdnet_nl.stations.birdnet_go import BirdnetGo
        from birdnet_nl.stations.birdnet_go_login import PASSWORD_VARIABLE, Login

        login = Login(password=os.environ.get(PASSWORD_VARIABLE, ""))
        return BirdnetGo(settings["url"], station, login, pre_capture_s=settings.get("pre_capture_s", 3.0))
    if not folder:
        raise StationUnavailableError(f"it is not stored where {station} has its clips; give their folder with --clips")
    return BirdnetPiAccess(Path(folder)) if kind == "birdnet-pi" else FolderAccess(Path(folder))


def station_with_folder(connection: sqlite3.Connection, path: Path) -> str:
    """Return the name of the station in whose clip folder a path would be; empty where it is in none."""
    for (name,) in connection.execute("SELECT name FROM stations").fetchall():
        folder = stored_settings(connection, name).get("clips")
        if folder and path.resolve().is_relative_to(Path(folder).resolve()):
            return name
    return ""


def stored_settings(connection: sqlite3.Connection, station: str) -> Mapping[str, Any]:
    row = connection.execute("SELECT settings FROM stations WHERE name = ?", (station,)).fetchone()
    try:
        settings = json.loads(row[0]) if row else {}
    except ValueError:
        settings = {}
    return settings if isinstance(settings, dict) else {}
