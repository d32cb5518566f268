"""Recordings in folders: `<root>/xeno-canto-<slug>/<type>/*.mp3`, with or without a `recordings.csv`."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from birdnet_nl.recordings.labels import MULTILABEL, classify_type
from birdnet_nl.recordings.recording import VOCALIZATION_TYPES, Recording
from birdnet_nl.species.table import Species, find_species, normalise_name
from birdnet_nl.util.csv_table import read_csv
from birdnet_nl.util.errors import DataError

SOUND_SUFFIXES = {".mp3", ".wav", ".flac", ".ogg"}
MANIFEST = "recordings.csv"
COLUMN_NAMES = {  # ours, and what Xeno-canto's API and other tools call the same
    "file": ("file", "path", "filename", "file-name"),
    "id": ("xc_id", "id", "catnr"),
    "type": ("type", "type_text"),
    "recordist": ("recordist", "rec", "author"),
    "quality": ("quality", "q", "rating"),
    "licence": ("licence", "license", "lic"),
    "country": ("country", "cnt"),
    "date": ("date",),
    "time": ("time",),
}


def recording_id(path: Path, folder: Path | None = None) -> str:
    """`XC123` when the file's name holds a Xeno-canto number, else its path below `folder` without the suffix.

    Without a `folder` the name alone.
    """
    number = re.search(r"XC\s*(\d+)", path.stem, re.IGNORECASE)
    below = path.relative_to(folder or path.parent)
    return f"XC{number[1]}" if number else below.with_suffix("").as_posix()


def species_of_folder(folder: Path) -> Species | None:
    """The species a folder is named after: slug, Dutch, English or scientific name, with or without `xeno-canto-`."""
    return find_species(normalise_name(folder.name).removeprefix("xeno_canto_"))


def find_species_folders(
    root: Path, species: Species, species_of: Callable[[Path], Species | None] = species_of_folder
) -> list[Path]:
    """The folders of `species` below `root`; several when, say, `merel` and `xeno-canto-merel` are both there."""
    if not root.is_dir():
        raise DataError(f"data.root={root} is not a folder; give one that holds xeno-canto-{species.slug}/<type>/*.mp3")
    try:
        return sorted(child for child in root.iterdir() if child.is_dir() and species_of(child) == species)
    except PermissionError:
        raise DataError(f"data.root={root} may not be read; change its permissions or give another folder") from None


def sound_files(folder: Path) -> Iterator[Path]:
    """Sound files below `folder`, without hidden files and the side folders that a NAS makes (`@eaDir`)."""
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith((".", "@", "#")) for part in path.relative_to(folder).parts)
        if not hidden and path.suffix.lower() in SOUND_SUFFIXES and path.is_file():
            yield path


def read_manifest(manifest: Path) -> list[dict[str, str]]:
    """Rows of a `recordings.csv` under our column names (see `COLUMN_NAMES`); unknown columns are left out."""
    rows = read_csv(manifest)
    known = {name for names in COLUMN_NAMES.values() for name in names}
    if rows and not known & set(rows[0]):
        raise DataError(f"{manifest} has none of the columns {', '.join(COLUMN_NAMES)}; give it a line of headings")
    return [
        {ours: next((row[name] for name in names if row.get(name)), "") for ours, names in COLUMN_NAMES.items()}
        for row in rows
    ]


def manifest_rows(folder: Path) -> dict[Path | str, dict[str, str]]:
    """Rows about files in `folder`, by path and by recording id; a manifest inside the folder wins over one above."""
    rows: dict[Path | str, dict[str, str]] = {}
    for manifest in (folder.parent / MANIFEST, folder / MANIFEST):
        if not manifest.is_file():
            continue
        for row in read_manifest(manifest):
            path = manifest.parent / row["file"]
            if row["file"] and path.is_relative_to(folder):
                rows[path] = row
            number = row["id"].upper().removeprefix("XC")
            if number:
                rows[f"XC{number}"] = row
    return rows


def read_species_folder(folder: Path, species: Species, flight_call: str = "call") -> list[Recording]:
    """The recordings in one species folder; those a manifest lists and the disk lacks are included.

    The manifest's type text decides, else the name of the type folder. A recording whose number occurs under two types
    is of several types; under one type twice, it counts once.
    """
    rows = manifest_rows(folder)
    on_disk = list(sound_files(folder))
    ids_on_disk = {recording_id(path, folder) for path in on_disk}
    lacking = [path for path in rows if isinstance(path, Path) and recording_id(path, folder) not in ids_on_disk]
    by_id: dict[str, list[Recording]] = defaultdict(list)
    for path in sorted([*on_disk, *lacking]):
        id = recording_id(path, folder)
        row = rows.get(path) or rows.get(id) or {}
        type_folder = path.relative_to(folder).parts[0] if path.parent != folder else ""
        by_id[id].append(recording_from(path, id, row, type_folder, species, flight_call))
    return [one_of(same_id) for same_id in by_id.values()]


def recording_from(
    path: Path, id: str, row: dict[str, str], type_folder: str, species: Species, flight_call: str
) -> Recording:
    """A recording from its manifest row (empty where there is none) and the name of the type folder it lies in."""
    type_text = row.get("type") or type_folder
    kind = classify_type(type_text, flight_call=flight_call)
    return Recording(
        id=id,
        path=path,
        species=species.slug,
        vocalization_type=kind if kind in VOCALIZATION_TYPES else None,
        type_text=type_text,
        recordist=row.get("recordist", ""),
        quality=row.get("quality", ""),
        licence=row.get("licence", ""),
        country=row.get("country", ""),
        date=row.get("date", ""),
        time=row.get("time", ""),
    )


def one_of(same_id: list[Recording]) -> Recording:
    """One recording for files of the same number; of several types when they do not agree."""
    if len({recording.vocalization_type for recording in same_id}) == 1:
        return same_id[0]
    return replace(same_id[0], vocalization_type=None, type_text=MULTILABEL)
