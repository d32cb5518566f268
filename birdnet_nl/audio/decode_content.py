"""Content of a file that no decoder recognises, in words: a web page saved as .mp3, only zeros, an image."""

import mmap
import re
from pathlib import Path

from birdnet_nl.audio.decode_mp3 import end_of_id3

NOT_ZERO = re.compile(rb"[^\0]")
CONTENTS = (  # (first bytes, name)
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"\x89PNG", "a PNG image"),
    (b"GIF8", "a GIF image"),
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"Rar!", "a rar archive"),
    (b"SQLite format 3", "a database"),
    (b"version https://git-lfs", "a pointer of Git LFS; fetch the file itself"),
)
TEXTS = ((("<!doctype html", "<html", "<head", "<body"), "a web page"), (("<?xml",), "XML"), (("{", "["), "JSON"))


def describe_content(path: Path) -> str:
    """Return what a file of at least one byte holds instead of sound."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        tag = end_of_id3(data)
        start = bytes(data[tag : tag + 4096])
        if not NOT_ZERO.search(data, tag):
            return "only a tag, without sound" if tag else "only zeros"
    for first, name in CONTENTS:
        if start.startswith(first):
            return name
    if text := _text_of(start):
        words = text.lstrip("\ufeff \r\n\t").lower()
        return next((name for firsts, name in TEXTS if words.startswith(firsts)), "text")
    return "of no known sound format"


def _text_of(start: bytes) -> str:
    """Return the start of a file as text; empty where it holds bytes that no text has."""
    if re.search(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]", start):
        return ""
    text = start.decode("utf-8", errors="replace")
    return text if text.count("\ufffd") <= 0.05 * len(text) + 1 else ""
