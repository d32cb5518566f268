"""Layout of a sound file: its format by content, and the parts of it that hold sound."""

from dataclasses import dataclass

from birdnet_nl.audio.decode_mp3 import Mp3Frames

Part = list[bytes | tuple[int, int]]  # new bytes, and places in the file
NO_LENGTH = "its header states no length, so it was read to its end"
MORE_SOUND = "its header states less sound than it holds, so it was read to its end"


@dataclass(frozen=True)
class Layout:
    """Format of a file by its content, and the way to read all of it.

    Attributes:
        format: `mp3`, `wav`, `flac`, `ogg` …, or the name of one that only PyAV reads; empty when it is not recognised.
        parts: streams to decode one after the other; empty for the file as it is.
        notes: faults found, for the user.
        cut: the file ends before its sound does.
        mp3: the frames of an mp3.
    """

    format: str = ""
    parts: tuple[Part, ...] = ()
    notes: tuple[str, ...] = ()
    cut: bool = False
    mp3: Mp3Frames | None = None
    needs_av: bool = False


def left_out(duration_s: float) -> str:
    return f"{duration_s:.1f} s of another sample rate or number of channels are left out"


def missing(duration_s: float) -> str:
    text = f"{duration_s:.1f}" if duration_s >= 0.05 else "less than 0.1"
    return f"{text} s of the sound that its header states are missing"
