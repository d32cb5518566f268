"""Recordings that the user has already, in whatever folders, become species folders with a manifest."""

import os
import re
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from birdnet_nl.recordings.folder import MANIFEST, recording_id, sound_files, species_of_folder
from birdnet_nl.recordings.labels import MULTILABEL, UNKNOWN, classify_type
from birdnet_nl.recordings.manifest import (
    TYPE_FOLDERS,
    Row,
    add_rows,
    read_rows,
    sha256_of,
    species_folder,
    write_attribution,
)
from birdnet_nl.recordings.sound_file import read_sound_facts
from birdnet_nl.recordings.tables import read_table
from birdnet_nl.recordings.tags import read_tags, species_in
from birdnet_nl.species.table import Species
from birdnet_nl.util.errors import DataError
from birdnet_nl.util.files import atomic_path

WAYS = ("reference", "copy", "link")
TABLES = (MANIFEST, "train_metadata.csv")  # read without being named when they lie in the folder that is imported
AUDIO_FOLDERS = ("", "train_audio", "train_short_audio")  # where BirdCLEF's paths start


@dataclass(frozen=True)
class Known:
    """A file of which species and type are known; `row` lacks `file` and `sha256`."""

    path: Path
    species: Species
    vocalization_type: str
    row: Row

    @property
    def name(self) -> str:
        return f"XC{self.row['xc_id']}{self.path.suffix.lower()}" if self.row.get("xc_id") else self.path.name


@dataclass
class ImportReport:
    """What an import did; `types` counts the placed and present ones, `refused` holds (path, reason)."""

    placed: int = 0
    present: int = 0
    types: Counter[str] = field(default_factory=Counter)
    species: Counter[str] = field(default_factory=Counter)
    refused: list[tuple[str, str]] = field(default_factory=list)


def import_recordings(
    source: Path,
    root: Path,
    *,
    how: str = "reference",
    audio: Path | None = None,
    flight_call: str = "call",
    on_file: Callable[[Path], None] = lambda path: None,
) -> ImportReport:
    """Place the recordings of a folder, or of a table (CSV, JSON), below `root` and write their manifests.

    What is known of a file comes, in this order, from the table, its tags, its name and the folders it lies in. Files
    that lie in the right species folder already stay there. `how` is "reference" (a symbolic link), "copy" or "link" (a
    hard link); `audio` is the folder that the paths of a table start from, if not the table's own.
    """
    if how not in WAYS:
        raise ValueError(f"how={how} is not possible; choose one of {', '.join(WAYS)}")
    source, root = source.absolute(), root.absolute()
    report = ImportReport()
    by_species: dict[Species, list[Known]] = defaultdict(list)
    for path, row, species in _sources(source, audio, report):
        known = _know(path, row, species, source if source.is_dir() else path.parent, flight_call)
        if isinstance(known, Known):
            by_species[known.species].append(known)
        else:
            report.refused.append((str(path), known))
        on_file(path)
    for species, files in by_species.items():
        folder = species_folder(root, species)
        try:
            _place_species(species, files, folder, how, report)
        except OSError as error:
            raise DataError(
                f"{error.filename2 or error.filename or folder} cannot be written by {how} ({error.strerror}); "
                f"choose another of {', '.join(WAYS)}, or another folder with --root"
            ) from None
    return report


def _sources(source: Path, audio: Path | None, report: ImportReport) -> Iterator[tuple[Path, Row, Species | None]]:
    """Each sound file with its row of a table and that row's species, where there is one."""
    if source.is_dir():
        table = next((source / name for name in TABLES if (source / name).is_file()), None)
        rows = dict(_rows_by_path(table, audio or source, [])) if table else {}
        for path in sound_files(source):
            yield path, *rows.get(path, ({}, None))
    elif source.is_file() and source.suffix.lower() in (".csv", ".json"):
        for path, (row, species) in _rows_by_path(source, audio or source.parent, report.refused):
            yield path, row, species
    else:
        raise DataError(
            f"{source} is neither a folder nor a .csv or .json file; give the folder that holds the recordings"
        )


def _rows_by_path(
    table: Path, audio: Path, refused: list[tuple[str, str]]
) -> Iterator[tuple[Path, tuple[Row, Species | None]]]:
    sounds = list(sound_files(audio.absolute()))
    by_id = {recording_id(path): path for path in reversed(sounds)}
    there = set(sounds)
    for row, species in read_table(table):
        written = row.pop("path", "")
        paths = [audio.absolute() / folder / written for folder in AUDIO_FOLDERS if written]
        path = next((path for path in paths if path in there or path.is_file()), by_id.get(f"XC{row['xc_id']}"))
        if path is None:
            refused.append((written or f"XC{row['xc_id']}", f"in {table.name}, but no such file below {audio}"))
        else:
            yield path, (row, species)


def _know(path: Path, row: Row, species: Species | None, source: Path, flight_call: str) -> Known | str:
    """What the file is, or why it cannot be placed."""
    try:
        facts = read_sound_facts(path)
    except OSError as error:
        return f"the file cannot be read ({error.strerror})"
    if facts is None or facts.duration_s <= 0:
        return "the file is no sound"
    tags = read_tags(path)
    title = tags.pop("title", "")
    folders = [parent for parent in path.parents if parent.is_relative_to(source)]
    species = species or species_in(title) or species_in(path.stem)
    species = species or next((found for folder in folders if (found := species_of_folder(folder))), None)
    named = row.get("scientific") or row.get("english") or title
    if species is None:
        return f"{named} is not a species of the Netherlands" if named else "no species in tag, name, folder or table"
    number = re.fullmatch(r"XC(\d+)", recording_id(path))
    filled = {
        "xc_id": number[1] if number else "",
        **tags,
        **{name: value for name, value in row.items() if value},
    }
    texts = [filled.get("type", ""), *(folder.name for folder in folders)]
    text = next((text for text in texts if classify_type(text, flight_call=flight_call) != UNKNOWN), "")
    if filled.get("type") and text != filled["type"]:
        return f"type {filled['type']!r} is not known"
    if not text:
        return "no type in tag, folder or table"
    filled |= {
        "slug": species.slug,
        "scientific": filled.get("scientific") or species.scientific,
        "english": species.english,
        "type": text,
        "duration_s": f"{facts.duration_s:.2f}",
        "sample_rate_hz": str(facts.sample_rate_hz),
    }
    return Known(path, species, classify_type(text, flight_call=flight_call), filled)


def _place_species(species: Species, files: list[Known], folder: Path, how: str, report: ImportReport) -> None:
    have = {
        row.get("xc_id") or row.get("file"): row for row in read_rows(folder) if (folder / row.get("file", "")).exists()
    }
    same: dict[str, list[Known]] = defaultdict(list)
    for known in files:
        same[known.row.get("xc_id") or known.name].append(known)
    rows = []
    try:
        for key, copies in same.items():
            known = _one_of(copies)
            for copy in copies[1:]:
                same_sound = bool(known.row.get("xc_id")) or sha256_of(copy.path) == sha256_of(known.path)
                reason = "the same recording as" if same_sound else "not the sound, but the name of"
                report.refused.append((str(copy.path), f"{reason} {known.path}"))
            if key not in have and (in_the_way := _in_the_way(known, folder)):
                report.refused.append((str(known.path), f"another file is in its place, {in_the_way}"))
                continue
            report.types[known.vocalization_type] += 1
            report.species[species.slug] += 1
            if key in have or _place_of(known, folder).relative_to(folder).as_posix() in have:
                report.present += 1
                continue
            path = _place(known, folder, how)
            rows.append({**known.row, "file": path.relative_to(folder).as_posix(), "sha256": sha256_of(path)})
            report.placed += 1
    finally:
        if rows:
            add_rows(folder, rows)
            write_attribution(folder, species)


def _one_of(copies: list[Known]) -> Known:
    """One file for a number that occurs more than once; under different types it is a recording of several."""
    if len({copy.vocalization_type for copy in copies}) == 1:
        return copies[0]
    text = ", ".join(dict.fromkeys(copy.row["type"] for copy in copies))
    return Known(copies[0].path, copies[0].species, MULTILABEL, {**copies[0].row, "type": text})


def _place_of(known: Known, folder: Path) -> Path:
    if known.path.is_relative_to(folder):
        return known.path
    return folder / TYPE_FOLDERS[known.vocalization_type] / known.name


def _in_the_way(known: Known, folder: Path) -> Path | None:
    """A file of other content where this one is to go; a link that leads nowhere is not in the way."""
    path = _place_of(known, folder)
    return path if path.is_file() and sha256_of(path) != sha256_of(known.path) else None


def _place(known: Known, folder: Path, how: str) -> Path:
    path = _place_of(known, folder)
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    if how == "reference":
        path.symlink_to(known.path)
    elif how == "link":
        os.link(known.path, path)
    else:
        with atomic_path(path) as beside:
            shutil.copyfile(known.path, beside)
    return path
