"""Recordings for notebooks and overviews: all that folders and manifests say of them, typed or as a pandas frame."""

import dataclasses
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from birdnet_nl.recordings.choice import parse_length_s, whole_url
from birdnet_nl.recordings.folder import (
    MANIFEST,
    find_species_folders,
    read_species_folder,
    recording_id,
    sound_files,
    species_of_folder,
)
from birdnet_nl.recordings.folder import read_manifest as read_known_columns
from birdnet_nl.recordings.labels import classify_type
from birdnet_nl.recordings.manifest import Row
from birdnet_nl.recordings.recording import VOCALIZATION_TYPES, Recording
from birdnet_nl.species.table import Species, find_species, species_called
from birdnet_nl.util.csv_table import read_csv
from birdnet_nl.util.errors import DataError, SetupError

if TYPE_CHECKING:
    import pandas

FURTHER_COLUMN_NAMES = {  # beyond those that training needs: ours, and what Xeno-canto's API calls the same
    "species": ("slug", "scientific", "english"),
    "latitude": ("latitude", "lat"),
    "longitude": ("longitude", "lon", "lng"),
    "duration_s": ("duration_s", "length"),
    "sample_rate_hz": ("sample_rate_hz", "smp"),
    "remarks": ("remarks", "rmk"),
    "background": ("background", "also"),
    "sha256": ("sha256",),
}
_TEXTS = ("remarks", "background", "sha256")
_NUMBERS = ("latitude", "longitude", "duration_s", "sample_rate_hz")


@dataclass(frozen=True)
class FoundRecording(Recording):
    """A recording with the rest of its manifest row; texts are empty and numbers None where nothing is known.

    Attributes:
        duration_s, sample_rate_hz: what the manifest says; nothing is decoded here.
        sha256: of the file when it was fetched or imported.
    """

    latitude: float | None = None
    longitude: float | None = None
    duration_s: float | None = None
    sample_rate_hz: float | None = None
    remarks: str = ""
    background: str = ""
    sha256: str = ""


def find_recordings(
    root: str | Path, species: Species | str = "all", flight_call: str = "call"
) -> list[FoundRecording]:
    """The recordings below `root` of one species, or of several (`all`, `priority1`, `zwarte_*`); often an empty list.

    Each number counts once, as in training. Raises `DataError` when `root` is no folder or a manifest is corrupt, and
    `SelectionError` when there is no such species.
    """
    root = Path(root).expanduser()
    if not root.is_dir():
        raise DataError(f"{root} is not a folder; give the one that holds xeno-canto-<species>/<type>/*.mp3")
    found: dict[tuple[str, str], FoundRecording] = {}
    for one in [species] if isinstance(species, Species) else species_called(species):
        for folder in find_species_folders(root, one):
            recordings = read_species_folder(folder, one, flight_call)
            by_path, by_id = _rows_about(folder)
            for recording in recordings:
                row = by_path.get(recording.path) or by_id.get(recording.id) or {}
                found.setdefault((one.slug, recording.id), _with_row(recording, row))
    return list(found.values())


def read_manifest(manifest: str | Path, flight_call: str = "call") -> list[FoundRecording]:
    """Every row of a `recordings.csv` (the file, or its folder), whether its sound file is there or not."""
    path = Path(manifest).expanduser()
    path = path / MANIFEST if path.is_dir() else path
    if path.name != MANIFEST or not path.is_file():
        raise DataError(
            f"{path} is no {MANIFEST}; give a folder that has one, or use birdnet-nl import for other tables"
        )
    return [_recording_of(row, path.parent, flight_call) for row in _rows(path)]


def files_by_id(folders: Iterable[Path]) -> dict[str, list[Path]]:
    """The sound files below the folders by recording id; one that has several was put there twice."""
    files: dict[str, list[Path]] = defaultdict(list)
    for folder in folders:
        for path in sound_files(folder):
            files[recording_id(path, folder)].append(path)
    return dict(files)


def as_frame(records: Sequence[Any]) -> "pandas.DataFrame":
    """Recordings (or any dataclass objects of one kind) as a pandas frame, a column for each field, paths as text."""
    try:
        import pandas  # optional; nothing else here needs it
    except ImportError:
        raise SetupError("as_frame makes a pandas frame and pandas is not installed; run: pip install pandas") from None

    names = [field.name for field in dataclasses.fields(records[0] if records else FoundRecording)]
    rows = [[getattr(record, name) for name in names] for record in records]
    frame = pandas.DataFrame(rows, columns=names)
    if "path" in names:
        frame["path"] = frame["path"].astype(str)
    return frame


def _rows_about(folder: Path) -> tuple[dict[Path, Row], dict[str, Row]]:
    """Manifest rows by path and by recording id; a manifest inside the folder wins over one above."""
    by_path: dict[Path, Row] = {}
    by_id: dict[str, Row] = {}
    for manifest in (folder.parent / MANIFEST, folder / MANIFEST):
        for row in _rows(manifest) if manifest.is_file() else ():
            if row["file"]:
                by_path[manifest.parent / row["file"]] = row
            if number := row["id"].upper().removeprefix("XC"):
                by_id[f"XC{number}"] = row
    return by_path, by_id


def _rows(manifest: Path) -> list[Row]:
    """Rows under our column names, the further ones too; `species` is the first name in the row that is one."""
    known = read_known_columns(manifest)  # checks that it is a manifest
    texts = read_csv(manifest)
    rows = []
    for row, text in zip(known, texts, strict=True):
        further = {
            ours: [text[name] for name in names if text.get(name)] for ours, names in FURTHER_COLUMN_NAMES.items()
        }
        species = next((found.slug for name in further.pop("species") if (found := find_species(name))), "")
        rows.append(
            row | {ours: values[0] if values else "" for ours, values in further.items()} | {"species": species}
        )
    return rows


def _recording_of(row: Row, home: Path, flight_call: str) -> FoundRecording:
    path = home / row["file"]
    folder = path.parent.parent if path.parent.parent.is_relative_to(home) else path.parent
    species = find_species(row["species"]) or species_of_folder(folder)
    number = row["id"].upper().removeprefix("XC")
    kind = classify_type(row["type"], flight_call=flight_call)
    recording = Recording(
        id=f"XC{number}" if number else recording_id(path, folder),
        path=path,
        species=species.slug if species else "",
        vocalization_type=kind if kind in VOCALIZATION_TYPES else None,
        type_text=row["type"],
        recordist=row["recordist"],
        quality=row["quality"],
        licence=row["licence"],
        country=row["country"],
        date=row["date"],
        time=row["time"],
    )
    return _with_row(recording, row)


def _number(text: str) -> float | None:
    """A number, or minutes and seconds (`1:05`) in seconds; None for anything else."""
    try:
        value = parse_length_s(text) if ":" in text else float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _with_row(recording: Recording, row: Row) -> FoundRecording:
    fields = {field.name: getattr(recording, field.name) for field in dataclasses.fields(Recording)}
    fields["licence"] = whole_url(fields["licence"])
    fields |= {name: row.get(name, "") for name in _TEXTS}
    fields |= {name: _number(row.get(name, "")) for name in _NUMBERS}
    latitude, longitude = fields["latitude"], fields["longitude"]
    if latitude is None or longitude is None or abs(latitude) > 90 or abs(longitude) > 180:
        fields["latitude"] = fields["longitude"] = None  # half a place is none
    return FoundRecording(**fields)
