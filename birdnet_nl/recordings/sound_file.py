"""Sound files among other files, and the measurements of one: duration, sample rate, completeness.

A file is read to its end, because headers are not reliable; a minute of sound takes about 0.02 s.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from birdnet_nl.util.errors import DataError

if TYPE_CHECKING:
    from birdnet_nl.audio.decode_mono import Measured

SOUND_SUFFIXES = frozenset({
    ".mp3", ".mp2", ".mpga", ".wav", ".wave", ".bwf", ".rf64", ".w64", ".aif", ".aiff", ".aifc", ".au", ".snd", ".caf",
    ".flac", ".ogg", ".oga", ".opus",
    ".m4a", ".m4b", ".aac", ".mp4", ".m4v", ".mov", ".3gp", ".3g2", ".amr", ".awb", ".wma", ".asf", ".wmv",
    ".webm", ".weba", ".mka", ".mkv", ".avi", ".wv", ".ape", ".tta", ".ac3",
})  # fmt: skip
"""Suffixes in lower case of files that are taken for sound; their content decides how they are decoded."""


def read_sound_facts(path: Path) -> "Measured":
    """Measure a file as training would read it, whatever its name; `reason` says why it cannot be used.

    The duration is 0 where nothing can be decoded.
    """
    from birdnet_nl.audio.decode_mono import measure

    return measure(path)


def has_sound(path: Path) -> bool:
    """Return whether the start of the file can be decoded."""
    from birdnet_nl.audio.decode_blocks import decode_blocks

    try:
        return next(iter(decode_blocks(path)), None) is not None
    except (DataError, OSError):
        return False


def find_defect(path: Path, expected_s: float = 0.0) -> str:
    """Return why the file cannot be a complete recording of `expected_s` seconds (0: unknown); empty if it can be.

    A tenth plus one second may be missing, since Xeno-canto rounds lengths to seconds and a few are wrong by more.
    """
    with path.open("rb") as file:
        start = file.read(512).lstrip().lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"{")):
        return "received a web page instead of a sound file"
    facts = read_sound_facts(path)
    if facts.duration_s <= 0:
        return f"not a sound file that can be used: {facts.reason}"
    if facts.cut or facts.duration_s < 0.9 * expected_s - 1:
        return f"the sound is cut off after {facts.duration_s:.1f} s"
    return ""
