"""`Recording`: one Xeno-canto recording with its metadata, and how to read the texts of Xeno-canto's fields."""

import math
import re
from dataclasses import dataclass
from pathlib import Path

VOCALIZATION_TYPES = ("song", "call", "alarm")
"""The types that a classifier distinguishes, in the order of every table, plot and network output."""

QUALITIES = ("A", "B", "C", "D", "E")
UNRATED_RANK = 2.5  # a recording without a rating comes after C


@dataclass(frozen=True)
class Recording:
    """One recording, before decoding; unknown texts are empty and unknown numbers None.

    Attributes:
        id: Xeno-canto number with the prefix `XC`, else the file's stem; unique within a species.
        vocalization_type: one of `VOCALIZATION_TYPES`, or None where the type text is not plainly one of them.
        type_text: the type as written by the recordist, or the folder's name without a manifest.
        date, time: as written: `2023-04-00` where the day is unknown, `06:30`, or any other text.
        duration_s, sample_rate_hz: from the manifest; nothing is decoded here.
        sha256: of the file when it was downloaded or imported.
        source: the collection it comes from, of a folder that joins several.
    """

    id: str
    path: Path
    species: str
    vocalization_type: str | None
    type_text: str
    recordist: str = ""
    quality: str = ""
    licence: str = ""
    country: str = ""
    date: str = ""
    time: str = ""
    latitude: float | None = None
    longitude: float | None = None
    duration_s: float | None = None
    sample_rate_hz: float | None = None
    remarks: str = ""
    background: str = ""
    sha256: str = ""
    source: str = ""

    @property
    def month(self) -> int | None:
        """1 to 12, or None where `date` does not contain it."""
        match = re.match(r"\d{4}-(\d\d?)\b", self.date)
        return int(match[1]) if match and 1 <= int(match[1]) <= 12 else None

    @property
    def hour(self) -> int | None:
        """0 to 23, or None where `time` does not contain it."""
        match = re.match(r"(\d\d?):\d\d", self.time)
        return int(match[1]) if match and int(match[1]) <= 23 else None


def xeno_canto_number(id: str) -> str:
    """Return `XC123` for `XC123` and for `koolmees/XC123` (the form in a pool); empty for other ids."""
    match = re.fullmatch(r"(?:\w+/)?(XC\d+)", id)
    return match[1] if match else ""


def quality_rank(quality: str) -> float:
    """Return 0 for A to 4 for E."""
    return QUALITIES.index(quality) if quality in QUALITIES else UNRATED_RANK


def licence_code(url: str) -> str:
    """Return `by-nc-sa` for the address of that Creative Commons licence, `cc0` for the public domain, else nothing."""
    match = re.search(r"creativecommons\.org/(?:licenses/([a-z-]+)|(publicdomain))", url.lower())
    return (match[1] or "cc0") if match else ""


def allows_excerpts(recording: Recording) -> bool:
    """Return False if the licence (an address, or text as `CC BY-NC-ND 4.0`) forbids changed copies."""
    return re.search(r"\b(by|nc)-nd\b", recording.licence.lower()) is None


def complete_url(url: str) -> str:
    """Add the protocol that Xeno-canto leaves out of some addresses, as in `//xeno-canto.org/123/download`."""
    return f"https:{url}" if url.startswith("//") else url


def parse_duration_s(text: str) -> float:
    """Convert `m:ss` or `h:mm:ss` to seconds; 0 for any other text."""
    if not re.fullmatch(r"(\d+:){1,2}\d+(\.\d+)?", text):
        return 0.0
    duration_s = 0.0
    for part in text.split(":"):
        duration_s = 60 * duration_s + float(part)
    return duration_s


def parse_number(text: str) -> float | None:
    """Convert a number, also with a decimal comma, or minutes and seconds (`1:05`) to seconds; None for other text."""
    if "," in text:
        text = text.replace(".", "").replace(",", ".") if text.rfind(",") > text.rfind(".") else text.replace(",", "")
    try:
        value = parse_duration_s(text) if ":" in text else float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
