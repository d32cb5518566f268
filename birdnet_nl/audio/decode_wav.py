"""Places and lengths of the sound in a WAV file, whose header may be wrong; WAV files that were joined are all read."""

import re
import struct
from collections.abc import Iterator

from birdnet_nl.audio.decode_layout import MORE_SOUND, NO_LENGTH, Layout, Part
from birdnet_nl.audio.decode_mp3 import Bytes

UNKNOWN_SIZES = (0, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x7FFFF000)  # of programs that write before they know the size
MARKS = (b"RIFF", b"RIFX", b"RF64", b"BW64")
NAMES = (b"LIST", b"id3 ", b"ID3 ", b"bext", b"iXML", b"guan", b"wamd", b"cue ", b"JUNK", b"PAD ", b"_PMX", b"smpl")
NOT_ZERO = re.compile(rb"[^\0]")


def is_wav(start: bytes) -> bool:
    return start[:4] in MARKS and start[8:12] == b"WAVE"


def wav_layout(data: Bytes, start: int) -> Layout:
    """Return the sound of the WAV at `start`, and of all that follow it without a gap."""
    layouts = []
    next_start: int | None = start
    while next_start is not None:
        layout, next_start = _one_wav(data, next_start)
        layouts.append(layout)
    if len(layouts) == 1:
        return layouts[0]
    parts = tuple(part for layout in layouts for part in layout.parts)
    return Layout("wav", parts, tuple(note for layout in layouts for note in layout.notes), layouts[-1].cut)


def _one_wav(data: Bytes, start: int) -> tuple[Layout, int | None]:
    """Find the data chunk and its size, and the place of the next WAV; RF64 and BW64 state the size in `ds64`."""
    order = ">" if data[start : start + 4] == b"RIFX" else "<"
    position, stated_64 = start + 12, 0  # place of the size in `ds64`
    form, unpadded = b"", False
    while True:
        if position + 8 > len(data):
            return Layout("wav", ([(start, len(data))],) if start else (), cut=True), None
        name, size = bytes(data[position : position + 4]), chunk_size(data, position, order)
        body = position + 8
        if name == b"data":
            break
        if name == b"ds64" and body + 16 <= len(data):
            stated_64 = body + 8
        if name == b"fmt ":
            form = bytes(data[position : body + size + size % 2])
        position = _end_of_chunk(data, body, size)
        unpadded = unpadded or position - body < size + size % 2
    available = len(data) - body
    if stated_64 and size == 0xFFFFFFFF:
        size = int.from_bytes(data[stated_64 : stated_64 + 8], "little")
        if size == 0 and available:
            head = bytes(data[start:stated_64]) + available.to_bytes(8, "little") + bytes(data[stated_64 + 8 : body])
            return Layout("wav", ([head, (body, len(data))],), (NO_LENGTH,)), None
    head = bytes(data[start : start + 12]) + form if unpadded else bytes(data[start:position])
    parts: tuple[Part, ...] = ([(start, len(data))],) if start else ()
    if unpadded:  # libsndfile does not find the sound behind such a chunk
        parts = ([*_with_size(head, order, min(size, available)), (body, min(body + size, len(data)))],)
    if size > available:
        unknown = size in UNKNOWN_SIZES or 0xFFFFF000 <= size <= 0xFFFFFFFF
        return Layout("wav", parts, (NO_LENGTH,) if unknown else (), not unknown), None
    rest = _end_of_chunk(data, body, size)
    chunks = list(_chunks(data, rest, order))
    end = chunks[-1][2] if chunks else rest
    if is_wav(data[end : end + 12]):
        first = parts if unpadded else ([(start, end)],)
        return Layout("wav", (*first, *_more_sound(chunks, head, order))), end
    is_cut_chunk = bytes(data[end : end + 4]) in NAMES
    if len(data) - end < 8 or is_cut_chunk or (size and not NOT_ZERO.search(data, end)):
        more = _more_sound(chunks, head, order)
        return Layout("wav", (*(parts or ([(0, rest)],)), *more) if more else parts), None
    note = NO_LENGTH if size == 0 else MORE_SOUND
    return Layout("wav", ([*_with_size(head, order, available), (body, len(data))],), (note,)), None


def chunk_size(data: Bytes, position: int, order: str) -> int:
    """Read the size of the chunk at `position`."""
    return struct.unpack(order + "I", data[position + 4 : position + 8])[0]


def _with_size(head: bytes, order: str, size: int) -> Part:
    return [head + b"data" + struct.pack(order + "I", min(size, 0xFFFFFFFF))]


def _is_name(name: bytes) -> bool:
    return len(name) == 4 and all(0x20 <= byte < 0x7F for byte in name)


def _end_of_chunk(data: Bytes, body: int, size: int) -> int:
    """Return the place of the next chunk: after a byte of padding for an odd size, which some programs leave out."""
    end = body + size
    next_name = bytes(data[end : end + 4])
    is_certain = next_name in (*NAMES, b"data", b"fmt ") or is_wav(data[end : end + 12])
    is_unpadded = is_certain or (_is_name(next_name) and not _is_name(bytes(data[end + 1 : end + 5])))
    return end + 1 if size % 2 and not is_unpadded else end


def _chunks(data: Bytes, position: int, order: str) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, body and end of each chunk with a plausible name that is in the file, until the next WAV."""
    while position + 8 <= len(data) and not is_wav(data[position : position + 12]):
        name, body = bytes(data[position : position + 4]), position + 8
        size = chunk_size(data, position, order)
        if not _is_name(name) or body + size > len(data):
            return
        position = _end_of_chunk(data, body, size)
        yield name, body, position


def _more_sound(chunks: list[tuple[bytes, int, int]], head: bytes, order: str) -> tuple[Part, ...]:
    """Return a part for each further data chunk of a file."""
    return tuple(
        [*_with_size(head, order, end - body), (body, end)]
        for name, body, end in chunks
        if name == b"data" and end > body
    )
