"""One Xeno-canto recording and what is known of it."""

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
        recordist, quality, licence: empty where unknown.
    """

    id: str
    path: Path
    species: str
    vocalization_type: str | None
    type_text: str
    recordist: str = ""
    quality: str = ""
    licence: str = ""
