"""Import of existing recordings, in any folder layout, into species folders with a manifest."""

import os
import re
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

from birdnet_nl.recordings.file_summary import SAME_FILE, FileSummary, count_listings
from birdnet_nl.recordings.folder import classify, recording_id, species_of_folder
from birdnet_nl.recordings.labels import MULTILABEL, UNKNOWN
from birdnet_nl.recordings.listing import FolderListing, list_folder, printable_path, suffix_of
from birdnet_nl.recordings.manifest import (
    MANIFEST,
    TYPE_FOLDERS,
    add_rows,
    read_rows,
    sha256_of,
    species_folder,
    write_attribution,
)
from birdnet_nl.recordings.metadata import read_tags, species_in
from birdnet_nl.recordings.row_matching import Row, path_parts, readable_name
from birdnet_nl.recordings.sound_file import read_sound_facts
from birdnet_nl.recordings.table_files import match_table
from birdnet_nl.recordings.type_set import TypeSet, three
from birdnet_nl.species.table import Species
from birdnet_nl.util.errors import DataError
from birdnet_nl.util.files import atomic_path, did_you_mean

METHODS = ("reference", "copy", "link")
TABLES = (MANIFEST, "train_metadata.csv")  # read automatically if they are in the imported folder


@dataclass(frozen=True)
class IdentifiedFile:
    """A sound file with known species and type; its `row` has no `file` and `sha256` yet."""

    path: Path
    species: Species
    vocalization_type: str
    row: Row
    warning: str = ""

    @property
    def name(self) -> str:
        """Name of the placed file, without bytes that are not UTF-8."""
        return (
            f"XC{self.row['xc_id']}{suffix_of(self.path.name)}"
            if self.row.get("xc_id")
            else readable_name(self.path.name)
        )


@dataclass(frozen=True)
class Candidate:
    """A sound file to identify, with its row and species in a table, if any, and its other paths below the source."""

    path: Path
    row: Row
    species: Species | None
    source: Path
    aliases: tuple[Path, ...] = ()

    @property
    def paths(self) -> tuple[Path, ...]:
        return self.path, *self.aliases


@dataclass
class ImportReport:
    """Result of an import; `types` and `species` count new and present files.

    Attributes:
        refused: (path, reason) of files and rows that were not placed.
        warnings: (path, warning) of files that were placed although only a part of them can be used.
        reasons, used: reason by path of the sound files that were not placed, and the files that were, now or before.
        files: counts of all files below the source.
    """

    placed: int = 0
    present: int = 0
    types: Counter[str] = field(default_factory=Counter)
    species: Counter[str] = field(default_factory=Counter)
    refused: list[tuple[str, str]] = field(default_factory=list)
    warnings: list[tuple[str, str]] = field(default_factory=list)
    reasons: dict[Path, str] = field(default_factory=dict)
    used: set[Path] = field(default_factory=set)
    files: FileSummary = field(default_factory=lambda: FileSummary(0, {}))

    def refuse(self, path: Path, reason: str) -> None:
        self.refused.append((printable_path(path), reason))
        self.reasons[path] = reason


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
    listing, candidates = _find_files(source, audio.absolute() if audio else None, report)
    pool = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="import")  # decoding releases the GIL
    try:
        results = pool.map(lambda candidate: _identify(candidate, three(flight_call)), candidates)
        for candidate, result in zip(candidates, results, strict=True):
            if isinstance(result, IdentifiedFile):
                by_species[result.species].append(result)
            else:
                report.refuse(candidate.path, result)
            on_file(candidate.path)
    finally:
        pool.shutdown(cancel_futures=True)
    for species, files in by_species.items():
        folder = species_folder(root, species)
        try:
            _place_species(species, files, folder, how, report)
        except OSError as error:
            raise DataError(
                f"{error.filename2 or error.filename or folder} cannot be written by {how} ({error.strerror}); "
                f"choose another of {', '.join(METHODS)}, or another folder with --root"
            ) from None
    report.files = count_listings([listing], {**report.reasons, **dict.fromkeys(report.used)})
    return report


def _find_files(source: Path, audio: Path | None, report: ImportReport) -> tuple[FolderListing, list[Candidate]]:
    """Return the files below the source, and a candidate for each sound file or, with a table, for each of its rows."""
    if source.is_dir():
        listing = list_folder(source)
        report.refused += listing.left_out
        aliases: dict[Path, list[Path]] = defaultdict(list)
        for path, first in listing.same_file.items():
            aliases[first].append(path)
            report.refused.append((printable_path(path), SAME_FILE))
        top = [source / name for name in TABLES if (source / name).is_file()][:1]
        rows: dict[Path, list[tuple[Row, Species | None]]] = {}
        for table in [*top, *(manifest for manifest in listing.manifests if manifest.parent != source)]:
            in_audio = list_folder(audio) if audio and table in top else listing
            folder = audio if audio and table in top else table.parent
            own: dict[Path, list[tuple[Row, Species | None]]] = defaultdict(list)
            for path, row, species in match_table(table, folder, in_audio, report.refused):
                own[in_audio.same_file.get(path, path)].append((row, species))
            rows |= own  # a manifest in a folder overrides those above
        return listing, [
            Candidate(path, row, species, source, tuple(aliases[path]))
            for path in listing.sounds
            if path not in listing.same_file
            for row, species in rows.get(path) or [({}, None)]
        ]
    if source.is_file() and source.suffix.lower() in (".csv", ".json"):
        listing = list_folder(audio or source.parent)
        rows_with_path = match_table(source, listing.folder, listing, report.refused)
        named = {path for path, _, _ in rows_with_path}
        report.reasons |= {path: f"not in {source.name}" for path in listing.sounds if path not in named}
        return listing, [Candidate(path, row, species, path.parent) for path, row, species in rows_with_path]
    raise DataError(
        f"{source} is neither a folder nor a .csv or .json file{did_you_mean(source)}; give the folder that holds the "
        "recordings"
    )


def _identify(candidate: Candidate, type_set: TypeSet) -> IdentifiedFile | str:
    """Identify species and type of a file; return a text if it cannot be placed."""
    path, row = candidate.path, candidate.row
    facts = read_sound_facts(path)
    if facts.reason:
        return facts.reason
    tags = read_tags(path)
    title = tags.pop("title", "")
    folders = [[parent for parent in at.parents if parent.is_relative_to(candidate.source)] for at in candidate.paths]
    species = candidate.species or species_in(title) or species_in(path.stem)
    species = species or next((match for folder in chain(*folders) if (match := species_of_folder(folder))), None)
    name = row.get("scientific") or row.get("english") or title
    if species is None:
        return f"{name} is not a species of the Netherlands" if name else "no species in tag, name, folder or table"
    number = re.fullmatch(r"XC(\d+)", recording_id(path))
    values = {
        "xc_id": number[1] if number else "",
        **tags,
        **{name: value for name, value in row.items() if value},
    }
    text = values.get("type", "")
    if text and classify(text, type_set) == UNKNOWN:
        return f"type {text!r} is not known"
    if not text:
        texts = [next((at.name for at in parents if classify(at.name, type_set) != UNKNOWN), "") for parents in folders]
        of_type = {classify(text, type_set): text for text in reversed(texts) if text}
        text = ", ".join(of_type.values())  # several for a file with paths in folders of different types
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
    return IdentifiedFile(path, species, classify(text, type_set), values, facts.warning)


def _place_species(species: Species, files: list[IdentifiedFile], folder: Path, how: str, report: ImportReport) -> None:
    parts_of_rows = [(row, path_parts(row.get("file", ""))) for row in read_rows(folder)]
    in_place = {
        readable_name(file.path.relative_to(folder).as_posix()) for file in files if file.path.is_relative_to(folder)
    }
    present = {
        row.get("xc_id") or "/".join(parts)
        for row, parts in parts_of_rows
        if "/".join(parts) in in_place or folder.joinpath(*parts).exists()
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
                if copy.path != file.path:
                    report.refuse(copy.path, f"{reason} {file.path}")
            if key not in present and (conflict := _conflict(file, folder)):
                report.refuse(file.path, f"another file is in its place, {conflict}")
                continue
            if file.warning:
                report.warnings.append((printable_path(file.path), file.warning))
            report.used.add(file.path)
            report.types[file.vocalization_type] += 1
            report.species[species.slug] += 1
            place = _place_of(file, folder).relative_to(folder).as_posix()
            if key in present or readable_name(place) in present:
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
    row: Row = {}
    for copy in copies:  # only one of them may have a row with the recordist
        row = {**{name: value for name, value in copy.row.items() if value}, **row}
    if len({copy.vocalization_type for copy in copies}) == 1:
        return replace(copies[0], row=row)
    text = ", ".join(dict.fromkeys(copy.row["type"] for copy in copies))
    return replace(copies[0], vocalization_type=MULTILABEL, row={**row, "type": text})


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
