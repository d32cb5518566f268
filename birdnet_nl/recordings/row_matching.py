"""Matching of manifest rows and sound files, however the paths in the manifest are written.

A row belongs to a file by its path as written, by its Xeno-canto number, or by the longest end of its path that only
one file has: so that backslashes, absolute paths of another computer, capitals and composed or decomposed accents do
not matter. Nothing is guessed: where several files fit, the row is reported.
"""

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import islice
from urllib.parse import unquote

from birdnet_nl.recordings.labels import UNKNOWN, classify_type
from birdnet_nl.recordings.sound_file import SOUND_SUFFIXES

Row = dict[str, str]
"""One line of a manifest; `file` is relative to the manifest, unknown values are empty, further columns are kept."""

Key = tuple[str, ...]
DRIVE = re.compile(r"[A-Za-z]:")
XENO_CANTO_NUMBER = re.compile(r"XC\s*(\d+)", re.IGNORECASE)
ADDRESS = re.compile(r"^(?:https?:)?//(?:www\.)?xeno-canto\.org/(?:XC)?(\d+)\b", re.IGNORECASE)
WEB_ADDRESS = re.compile(r"(?:https?:)?//", re.IGNORECASE)
UNDECODABLE = re.compile("[\udc80-\udcff]")
NUMBER_CELL = re.compile(r"(?:XC)?[\s-]*0*(\d+)(?:\.0*)?", re.IGNORECASE)  # spreadsheets write 123.0


def path_parts(text: str) -> Key:
    """Split a path of any system: without drive, empty parts and `.`, and with `..` resolved where possible."""
    if text.lower().startswith("file:"):
        text = unquote(text[5:])
    parts: list[str] = []
    for part in re.split(r"[/\\]+", text):
        if part == ".." and parts:
            parts.pop()
        elif part not in ("", ".", "..") and not (DRIVE.fullmatch(part) and not parts):
            parts.append(part)
    return tuple(parts)


def name_key(name: str) -> str:
    """Return a name without differences of case, of composed and decomposed accents, and of the number of blanks.

    Bytes of a file name that are not UTF-8 are read as CP1252, as those of a table are.
    """
    if name.isascii():
        return " ".join(name.casefold().split())
    name = readable_name(name)
    return " ".join(unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold()).split())


def readable_name(name: str) -> str:
    """Return a name with its bytes that are not UTF-8 read as CP1252."""
    return UNDECODABLE.sub(lambda match: os.fsencode(match[0]).decode("cp1252", errors="replace"), name)


def path_key(parts: Iterable[str]) -> Key:
    return tuple(map(name_key, parts))


def is_absolute(text: str) -> bool:
    """Return whether a path starts at the root of a disk of any system, or is an address of a file."""
    return text.startswith(("/", "\\")) or DRIVE.match(text) is not None or text.lower().startswith("file:")


def number_in_name(name: str) -> str:
    """Return the Xeno-canto number in a file name as `XC123`, else nothing."""
    match = XENO_CANTO_NUMBER.search(name)
    return f"XC{match[1]}" if match else ""


def row_number(row: Mapping[str, str]) -> str:
    """Return the Xeno-canto number of a row as `XC123`, from its own column or the name of its file; else nothing."""
    if match := NUMBER_CELL.fullmatch(row.get("id", "")):
        return f"XC{match[1]}"
    if match := ADDRESS.search(row.get("file", "")):
        return f"XC{match[1]}"
    return number_in_name(re.split(r"[/\\]", row.get("file", ""))[-1])


@dataclass(frozen=True)
class RowMatches:
    """Rows by the path of their file, and the rows without.

    Attributes:
        of_file: row by path relative to the folder, with `/`.
        ambiguous: rows that fit several files, or different rows that fit the same file.
        unmatched: rows without a file, with the parts of their path below the folder.
    """

    of_file: dict[str, Row] = field(default_factory=dict)
    ambiguous: list[Row] = field(default_factory=list)
    unmatched: list[tuple[Row, Key]] = field(default_factory=list)


class FileIndex:
    """Sound files of a folder by relative path, and by every end of it."""

    def __init__(self, files: Sequence[str]) -> None:
        self.files = dict.fromkeys(files)

    @cached_property
    def _by_end(self) -> dict[Key, list[str]]:
        by_end: dict[Key, list[str]] = defaultdict(list)
        for file in self.files:
            key = path_key(file.split("/"))
            for start in range(len(key)):
                by_end[key[start:]].append(file)
        return by_end

    @cached_property
    def _by_path(self) -> dict[Key, list[str]]:
        by_path: dict[Key, list[str]] = defaultdict(list)
        for file in self.files:
            by_path[path_key(file.split("/"))].append(file)
        return by_path

    @cached_property
    def _by_stem(self) -> dict[Key, list[str]]:
        by_stem: dict[Key, list[str]] = defaultdict(list)
        for key, files in self._by_end.items():
            by_stem[(*key[:-1], _stem(key[-1]))] += files
        return by_stem

    def whole(self, parts: Key) -> list[str]:
        """Return the files with this path, apart from case, accents and blanks; the file itself where it exists."""
        return [path] if (path := "/".join(parts)) in self.files else self._by_path.get(path_key(parts), [])

    def end(self, parts: Key) -> list[str]:
        """Return up to two files that share the longest possible end of the path.

        Without such a file the suffix is ignored: files are converted, and some tables leave it out.
        """
        whole = path_key(parts)
        for by_end, key in ((self._by_end, whole), (self._by_stem, (*whole[:-1], _stem(whole[-1])))):
            for start in range(len(key)):
                if files := by_end.get(key[start:]):
                    return list(islice((file for file in files if not _types_differ(parts, file)), 2))
        return []


def _stem(name: str) -> str:
    """Return a name without the suffix of a sound file."""
    stem, _, suffix = name.rpartition(".")
    return stem if f".{suffix}" in SOUND_SUFFIXES else name


def match_rows(rows: Sequence[Row], index: FileIndex, below: Sequence[Key]) -> RowMatches:
    """Match rows by path; `below` holds the parts of each row's path below the folder of the index.

    A later row of the same file overrides an earlier one,
    except for values that it leaves empty.
    """
    matches = RowMatches()
    open_rows: list[int] = []
    for number, (row, parts) in enumerate(zip(rows, below, strict=True)):
        files = index.whole(parts) if parts else []
        if len(files) == 1:
            matches.of_file[files[0]] = merge_rows(row, matches.of_file.get(files[0]))
        elif files:
            matches.ambiguous.append(row)
        else:
            open_rows.append(number)
    free = FileIndex([file for file in index.files if file not in matches.of_file])
    claims: dict[str, list[int]] = defaultdict(list)
    for number in open_rows:
        files = free.end(below[number]) if below[number] else []
        if len(files) == 1:
            claims[files[0]].append(number)
        else:
            matches.ambiguous.extend([rows[number]] * bool(files))
            matches.unmatched.extend([(rows[number], below[number])] * (not files))
    for file, numbers in claims.items():
        claiming = [rows[number] for number in numbers]
        if len({tuple(sorted({**row, "file": ""}.items())) for row in claiming}) == 1:
            matches.of_file[file] = claiming[0]
        else:
            matches.ambiguous.extend(claiming)
    return matches


def merge_rows(first: Row, second: Row | None) -> Row:
    """Return `first`, with the values of `second` where it has none."""
    if second is None or second is first:
        return first
    return {name: value or second.get(name, "") for name, value in first.items()}


def _types_differ(parts: Key, file: str) -> bool:
    """Return whether a row and a file are in type folders that contradict each other: then they are two recordings."""
    folder = file.rpartition("/")[0]
    if len(parts) < 2 or not folder:
        return False
    types = {_type_of(parts[-2]), _type_of(folder.split("/")[0])} - {UNKNOWN}
    return len(types) > 1


@lru_cache(maxsize=4096)
def _type_of(text: str) -> str:
    return classify_type(text)
