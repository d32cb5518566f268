"""Lengths in the headers of sound files, checked against the file itself and put right where they are wrong.

A recorder that loses power leaves a WAV that states 0 samples, a stream a FLAC of unknown length, a joined file two
streams of which a decoder reads one. `read_layout` recognises a file by its content, whatever its name is, and returns
the parts to decode; bytes that have to change are replaced in memory.
"""

import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from birdnet_nl.audio.decode_mp3 import Bytes, Mp3Frames, end_of_id3, find_frames, release, whole_view

Part = list[bytes | tuple[int, int]]  # new bytes, and places in the file
UNKNOWN_SIZES = (0, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x7FFFF000)  # of programs that write before they know the size
NO_LENGTH = "its header states no length, so it was read to its end"
MORE_SOUND = "its header states less sound than it holds, so it was read to its end"
MP4 = "MP4 (m4a, AAC)"
SEARCHED_BYTES = 1 << 24  # at once
LAYER_2 = (b"\xff\xfd", b"\xff\xfc", b"\xff\xf5", b"\xff\xf4")  # libsndfile may read it
FORMATS = (  # (bytes, their place, name); those that PyAV reads
    (b"\x30\x26\xb2\x75", 0, "Windows Media (wma)"),
    (b"\x1aE\xdf\xa3", 0, "Matroska or WebM"),
    (b"#!AMR", 0, "AMR"),
    (b"MAC ", 0, "Monkey's Audio (ape)"),
    (b"wvpk", 0, "WavPack"),
    (b"TTA1", 0, "TTA"),
    (b"\x0b\x77", 0, "AC-3"),
    (b"\xff\xf1", 0, "AAC"),
    (b"\xff\xf9", 0, "AAC"),
    (b"\xff\xf0", 0, "AAC"),
    (b"\xff\xf8", 0, "AAC"),
    (b"AVI ", 8, "AVI"),
    (b"moov", 4, "QuickTime"),
    (b"mdat", 4, "QuickTime"),
)


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


def read_layout(path: Path) -> Layout:
    """Recognise a file and check its lengths; the file must not be empty."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return layout_of(data)


def layout_of(data: Bytes) -> Layout:
    start = end_of_id3(data)
    magic = bytes(data[start : start + 16])
    if magic[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64") and magic[8:12] == b"WAVE":
        return _wav(data, start)
    if magic[:4] == b"fLaC":
        return _flac(data, start)
    if magic[:4] == b"OggS":
        return _ogg(data, start)
    for check, is_format in _STATED.items():
        if is_format(magic):
            return check(data)
    if magic[4:8] == b"ftyp":
        return Layout(MP4, cut=not _has_index(data), needs_av=True)
    for content, place, name in FORMATS:
        if magic[place : place + len(content)] == content:
            return Layout(name, needs_av=True)
    mp3 = find_frames(data)
    if not mp3.runs and magic[:2] in LAYER_2:
        return Layout("MPEG audio layer 2")
    return Layout("mp3", cut=mp3.cut, mp3=mp3) if mp3.runs else Layout()


def with_new_header(path: Path, mp3: Mp3Frames) -> Layout:
    """Return the layout of an mp3 of which the decoder would read a part only, with a header that states all frames."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        view = whole_view(data, mp3)
    return Layout("mp3", (view,), (left_out(mp3.left_out_s),) if mp3.left_out_s else (), mp3.cut, mp3)


def left_out(duration_s: float) -> str:
    return f"{duration_s:.1f} s of another sample rate or number of channels are left out"


def _wav(data: Bytes, start: int) -> Layout:
    """Find the data chunk and its size; RF64 and BW64 state it in their chunk `ds64`."""
    order = ">" if data[start : start + 4] == b"RIFX" else "<"
    position, stated_64 = start + 12, 0  # place of the size in `ds64`
    while True:
        if position + 8 > len(data):
            return Layout("wav", cut=True)
        name, size = bytes(data[position : position + 4]), _size(data, position, order)
        body = position + 8
        if name == b"data":
            break
        if name == b"ds64" and body + 16 <= len(data):
            stated_64 = body + 8
        position = body + size + size % 2
    parts: tuple[Part, ...] = ([(start, len(data))],) if start else ()
    available = len(data) - body
    if stated_64 and size == 0xFFFFFFFF:
        size = int.from_bytes(data[stated_64 : stated_64 + 8], "little")
        if size == 0 and available:
            head = bytes(data[start:stated_64]) + available.to_bytes(8, "little") + bytes(data[stated_64 + 8 : body])
            return Layout("wav", ([head, (body, len(data))],), (NO_LENGTH,))
    if size > available:
        unknown = size in UNKNOWN_SIZES or 0xFFFFF000 <= size <= 0xFFFFFFFF
        return Layout("wav", parts, (NO_LENGTH,) if unknown else (), not unknown)
    rest = body + size + size % 2
    if len(data) - rest < 8 or _are_chunks(data, rest, order):
        return Layout("wav", parts)
    head = bytes(data[start : position + 4]) + struct.pack(order + "I", min(available, 0xFFFFFFFF))
    return Layout("wav", ([head, (body, len(data))],), (NO_LENGTH if size == 0 else MORE_SOUND,))


def _size(data: Bytes, position: int, order: str) -> int:
    """Read the size of the chunk at `position`."""
    return struct.unpack(order + "I", data[position + 4 : position + 8])[0]


def _are_chunks(data: Bytes, position: int, order: str) -> bool:
    """Whether chunks with plausible names follow until the end of the file, where a few bytes may remain."""
    while position + 8 <= len(data):
        name = bytes(data[position : position + 4])
        size = _size(data, position, order)
        if not all(0x20 <= byte < 0x7F for byte in name) or position + 8 + size > len(data):
            return False
        position += 8 + size + size % 2
    return True


def _flac(data: Bytes, start: int) -> Layout:
    """Compare the stated number of samples with that of the last frame; a second FLAC stream is a part of its own."""
    info = start + 8  # after the mark and the header of the first block, STREAMINFO
    if len(data) < info + 34 or data[start + 4] & 0x7F:
        return Layout("flac", cut=True)
    place = info + 13  # four bits, and the four bytes after them
    stated = int.from_bytes(data[place : place + 5], "big") & (1 << 36) - 1
    ends = [*_flac_starts(data, start), len(data)]
    if len(ends) > 2:
        return Layout("flac", tuple([(first, last)] for first, last in pairwise(ends)))
    found = _flac_samples(data, start, int.from_bytes(data[info + 2 : info + 4], "big"))
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


def _ogg(data: Bytes, start: int) -> Layout:
    """Walk over the pages: a stream that begins after another has ended is a part of its own."""
    starts, position, ended = [start], start, True
    first, pages = True, 0
    while (position := data.find(b"OggS", position)) >= 0 and position + 27 <= len(data):
        kind, segments = data[position + 5], data[position + 26]
        size = 27 + segments + sum(data[position + 27 : position + 27 + segments])
        if kind & 2 and not first and ended:
            starts.append(position)
        pages += 1
        if not pages & 0xFFF:
            release(data, position)
        first, ended = False, bool(kind & 4)
        if position + size > len(data):
            ended = False
            break
        position += size
    if len(starts) == 1 and start == 0:
        return Layout("ogg", cut=not ended)
    ends = [*starts[1:], len(data)]
    return Layout("ogg", tuple([part] for part in zip(starts, ends, strict=True)), cut=not ended)


def _aiff(data: Bytes) -> Layout:
    position = 12
    while position + 8 <= len(data):
        name, size = bytes(data[position : position + 4]), _size(data, position, ">")
        if name == b"SSND":
            return Layout("aiff", cut=position + 8 + size > len(data))
        position += 8 + size + size % 2
    return Layout("aiff", cut=True)


def _w64(data: Bytes) -> Layout:
    position = 40
    while position + 24 <= len(data):
        size = struct.unpack("<Q", data[position + 16 : position + 24])[0]
        if data[position : position + 4] == b"data":
            return Layout("w64", cut=position + size > len(data))
        position += max(24, size + -size % 8)
    return Layout("w64", cut=True)


def _au(data: Bytes) -> Layout:
    order = ">" if data[:4] == b".snd" else "<"
    offset, size = struct.unpack(order + "II", data[4:12]) if len(data) >= 12 else (0, 0)
    unknown = size in UNKNOWN_SIZES
    return Layout("au", (), (NO_LENGTH,) if unknown else (), not unknown and offset + size > len(data))


def _caf(data: Bytes) -> Layout:
    """A size of -1 reads to the end of the file, which libsndfile refuses where the stated end is beyond it."""
    position = 8
    while position + 12 <= len(data):
        size = struct.unpack(">q", data[position + 4 : position + 12])[0]
        if data[position : position + 4] == b"data":
            if 0 <= size <= len(data) - position - 12:
                return Layout("caf")
            head = bytes(data[: position + 4]) + struct.pack(">q", len(data) - position - 12)
            return Layout("caf", ([head, (position + 12, len(data))],), (NO_LENGTH,) if size < 0 else (), size >= 0)
        position += 12 + max(0, size)
    return Layout("caf", cut=True)


def _has_index(data: Bytes) -> bool:
    """Whether an MP4 has the index that recorders write when they close it, in an atom after or before the sound."""
    position = 0
    while position + 8 <= len(data):
        size, name = struct.unpack(">I4s", data[position : position + 8])
        if name == b"moov":
            return True
        if size == 1 and position + 16 <= len(data):
            size = struct.unpack(">Q", data[position + 8 : position + 16])[0]
        if size < 8:
            return False
        position += size
    return False


_STATED = {
    _aiff: lambda magic: magic[:4] == b"FORM" and magic[8:12] in (b"AIFF", b"AIFC"),
    _w64: lambda magic: magic[:4] == b"riff",
    _au: lambda magic: magic[:4] in (b".snd", b"dns."),
    _caf: lambda magic: magic[:4] == b"caff",
}
