"""Manifest rows of the files in a species folder: from a `recordings.csv` in it and from one in the folder above."""

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path

from birdnet_nl.recordings.listing import is_hidden, is_sound_name
from birdnet_nl.recordings.manifest import MANIFEST, read_manifest_rows
from birdnet_nl.recordings.row_matching import (
    WEB_ADDRESS,
    FileIndex,
    Key,
    Row,
    RowMatches,
    is_absolute,
    match_rows,
    merge_rows,
    name_key,
    number_in_name,
    path_parts,
    row_number,
)
from birdnet_nl.species.table import Species, find_species, normalise_name


@dataclass
class FolderRows:
    """Rows of the manifests of a species folder.

    Attributes:
        of_file: row by path relative to the folder, with `/`.
        missing: path and row of recordings that are in a manifest but not on disk.
        without_file: rows without a file, as written in the manifest.
        without_row: files without a row, as relative paths; empty where there is no manifest.
        ambiguous: rows that fit several files, and rows that contradict each other about a file.
    """

    of_file: dict[str, Row] = field(default_factory=dict)
    missing: list[tuple[Path, Row]] = field(default_factory=list)
    without_file: list[str] = field(default_factory=list)
    without_row: list[str] = field(default_factory=list)
    ambiguous: list[str] = field(default_factory=list)


class RootManifest:
    """Manifest above the species folders, read once for all of them."""

    def __init__(self, path: Path) -> None:
        self.root = path.parent
        self.rows = read_manifest_rows(path)

    @cached_property
    def by_number(self) -> dict[str, Row]:
        return _by_number(self.rows)

    @cached_property
    def by_species(self) -> dict[Species | None, list[Row]]:
        """Rows by the species of a folder in their path, else of their columns; None where neither names one."""
        of_name: dict[str, Species | None] = {}  # a table repeats the same few names

        def find(name: str) -> Species | None:
            if name not in of_name:
                of_name[name] = find_species(normalise_name(name).removeprefix("xeno_canto_")) if name else None
            return of_name[name]

        rows: dict[Species | None, list[Row]] = defaultdict(list)
        for row in self.rows:
            names = [*reversed(path_parts(row["file"])[:-1]), row["slug"], row["scientific"], row["english"]]
            rows[next(filter(None, map(find, names)), None)].append(row)
        return rows

    @cached_property
    def names(self) -> Counter[str]:
        """Number of sound files below the root by name."""
        names: Counter[str] = Counter()
        for _, folders, files in os.walk(self.root):
            folders[:] = [folder for folder in folders if not is_hidden(folder, is_folder=True)]
            names.update(name_key(file) for file in files if is_sound_name(file))
        return names

    @cached_property
    def unclaimed(self) -> list[Row]:
        """Rows that name no species and no file below the root."""
        if self.has_one_species:  # then they are missing there
            return []
        numbers = set(map(number_in_name, self.names))
        return [
            row
            for row in self.by_species.get(None, [])
            if row_number(row) not in numbers - {""} and not self.names[name_key(path_parts(row["file"] or "-")[-1])]
        ]

    @cached_property
    def has_one_species(self) -> bool:
        children = (child.name for child in os.scandir(self.root) if child.is_dir())
        return sum(find_species(normalise_name(name).removeprefix("xeno_canto_")) is not None for name in children) == 1


def read_root_manifest(root: Path) -> RootManifest | None:
    """Return the manifest in `root`, read again only when it has changed; None without one."""
    path = root / MANIFEST
    if not path.is_file():
        return None
    status = path.stat()
    return _root_manifest(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=1)
def _root_manifest(path: Path, mtime_ns: int, size: int) -> RootManifest:
    return RootManifest(path)


def rows_of_folder(folder: Path, species: Species, files: Sequence[str], ids: Sequence[str]) -> FolderRows:
    """Find the row of each file; `files` are relative paths with `/`, `ids` the ids of their recordings.

    A manifest inside the folder overrides the one above, except for values that it leaves empty. Raises `DataError` if
    a manifest is damaged.
    """
    found, index = FolderRows(), FileIndex(files)
    inside = folder / MANIFEST
    has_rows = False
    if inside.is_file():
        rows = read_manifest_rows(inside)
        below = [_parts_below(row, folder, species, index, prefix="") for row in rows]
        matches = match_rows(rows, index, below)
        _add(found, folder, files, ids, matches, _by_number(rows))
        has_rows = bool(rows)
    if (manifest := read_root_manifest(folder.parent)) is not None:
        named, unnamed = manifest.by_species.get(species, []), manifest.by_species.get(None, [])
        rows, below = [], []
        foreign: set[int] = set()  # rows that may be of another species: used where they fit, else not missing here
        for number, row in enumerate((*named, *unnamed)):
            parts = _parts_below(row, folder, species, index, prefix=f"{folder.name}/")
            has_folder = len(parts) < len(path_parts(row["file"]))
            is_ours = number < len(named) or has_folder or manifest.has_one_species
            if is_ours or (parts and manifest.names[name_key(parts[-1])] == 1):
                rows.append(row)
                below.append(parts)
                foreign |= set() if is_ours else {id(row)}
        matches = match_rows(rows, index, below)
        matches.unmatched[:] = [(row, parts) for row, parts in matches.unmatched if id(row) not in foreign]
        _add(found, folder, files, ids, matches, manifest.by_number)
        has_rows = has_rows or bool(rows)
    if has_rows:
        found.without_row = [file for file in files if file not in found.of_file]
    return found


def _add(
    found: FolderRows,
    folder: Path,
    files: Sequence[str],
    ids: Sequence[str],
    matches: RowMatches,
    by_number: dict[str, Row],
) -> None:
    """Add the matches of one manifest to those of the manifest that overrides it."""
    for file, id in zip(files, ids, strict=True):
        by_path, numbered = matches.of_file.get(file), by_number.get(id)
        row = merge_rows(by_path, numbered) if by_path else numbered
        if row is not None:
            found.of_file[file] = merge_rows(found.of_file[file], row) if file in found.of_file else row
    on_disk, known = set(ids), {path for path, _ in found.missing}
    found.ambiguous += [row_name(row) for row in matches.ambiguous if row_number(row) not in on_disk]
    for row, parts in matches.unmatched:
        path = folder.joinpath(*(parts[-2:] if is_absolute(row["file"]) else parts))
        if on_disk & {row_number(row), number_in_name(path.name)} or path in known:
            continue
        found.without_file.append(row_name(row))
        if WEB_ADDRESS.match(row["file"]):
            continue
        if parts and path.relative_to(folder).with_suffix("").as_posix() not in on_disk and _may_be_file(path):
            found.missing.append((path, row))
            known.add(path)


def _may_be_file(path: Path) -> bool:
    """Return False for a folder, and for a name that no file can have, such as a text in the wrong column."""
    try:
        return not path.is_dir()
    except (OSError, ValueError):
        return False


def _parts_below(row: Row, folder: Path, species: Species, index: FileIndex, prefix: str) -> Key:
    """Return the path of a row below the species folder: after the folder's name, else the path as it is."""
    literal = row["file"].removeprefix(prefix)
    if row["file"].startswith(prefix) and literal in index.files:  # also for a name that contains a backslash
        return tuple(literal.split("/"))
    parts = path_parts(row["file"])
    if not prefix and "/".join(parts) in index.files:
        return parts
    own = name_key(folder.name)
    for position in range(len(parts) - 1, 0, -1):
        if name_key(parts[position - 1]) == own or _is_folder_of(parts[position - 1], species):
            return parts[position:]
    return parts


@lru_cache(maxsize=4096)
def _is_folder_of(name: str, species: Species) -> bool:
    return find_species(normalise_name(name).removeprefix("xeno_canto_")) == species


def _by_number(rows: Iterable[Row]) -> dict[str, Row]:
    by_number: dict[str, Row] = {}
    for row in rows:
        if number := row_number(row):
            by_number[number] = merge_rows(row, by_number.get(number))
    return by_number


def row_name(row: Row) -> str:
    """Return the file of a row as written, else its number."""
    return row["file"] or row_number(row) or row["id"] or "a row without file and number"
