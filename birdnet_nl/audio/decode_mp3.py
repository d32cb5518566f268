"""Frames of an mp3 file: their number, format and places, and a view of the file with a header that states them all.

libsndfile reads as many frames as the header of an mp3 states, or estimates their number from the bit rate of the first
one. Files of variable bit rate without a Xing header, and files that were joined, are then read in part only.
"""

import mmap
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

_BITRATES_KBPS = {  # [version 1 or 2][index] for layer 3
    1: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_SAMPLE_RATES_HZ = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}  # MPEG 1, 2, 2.5
MIN_FRAMES = 3  # in a row; fewer are bytes of a tag or of another format that look like frames
ENCODER_PADDING = 8200  # samples at both ends that an encoder may declare as padding, which the decoder removes

_HEADER = re.compile(rb"\xff[\xe2\xe3\xf2\xf3\xfa\xfb]")

Bytes = bytes | mmap.mmap


@dataclass(frozen=True)
class Mp3Run:
    """Frames of one format without a gap: bytes `start` to `end` of the file."""

    start: int
    end: int
    frames: int
    sample_rate_hz: int
    channels: int


@dataclass(frozen=True)
class Mp3Frames:
    """All frames of an mp3 file.

    Attributes:
        runs: runs of the format of most frames.
        left_out_s: duration of the frames of other formats.
        cut: the last frame is incomplete, or there are fewer frames than the header states, without a gap.
        missing_s: duration of the frames that the header states and that are missing in gaps.
        stated_frames: number of frames in the Xing or Info header, 0 without one.
    """

    runs: list[Mp3Run] = field(default_factory=list)
    left_out_s: float = 0.0
    cut: bool = False
    missing_s: float = 0.0
    stated_frames: int = 0

    @property
    def samples(self) -> int:
        frames = sum(run.frames for run in self.runs) - (self.stated_frames > 0)  # the header is a frame without sound
        return frames * samples_per_frame(self.sample_rate_hz)

    @property
    def sample_rate_hz(self) -> int:
        return self.runs[0].sample_rate_hz

    @property
    def in_one_piece(self) -> bool:
        return len(self.runs) == 1 and not self.left_out_s


def release(data: Bytes, end: int) -> None:
    """Let the system take back the memory of a mapped file up to `end`, which is read from disk again if needed."""
    if isinstance(data, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED") and end >= mmap.PAGESIZE:
        data.madvise(mmap.MADV_DONTNEED, 0, end // mmap.PAGESIZE * mmap.PAGESIZE)


def samples_per_frame(sample_rate_hz: int) -> int:
    return 1152 if sample_rate_hz >= 32000 else 576


def find_frames(data: Bytes) -> Mp3Frames:
    """Find all layer 3 frames; bytes between them, such as tags and garbage, are skipped."""
    runs = list(_runs(data, end_of_id3(data)))
    if not runs:
        return Mp3Frames()
    duration_s: Counter[tuple[int, int]] = Counter()
    for run in runs:
        format = (run.sample_rate_hz, run.channels)
        duration_s[format] += run.frames * samples_per_frame(run.sample_rate_hz) / run.sample_rate_hz
    (main, _), *others = duration_s.most_common()
    end = runs[-1].end
    next_frame = _frame_at(data, end)
    stated_frames = _stated_frames(data[runs[0].start : runs[0].start + 200])
    fewer = max(0, stated_frames - sum(run.frames for run in runs))
    return Mp3Frames(
        [run for run in runs if (run.sample_rate_hz, run.channels) == main],
        sum(seconds for _, seconds in others),
        (next_frame is not None and end + next_frame[0] > len(data)) or (fewer > 0 and len(runs) == 1),
        fewer * samples_per_frame(main[0]) / main[0] if len(runs) > 1 else 0.0,
        stated_frames,
    )


def _runs(data: Bytes, position: int) -> Iterator[Mp3Run]:
    """Walk from frame to frame; a run ends where the format changes, or where no frame follows."""
    length = len(data)
    while position >= 0 and position + 4 <= length:
        start, frames, key = position, 0, None
        while position + 4 <= length and data[position] == 0xFF:
            second, third = data[position + 1], data[position + 2]
            frame = _SIZES[second << 8 | third]
            format = (second & 0x1E, third & 0x0C, data[position + 3] >= 0xC0)
            if not frame or position + frame > length or key not in (None, format):
                break
            position, frames, key = position + frame, frames + 1, format
            if not frames & 0x3FFF:
                release(data, position)
        if frames >= MIN_FRAMES or (frames and position == length):
            _, _, sample_rate_hz = _frame_at(data, start)
            yield Mp3Run(start, position, frames, sample_rate_hz, 1 if data[start + 3] >= 0xC0 else 2)
        else:
            position = _next_header(data, start + 1)
            continue
        if position < length and data[position] != 0xFF:
            position = _next_header(data, position + 1)


def _next_header(data: Bytes, position: int) -> int:
    """Return the place of the next two bytes that may begin a frame; -1 without one."""
    found = _HEADER.search(data, position)
    return found.start() if found else -1


def end_of_id3(data: Bytes) -> int:
    """Return the position after all ID3v2 tags, whose headers store the size with seven bits in each byte."""
    end = 0
    while data[end : end + 3] == b"ID3" and len(data) >= end + 10:
        size = sum(byte << shift for byte, shift in zip(data[end + 6 : end + 10], (21, 14, 7, 0), strict=True))
        end += size + 10
    return end if end <= len(data) else 0


def whole_view(data: Bytes, found: Mp3Frames) -> list[bytes | tuple[int, int]]:
    """Return the parts of a file that holds all frames of the main format: a new header, and places in the old file.

    The header is a frame without sound that states the number of frames.
    """
    first = found.runs[0]
    size, _, _ = _frame_at(data, first.start)
    head = bytearray(data[first.start : first.start + 4])
    head[1] |= 1  # no checksum
    if size < 200:  # the frame must have room for the header: take the largest bit rate
        head[2] = head[2] & 0x0F | 0xE0
        size, _, _ = _frame_at(bytes(head), 0)
    mpeg1 = head[1] & 0x08
    side_bytes = (17 if mpeg1 else 9) if first.channels == 1 else (32 if mpeg1 else 17)
    frames = sum(run.frames for run in found.runs) - (1 if found.stated_frames else 0)
    tag = b"Xing" + (1).to_bytes(4, "big") + frames.to_bytes(4, "big")
    header = bytes(head) + bytes(side_bytes) + tag
    skip = _frame_at(data, first.start)[0] if found.stated_frames else 0  # the old header
    runs = [(run.start + (skip if run is first else 0), run.end) for run in found.runs]
    return [header + bytes(size - len(header)), *((start, end) for start, end in runs if end > start)]


def _stated_frames(first: bytes) -> int:
    """Read the number of frames from the Xing or Info header in the first frame; 0 without a header."""
    start = max(first.find(b"Xing", 0, 64), first.find(b"Info", 0, 64))
    has_count = start > 0 and len(first) >= start + 12 and first[start + 7] & 1
    return int.from_bytes(first[start + 8 : start + 12], "big") if has_count else 0


def _frame_at(data: Bytes, position: int) -> tuple[int, int, int] | None:
    """Parse a layer 3 frame header to (bytes, samples, sample rate in Hz); None if there is none at `position`."""
    header = data[position : position + 4]
    if len(header) < 4 or header[0] != 0xFF:
        return None
    return _parse_header(header[1], header[2])


def _parse_header(second: int, third: int) -> tuple[int, int, int] | None:
    version = second >> 3 & 3
    bitrate_index, rate_index, padding = third >> 4, third >> 2 & 3, third >> 1 & 1
    if second & 0xE6 != 0xE2 or version == 1 or bitrate_index in (0, 15) or rate_index == 3:
        return None
    sample_rate_hz = _SAMPLE_RATES_HZ[version][rate_index]
    samples = samples_per_frame(sample_rate_hz)
    bitrate_bps = 1000 * _BITRATES_KBPS[1 if version == 3 else 2][bitrate_index]
    return samples // 8 * bitrate_bps // sample_rate_hz + padding, samples, sample_rate_hz


_SIZES = [parsed[0] if (parsed := _parse_header(key >> 8, key & 0xFF)) else 0 for key in range(1 << 16)]
"""Bytes of a frame by the second and third byte of its header; 0 where they are no header."""
