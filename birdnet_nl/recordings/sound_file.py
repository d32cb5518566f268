"""Duration, sample rate and completeness of a sound file, from its headers and mp3 frames; nothing is decoded.

Mp3 frames are counted here because mutagen trusts the header of the first frame and does not notice a truncated file.
"""

from dataclasses import dataclass
from pathlib import Path

SOUND_SUFFIXES = frozenset({
    ".mp3", ".mp2", ".mpga", ".wav", ".wave", ".bwf", ".rf64", ".w64", ".aif", ".aiff", ".aifc", ".au", ".snd", ".caf",
    ".flac", ".ogg", ".oga", ".opus",
    ".m4a", ".m4b", ".aac", ".mp4", ".m4v", ".mov", ".3gp", ".3g2", ".amr", ".awb", ".wma", ".asf", ".wmv",
    ".webm", ".weba", ".mka", ".mkv", ".avi", ".wv", ".ape", ".tta", ".ac3",
})  # fmt: skip
"""Suffixes in lower case of files that are taken for sound; their content decides how they are decoded."""

_BITRATES_KBPS = {  # [version 1 or 2][index] for layer 3
    1: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_SAMPLE_RATES_HZ = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}  # MPEG 1, 2, 2.5


@dataclass(frozen=True)
class SoundFacts:
    """Facts from a file's headers.

    Attributes:
        duration_s: for mp3 the sum over its frames.
        cut: for mp3, whether the last frame is incomplete or there are fewer frames than the header states.
    """

    duration_s: float
    sample_rate_hz: int
    cut: bool = False


def read_sound_facts(path: Path, suffix: str = "") -> SoundFacts | None:
    """Read duration and sample rate; None if the file is not a sound file of its suffix (or of `suffix`, if given)."""
    if (suffix or path.suffix).lower() == ".mp3":
        return _mp3_facts(path.read_bytes())
    import mutagen  # not needed for mp3, the usual case

    try:
        file = mutagen.File(path)
    except mutagen.MutagenError:
        return None
    return SoundFacts(file.info.length, file.info.sample_rate) if file is not None else None


def find_defect(path: Path, expected_s: float = 0.0, suffix: str = "") -> str:
    """Return why the file cannot be a complete recording of `expected_s` seconds (0: unknown); empty if it can be.

    A tenth plus one second may be missing, since Xeno-canto rounds lengths to seconds and a few are wrong by more.
    `suffix` is the final suffix of a file with a temporary name.
    """
    with path.open("rb") as file:
        start = file.read(512).lstrip().lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"{")):
        return "received a web page instead of a sound file"
    facts = read_sound_facts(path, suffix)
    if facts is None or facts.duration_s <= 0:
        return "not a sound file"
    if facts.cut or facts.duration_s < 0.9 * expected_s - 1:
        return f"the sound is cut off after {facts.duration_s:.1f} s"
    return ""


def _mp3_facts(data: bytes) -> SoundFacts | None:
    """Count the frames; bytes between frames are skipped, and the first frame needs a second one right after it."""
    position = _end_of_id3(data)
    samples, sample_rate_hz, frames, stated_frames = 0, 0, 0, 0
    end_of_last, cut = -1, False
    while position + 4 <= len(data):
        frame = _frame_at(data, position)
        if frame is None or (frames == 0 and _frame_at(data, position + frame[0]) is None):
            position = data.find(b"\xff", position + 1)
            if position < 0:
                break
            continue
        size, frame_samples, sample_rate_hz = frame
        if position + size > len(data):
            cut = position == end_of_last  # elsewhere these are bytes of a tag that look like a frame
            break
        if frames == 0:
            stated_frames = _stated_frames(data[position : position + size])
        samples, frames, position = samples + frame_samples, frames + 1, position + size
        end_of_last = position
    return SoundFacts(samples / sample_rate_hz, sample_rate_hz, cut or stated_frames > frames) if frames else None


def _stated_frames(first: bytes) -> int:
    """Read the number of frames from the Xing or Info header in the first frame; 0 without a header."""
    start = max(first.find(b"Xing", 0, 64), first.find(b"Info", 0, 64))
    has_count = start > 0 and first[start + 7] & 1
    return int.from_bytes(first[start + 8 : start + 12], "big") if has_count else 0


def _end_of_id3(data: bytes) -> int:
    """Return the position after an ID3v2 tag, whose header stores the size with seven bits in each byte."""
    if data[:3] != b"ID3" or len(data) < 10:
        return 0
    size = sum(byte << shift for byte, shift in zip(data[6:10], (21, 14, 7, 0), strict=True))
    return size + 10


def _frame_at(data: bytes, position: int) -> tuple[int, int, int] | None:
    """Parse a layer 3 frame header to (bytes, samples, sample rate in Hz); None if there is none at `position`."""
    header = data[position : position + 4]
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE6 != 0xE2:
        return None
    version = header[1] >> 3 & 3
    bitrate_index, rate_index, padding = header[2] >> 4, header[2] >> 2 & 3, header[2] >> 1 & 1
    if version == 1 or bitrate_index in (0, 15) or rate_index == 3:
        return None
    sample_rate_hz = _SAMPLE_RATES_HZ[version][rate_index]
    samples = 1152 if version == 3 else 576
    bitrate_bps = 1000 * _BITRATES_KBPS[1 if version == 3 else 2][bitrate_index]
    return samples // 8 * bitrate_bps // sample_rate_hz + padding, samples, sample_rate_hz
