"""Lengths in the headers of sound files, checked against the file itself and put right where they are wrong.

A recorder that loses power leaves a WAV that states 0 samples, a stream a FLAC of unknown length, a joined file two
streams of which a decoder reads one. `read_layout` recognises a file by its content, whatever its name is, and returns
the parts to decode; bytes that have to change are replaced in memory.
"""

import mmap
import struct
from pathlib import Path

from birdnet_nl.audio.decode_flac import flac_layout
from birdnet_nl.audio.decode_layout import NO_LENGTH, Layout, left_out, missing
from birdnet_nl.audio.decode_mp3 import Bytes, Mp3Frames, end_of_id3, find_frames, release, whole_view
from birdnet_nl.audio.decode_wav import UNKNOWN_SIZES, chunk_size, is_wav, wav_layout

MP4 = "MP4 (m4a, AAC)"
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


def read_layout(path: Path) -> Layout:
    """Recognise a file and check its lengths; the file must not be empty."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return layout_of(data)


def layout_of(data: Bytes) -> Layout:
    start = end_of_id3(data)
    magic = bytes(data[start : start + 16])
    if is_wav(magic):
        return wav_layout(data, start)
    if magic[:4] == b"fLaC":
        return flac_layout(data, start)
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
        return Layout("MPEG audio layer 2", ([(start, len(data))],) if start else ())
    return Layout("mp3", cut=mp3.cut, mp3=mp3) if mp3.runs else Layout()


def with_new_header(path: Path, mp3: Mp3Frames) -> Layout:
    """Return the layout of an mp3 of which the decoder would read a part only, with a header that states all frames."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        view = whole_view(data, mp3)
    notes = [left_out(mp3.left_out_s)] * bool(mp3.left_out_s) + [missing(mp3.missing_s)] * bool(mp3.missing_s)
    return Layout("mp3", (view,), tuple(notes), mp3.cut, mp3)


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
        name, size = bytes(data[position : position + 4]), chunk_size(data, position, ">")
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
