"""Length of a FLAC file, from its last frame; streams that were joined are parts of their own."""

from collections.abc import Iterator
from itertools import pairwise

from birdnet_nl.audio.decode_layout import MORE_SOUND, NO_LENGTH, Layout
from birdnet_nl.audio.decode_mp3 import Bytes, release

SEARCHED_BYTES = 1 << 24  # at once


def flac_layout(data: Bytes, start: int) -> Layout:
    """Compare the stated number of samples with that of the last frame; a second FLAC stream is a part of its own."""
    info = start + 8  # after the mark and the header of the first block, STREAMINFO
    if len(data) < info + 34 or data[start + 4] & 0x7F:
        return Layout("flac", cut=True)
    place = info + 13  # four bits, and the four bytes after them
    stated = int.from_bytes(data[place : place + 5], "big") & (1 << 36) - 1
    ends = [*_flac_starts(data, start), len(data)]
    if len(ends) > 2:
        return Layout("flac", tuple([(first, last)] for first, last in pairwise(ends)))
    found = _flac_samples(data, start, _block_samples(data, start + 4))
    if found is None or (stated and found <= stated):
        parts = ([(start, len(data))],) if start else ()
        return Layout("flac", parts, (), found is not None and found < stated)
    head = bytearray(data[start : info + 34])
    head[13 + 8] = head[13 + 8] & 0xF0 | found >> 32
    head[14 + 8 : 18 + 8] = (found & 0xFFFFFFFF).to_bytes(4, "big")
    return Layout("flac", ([bytes(head), (info + 34, len(data))],), (MORE_SOUND if stated else NO_LENGTH,))


def _flac_starts(data: Bytes, start: int) -> Iterator[int]:
    """Places of stream headers: the mark, and a STREAMINFO of 34 bytes."""
    yield start
    for first in range(start + 4, len(data), SEARCHED_BYTES):
        place, last = first, min(first + SEARCHED_BYTES + 7, len(data))
        while (place := data.find(b"fLaC\x00\x00\x00\x22", place, last)) >= 0:
            yield place
            place += 8
        release(data, first)


def _block_samples(data: Bytes, position: int) -> int:
    """Return the samples of the first frame, behind the metadata from `position`; else those of STREAMINFO."""
    stated = int.from_bytes(data[position + 4 : position + 6], "big")
    is_last = False
    while not is_last and position + 4 <= len(data):
        is_last = bool(data[position] & 0x80)
        position += 4 + int.from_bytes(data[position + 1 : position + 4], "big")
    header = bytes(data[position : position + 16])
    is_frame = len(header) >= 6 and header[:1] == b"\xff" and header[1] == 0xF8
    return (_flac_frame(header, 0) if is_frame else 0) or stated


def _flac_samples(data: Bytes, start: int, block: int) -> int | None:
    """Return the number of samples up to the end of the last frame, from the number in its header."""
    end, lowest = len(data), start + 42
    while (position := data.rfind(b"\xff", lowest, end)) >= 0:
        end = position
        header = bytes(data[position : position + 16])
        if len(header) >= 6 and header[1] in (0xF8, 0xF9) and (samples := _flac_frame(header, block)):
            return samples
        if len(data) - position > 1 << 20:
            return None
    return None


def _flac_frame(header: bytes, block: int) -> int:
    """Parse a frame header to the number of samples up to the frame's end; 0 where its checksum says it is none."""
    length = max(1, 8 - (header[4] ^ 0xFF).bit_length()) if header[4] >= 0xC0 else 1
    if length > 7 or len(header) < 4 + length + 1:
        return 0
    number = header[4] & (0x7F if length == 1 else 0xFF >> length + 1)
    for byte in header[5 : 4 + length]:
        if byte & 0xC0 != 0x80:
            return 0
        number = number << 6 | byte & 0x3F
    code, position = header[2] >> 4, 4 + length
    if code == 0:
        return 0
    if code in (6, 7):
        extra = code - 5
        samples, position = int.from_bytes(header[position : position + extra], "big") + 1, position + extra
    else:
        samples = 192 if code == 1 else 576 << code - 2 if code < 6 else 256 << code - 8
    position += {12: 1, 13: 2, 14: 2}.get(header[2] & 0x0F, 0)
    if len(header) <= position or _crc8(header[:position]) != header[position]:
        return 0
    return number * (block if header[1] == 0xF8 else 1) + samples  # the number of a frame, or of its first sample


def _crc8(content: bytes) -> int:
    crc = 0
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ (0x07 if crc & 0x80 else 0)) & 0xFF
    return crc
