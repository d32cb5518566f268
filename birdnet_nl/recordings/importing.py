"""Import of existing recordings, in any folder layout, into species folders with a manifest."""

import os
import re
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from birdnet_nl.recordings.folder import recording_id, sound_files, species_of_folder
from birdnet_nl.recordings.labels import MULTILABEL, UNKNOWN, classify_type
from birdnet_nl.recordings.manifest import (
    MANIFEST,
    TYPE_FOLDERS,
    Row,
    add_rows,
    read_rows,
    sha256_of,
    species_folder,
    write_attribution,
)
from birdnet_nl.recordings.metadata import read_table, read_tags, species_in
from birdnet_nl.recordings.sound_file import read_sound_facts
from birdnet_nl.species.table import Species
from birdnet_nl.util.errors import DataError
from birdnet_nl.util.files import atomic_path

METHODS = ("reference", "copy", "link")
TABLES = (MANIFEST, "train_metadata.csv")  # read automatically if they are in the imported folder
AUDIO_FOLDERS = ("", "train_audio", "train_short_audio")  # the folders that BirdCLEF's paths are relative to


@dataclass(frozen=True)
class IdentifiedFile:
    """A sound file with known species and type; its `row` has no `file` and `sha256` yet."""

    path: Path
    species: Species
    vocalization_type: str
    row: Row

    @property
    def name(self) -> str:
        return f"XC{self.row['xc_id']}{self.path.suffix.lower()}" if self.row.get("xc_id") else self.path.name


@dataclass
class ImportReport:
    """Result of an import; `types` and `species` count new and present files, `refused` holds (path, reason)."""

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

    The species and type of a file come, in this order, from the table, its tags, its name and its folders. Files that
    are in the right species folder stay there.

    Args:
        how: "reference" (a symbolic link), "copy" or "link" (a hard link).
        audio: the folder that the paths of a table are relative to, if not the table's own.
        on_file: called after each file.

    Raises:
        DataError: the source cannot be read, or a file cannot be written.
    """
    if how not in METHODS:
        raise ValueError(f"how={how} is not possible; choose one of {', '.join(METHODS)}")
    source, root = source.absolute(), root.absolute()
    report = ImportReport()
    by_species: dict[Species, list[IdentifiedFile]] = defaultdict(list)
    for path, row, species in _find_files(source, audio, report):
        result = _identify(path, row, species, source if source.is_dir() else path.parent, flight_call)
        if isinstance(result, IdentifiedFile):
            by_species[result.species].append(result)
        else:
            report.refused.append((str(path), result))
        on_file(path)
    for species, files in by_species.items():
        folder = species_folder(root, species)
        try:
            _place_species(species, files, folder, how, report)
        except OSError as error:
            raise DataError(
                f"{error.filename2 or error.filename or folder} cannot be written by {how} ({error.strerror}); "
                f"choose another of {', '.join(METHODS)}, or another folder with --root"
            ) from None
    return report


def _find_files(source: Path, audio: Path | None, report: ImportReport) -> Iterator[tuple[Path, Row, Species | None]]:
    """Yield each sound file with its table row (empty without a table) and the row's species."""
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
    existing = set(sounds)
    for row, species in read_table(table):
        table_path = row.pop("path", "")
        paths = [audio.absolute() / folder / table_path for folder in AUDIO_FOLDERS if table_path]
        path = next((path for path in paths if path in existing or path.is_file()), by_id.get(f"XC{row['xc_id']}"))
        if path is None:
            refused.append((table_path or f"XC{row['xc_id']}", f"in {table.name}, but no such file below {audio}"))
        else:
            yield path, (row, species)


def _identify(path: Path, row: Row, species: Species | None, source: Path, flight_call: str) -> IdentifiedFile | str:
    """Identify species and type of a file; return a text if it cannot be placed."""
    try:
        facts = read_sound_facts(path)
    except OSError as error:
        return f"the file cannot be read ({error.strerror})"
    if facts is None or facts.duration_s <= 0:
        return "not a sound file"
    tags = read_tags(path)
    title = tags.pop("title", "")
    folders = [parent for parent in path.parents if parent.is_relative_to(source)]
    species = species or species_in(title) or species_in(path.stem)
    species = species or next((match for folder in folders if (match := species_of_folder(folder))), None)
    name = row.get("scientific") or row.get("english") or title
    if species is None:
        return f"{name} is not a species of the Netherlands" if name else "no species in tag, name, folder or table"
    number = re.fullmatch(r"XC(\d+)", recording_id(path))
    values = {
        "xc_id": number[1] if number else "",
        **tags,
        **{name: value for name, value in row.items() if value},
    }
    texts = [values.get("type", ""), *(folder.name for folder in folders)]
    text = next((text for text in texts if classify_type(text, flight_call=flight_call) != UNKNOWN), "")
    if values.get("type") and text != values["type"]:
        return f"type {values['type']!r} is not known"
    if not text:
        return "no type in tag, folder or table"
    values |= {
        "slug": species.slug,
        "scientific": values.get("scientific") or species.scientific,
        "english": species.english,
        "type": text,
        "duration_s": f"{facts.duration_s:.2f}",
        "sample_rate_hz": str(facts.sample_rate_hz),
    }
    return IdentifiedFile(path, species, classify_type(text, flight_call=flight_call), values)


def _place_species(species: Species, files: list[IdentifiedFile], folder: Path, how: str, report: ImportReport) -> None:
    present = {
        row.get("xc_id") or row.get("file") for row in read_rows(folder) if (folder / row.get("file", "")).exists()
    }
    by_key: dict[str, list[IdentifiedFile]] = defaultdict(list)
    for file in files:
        by_key[file.row.get("xc_id") or file.name].append(file)
    rows = []
    try:
        for key, copies in by_key.items():
            file = _merge_copies(copies)
            for copy in copies[1:]:
                same_sound = bool(file.row.get("xc_id")) or sha256_of(copy.path) == sha256_of(file.path)
                reason = "the same recording as" if same_sound else "another sound with the same name as"
                report.refused.append((str(copy.path), f"{reason} {file.path}"))
            if key not in present and (conflict := _conflict(file, folder)):
                report.refused.append((str(file.path), f"another file is in its place, {conflict}"))
                continue
            report.types[file.vocalization_type] += 1
            report.species[species.slug] += 1
            if key in present or _place_of(file, folder).relative_to(folder).as_posix() in present:
                report.present += 1
                continue
            path = _place(file, folder, how)
            rows.append({**file.row, "file": path.relative_to(folder).as_posix(), "sha256": sha256_of(path)})
            report.placed += 1
    finally:
        if rows:
            add_rows(folder, rows)
            write_attribution(folder, species)


def _merge_copies(copies: list[IdentifiedFile]) -> IdentifiedFile:
    """Return one file for a number that occurs more than once: multi-label if their types differ."""
    if len({copy.vocalization_type for copy in copies}) == 1:
        return copies[0]
    text = ", ".join(dict.fromkeys(copy.row["type"] for copy in copies))
    return IdentifiedFile(copies[0].path, copies[0].species, MULTILABEL, {**copies[0].row, "type": text})


def _place_of(file: IdentifiedFile, folder: Path) -> Path:
    if file.path.is_relative_to(folder):
        return file.path
    return folder / TYPE_FOLDERS[file.vocalization_type] / file.name


def _conflict(file: IdentifiedFile, folder: Path) -> Path | None:
    """Return the file of other content at this file's place, if any; a broken link does not count."""
    path = _place_of(file, folder)
    return path if path.is_file() and sha256_of(path) != sha256_of(file.path) else None


def _place(file: IdentifiedFile, folder: Path, how: str) -> Path:
    path = _place_of(file, folder)
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    if how == "reference":
        path.symlink_to(file.path)
    elif how == "link":
        os.link(file.path, path)
    else:
        with atomic_path(path) as part:
            shutil.copyfile(file.path, part)
    return path
