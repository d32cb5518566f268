"""Interface of the stations whose detections are classified."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from birdnet_nl.stations.detection import StationDetection
from birdnet_nl.util.errors import BirdnetNlError


class StationUnavailableError(BirdnetNlError):
    """The station cannot be read now (locked, restarting, moved, not found); it is tried again.

    Attributes:
        retry_after_s: when to try again, None for the usual back-off.
    """

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class AudioNotReadyError(BirdnetNlError):
    """The clip of a detection is not written yet, or cannot be fetched now; it is tried again."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class AudioGoneError(BirdnetNlError):
    """The station deleted the clip of a detection, or never made one."""


@dataclass(frozen=True)
class Changes:
    """What a station reports since it was last asked.

    Attributes:
        detections: new ones and those whose content changed, in any order.
        renamed: old key -> new key of detections that were renamed or identified again; the new one is in `detections`.
        gone: keys of detections that the station deleted.
        position: where to continue, stored with the changes in one transaction; a text that only the station reads.
        more: whether the station has further changes that can be read at once (a backlog, read in parts).
        reviewed: key -> what a person said of a detection at the station: correct, false_positive, or empty where that
            was taken back.
    """

    detections: list[StationDetection] = field(default_factory=list)
    renamed: dict[str, str] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)
    position: str = ""
    more: bool = False
    reviewed: dict[str, str] = field(default_factory=dict)


class Known(Protocol):
    """Detections of one station that are stored already, for the comparison with what it has now."""

    def between(self, start: datetime, end: datetime) -> Mapping[str, StationDetection]:
        """Return those with `start <= recorded_at < end`, by key, without deleted ones."""
        ...

    def days(self) -> Mapping[str, int]:
        """Return the number of detections per day (`2026-11-30`), without deleted ones, the latest day first."""
        ...


class Station(Protocol):
    """A station that is read and never modified.

    Attributes:
        name: stored with each detection, e.g. `birdnet-pi`; two stations in one database have different names.
    """

    name: str

    def changes(self, position: str, known: Known) -> Changes:
        """Return what changed since `position` (empty at first), the newest detections first.

        Raises:
            StationUnavailableError: if it cannot be read now.
        """
        ...

    def wait(self, timeout_s: float) -> bool:
        """Block until the station may have changed (True), or the time is over (False); without busy polling."""
        ...

    def wake(self) -> None:
        """End `wait` from another thread or a signal handler."""
        ...

    def clip(self, detection: StationDetection) -> AbstractContextManager[Path]:
        """Return the sound file of a detection, which may be deleted when the context ends.

        Raises:
            AudioNotReadyError, AudioGoneError: see there.
            StationUnavailableError: if the station cannot be reached; the detection is not to blame.
        """
        ...

    def window_s(self, detection: StationDetection, duration_s: float) -> tuple[float, float]:
        """Return start and end of the detection in a clip of known duration, in seconds."""
        ...

    def report(self, detection: StationDetection, text: str) -> None:
        """Write a prediction to the station where the user asked for it (BirdNET-Go's comments); else do nothing.

        Raises:
            StationUnavailableError: if it cannot be written now.
        """
        ...

    def close(self) -> None: ...
