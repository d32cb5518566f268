"""Recordings with all their metadata, for notebooks and overviews; also as a pandas frame."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from birdnet_nl.recordings.folder import (
    FolderContent,
    make_recording,
    read_species_folders,
    recording_id,
    species_folders,
    species_of_folder,
)
from birdnet_nl.recordings.manifest import MANIFEST, read_manifest_rows
from birdnet_nl.recordings.recording import Recording, complete_url
from birdnet_nl.recordings.row_matching import Row, path_parts, row_number
from birdnet_nl.recordings.type_set import THREE, TypeSet
from birdnet_nl.species.table import Species, find_species, match_species
from birdnet_nl.util.errors import DataError, SetupError
from birdnet_nl.util.files import did_you_mean

if TYPE_CHECKING:
    import pandas


def find_recordings(root: str | Path, species: Species | str = "all", type_set: TypeSet = THREE) -> list[Recording]:
    """Find the recordings below `root` of one species or of several (`all`, `priority1`, `zwarte_*`); may be empty.

    Each number counts once, as in training. Raises `DataError` if `root` is not a folder or a manifest is corrupt, and
    `SelectionError` if the species does not exist.
    """
    folders = find_folders(root)
    members = [species] if isinstance(species, Species) else match_species(species)
    return [
        recording
        for member in members
        if member in folders
        for recording in read_species(folders[member], member, type_set).recordings
    ]


def find_folders(root: str | Path) -> dict[Species, list[Path]]:
    """Return the species folders below `root` by species; raises `DataError` if `root` is not a folder."""
    root = Path(root).expanduser()
    if not root.is_dir():
        raise DataError(
            f"{root} is not a folder{did_you_mean(root)}; give the one that holds xeno-canto-<species>/<type>/*.mp3"
        )
    return species_folders(root)


def read_species(folders: Sequence[Path], species: Species, type_set: TypeSet = THREE) -> FolderContent:
    """Read the folders of a species, as in training, with complete addresses of licences."""
    content = read_species_folders(folders, species, type_set)
    return dataclasses.replace(content, recordings=list(map(_with_complete_licence, content.recordings)))


def read_manifest(manifest: str | Path, type_set: TypeSet = THREE) -> list[Recording]:
    """Read every row of a `recordings.csv` (the file, or its folder); the sound files may be missing."""
    path = Path(manifest).expanduser()
    path = path / MANIFEST if path.is_dir() else path
    if path.name != MANIFEST or not path.is_file():
        raise DataError(
            f"{path} is no {MANIFEST}; give a folder that has one, or use birdnet-nl import for other tables"
        )
    return [_row_recording(row, path.parent, type_set) for row in read_manifest_rows(path)]


def as_frame(records: Sequence[Any]) -> "pandas.DataFrame":
    """Convert recordings (or dataclass objects of any one class) to a pandas frame, one column a field, paths as text.

    Raises `SetupError` if pandas is not installed.
    """
    try:
        import pandas  # optional; nothing else here needs it
    except ImportError:
        raise SetupError("as_frame makes a pandas frame and pandas is not installed; run: pip install pandas") from None

    names = [field.name for field in dataclasses.fields(records[0] if records else Recording)]
    rows = [[getattr(record, name) for name in names] for record in records]
    frame = pandas.DataFrame(rows, columns=names)
    if "path" in names:
        frame["path"] = frame["path"].astype(str)
    return frame


def _row_recording(row: Row, manifest_folder: Path, type_set: TypeSet) -> Recording:
    path = manifest_folder / "/".join(path_parts(row["file"]))
    folder = path.parent.parent if path.parent.parent.is_relative_to(manifest_folder) else path.parent
    names = (row["slug"], row["scientific"], row["english"])
    species = next((species for name in names if (species := find_species(name))), None) or species_of_folder(folder)
    id = row_number(row) or recording_id(path, folder)
    slug = species.slug if species else ""
    return _with_complete_licence(make_recording(path, id, row, row["type"], slug, type_set))


def _with_complete_licence(recording: Recording) -> Recording:
    if (licence := complete_url(recording.licence)) == recording.licence:
        return recording
    return dataclasses.replace(recording, licence=licence)
