"""One Xeno-canto recording and what is known of it."""

import re
from dataclasses import dataclass
from pathlib import Path

VOCALIZATION_TYPES = ("song", "call", "alarm")
"""The types a classifier can tell apart, in the order of every table, figure and network output."""


@dataclass(frozen=True)
class Recording:
    """One file, before anything is decoded.

    Attributes:
        id: Xeno-canto number with `XC` in front, else the file's stem; unique within a species.
        vocalization_type: one of `VOCALIZATION_TYPES`, or None when the type text is not plainly one of them.
        type_text: the type as written by the recordist, or the folder's name where no manifest says more.
        recordist, quality, licence, country: empty where unknown.
        date, time: as written, `2023-04-00` where the day is unknown and `06:30`, or anything else.
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

    @property
    def month(self) -> int | None:
        """1 to 12, or None where the date does not say."""
        match = re.match(r"\d{4}-(\d\d?)\b", self.date)
        return int(match[1]) if match and 1 <= int(match[1]) <= 12 else None

    @property
    def hour(self) -> int | None:
        """0 to 23, or None where the time does not say."""
        match = re.match(r"(\d\d?):\d\d", self.time)
        return int(match[1]) if match and int(match[1]) <= 23 else None


def xeno_canto_number(id: str) -> str:
    """`XC123` of `XC123` and of `koolmees/XC123`, as in a pool; empty for other names."""
    match = re.fullmatch(r"(?:\w+/)?(XC\d+)", id)
    return match[1] if match else ""
