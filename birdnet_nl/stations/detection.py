"""Detection of a station, and the states that it passes through here."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class State(StrEnum):
    """State of a detection; every detection is in exactly one.

    NEW and WAITING are temporary. All others are final, until the station changes the detection or the user asks for
    another prediction.
    """

    NEW = "new"
    WAITING = "waiting for audio"  # tried again, with back-off
    DONE = "done"
    UNCERTAIN = "uncertain"  # predicted, below the threshold of the model
    NO_MODEL = "no model"
    AUDIO_GONE = "audio gone"
    FAILED = "failed"  # with a reason

    @property
    def is_final(self) -> bool:
        return self not in (State.NEW, State.WAITING)


@dataclass(frozen=True)
class StationDetection:
    """One detection as a station reports it.

    Attributes:
        key: identifies the detection within its station for good (never a row number).
        recorded_at: local time of the detection at the station, without a time zone.
        scientific_name, common_name: as the station writes them; either may be empty.
        confidence: of the recogniser, 0 to 1.
        clip: how the station finds the audio: a path relative to the clip folder, or an id.
        source: microphone or stream, empty where the station has one.
        window_s: start and end of the detection in its clip in seconds, None where it is not known before the clip is
            read.
        reason: why it can never be classified (a row of the station without a file name), else empty; such a detection
            is stored with the state `failed`, and its clip is not asked for.
    """

    key: str
    recorded_at: datetime
    scientific_name: str
    common_name: str
    confidence: float
    clip: str
    source: str = ""
    window_s: tuple[float, float] | None = None
    reason: str = ""
