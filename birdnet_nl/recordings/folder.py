"""Recordings in folders: `xeno-canto-<slug>/<type>/*.mp3`, or the original's `spectrograms-<slug>/<type>/*.npy`.

Both layouts may have a `recordings.csv` in the species folder or above it.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from birdnet_nl.recordings.labels import MULTILABEL, classify_type
from birdnet_nl.recordings.manifest import Row, manifest_rows
from birdnet_nl.recordings.recording import VOCALIZATION_TYPES, Recording, parse_number
from birdnet_nl.recordings.sound_file import SOUND_SUFFIXES
from birdnet_nl.species.table import Species, find_species, normalise_name
from birdnet_nl.util.errors import DataError
from birdnet_nl.util.files import did_you_mean

SPECTROGRAM_PREFIX = "spectrograms_"
SEGMENT_FILE = re.compile(r"(?P<recording>.+)_seg(?P<number>\d+)", re.IGNORECASE)


def recording_id(path: Path, folder: Path | None = None) -> str:
    """Return `XC123` if the file's name contains a Xeno-canto number, else the path below `folder` without suffix.

    Without `folder`, the name alone.
    """
    number = re.search(r"XC\s*(\d+)", path.stem, re.IGNORECASE)
    below = path.relative_to(folder or path.parent)
    return f"XC{number[1]}" if number else below.with_suffix("").as_posix()


def species_of_folder(folder: Path) -> Species | None:
    """Return the species of a folder name: slug, Dutch, English or scientific, with or without `xeno-canto-`."""
    return find_species(normalise_name(folder.name).removeprefix("xeno_canto_"))


def find_species_folders(
    root: Path, species: Species, species_of: Callable[[Path], Species | None] = species_of_folder
) -> list[Path]:
    """Return the folders of `species` directly below `root`; several if, e.g., `merel` and `xeno-canto-merel` exist."""
    if not root.is_dir():
        raise DataError(
            f"data.root={root} is not a folder{did_you_mean(root)}; give one that holds "
            f"xeno-canto-{species.slug}/<type>/*.mp3"
        )
    try:
        return sorted(child for child in root.iterdir() if child.is_dir() and species_of(child) == species)
    except PermissionError:
        raise DataError(f"data.root={root} may not be read; change its permissions or give another folder") from None


def sound_files(folder: Path) -> Iterator[Path]:
    """Yield the sound files below `folder`, without hidden files and the system folders of a NAS (`@eaDir`)."""
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith((".", "@", "#")) for part in path.relative_to(folder).parts)
        if not hidden and path.suffix.lower() in SOUND_SUFFIXES and path.is_file():
            yield path


def read_species_folder(folder: Path, species: Species, flight_call: str = "call") -> list[Recording]:
    """Read the recordings of a species folder, including those that are in the manifest but not on disk.

    The type text of the manifest decides, else the name of the type folder. A number under two types becomes one
    multi-label recording; a number twice under the same type counts once.
    """
    rows = manifest_rows(folder)
    on_disk = list(sound_files(folder))
    ids_on_disk = {recording_id(path, folder) for path in on_disk}
    missing = [path for path in rows if isinstance(path, Path) and recording_id(path, folder) not in ids_on_disk]
    by_id: dict[str, list[Recording]] = defaultdict(list)
    for path in sorted([*on_disk, *missing]):
        id = recording_id(path, folder)
        row = rows.get(path) or rows.get(id) or {}
        type_folder = path.relative_to(folder).parts[0] if path.parent != folder else ""
        by_id[id].append(make_recording(path, id, row, row.get("type") or type_folder, species.slug, flight_call))
    return [merge_same_id(recordings) for recordings in by_id.values()]


def make_recording(path: Path, id: str, row: Row, type_text: str, slug: str, flight_call: str) -> Recording:
    """Build a recording from its manifest row (empty without one) and its type text."""
    label = classify_type(type_text, flight_call=flight_call)
    texts = ("recordist", "quality", "licence", "country", "date", "time", "remarks", "background", "sha256")
    values = {name: row.get(name, "") for name in texts}
    for name in ("latitude", "longitude", "duration_s", "sample_rate_hz"):
        values[name] = parse_number(row.get(name, ""))
    latitude, longitude = values["latitude"], values["longitude"]
    if latitude is None or longitude is None or abs(latitude) > 90 or abs(longitude) > 180:
        values["latitude"] = values["longitude"] = None  # one coordinate alone is no place
    return Recording(id, path, slug, label if label in VOCALIZATION_TYPES else None, type_text, **values)


def merge_same_id(recordings: list[Recording]) -> Recording:
    """Return one recording for files of the same number: multi-label if their types differ."""
    if len({recording.vocalization_type for recording in recordings}) == 1:
        return recordings[0]
    return replace(recordings[0], vocalization_type=None, type_text=MULTILABEL)


def species_of_spectrogram_folder(folder: Path) -> Species | None:
    """Return the species of `spectrograms-<name>`, by any of its names."""
    name = normalise_name(folder.name)
    return find_species(name.removeprefix(SPECTROGRAM_PREFIX)) if name.startswith(SPECTROGRAM_PREFIX) else None


def segment_files(recording: Recording) -> list[Path]:
    """Return the spectrogram files of a recording's segments, in the order of their numbers."""
    matches = {path: SEGMENT_FILE.fullmatch(path.stem) for path in recording.path.parent.glob("*.npy")}
    own = [path for path, match in matches.items() if match and match["recording"] == recording.path.name]
    return sorted(own, key=lambda path: (int(matches[path]["number"]), path))


def read_spectrogram_folder(folder: Path, species: Species, flight_call: str = "call") -> list[Recording]:
    """Read the recordings whose segments are the files `<recording>_seg<NNN>.npy` of `folder`.

    The `path` of a recording is the common path of its files up to `_seg`.
    """
    rows = manifest_rows(folder)
    type_folders = {}
    for path in sorted(folder.glob("*/*.npy")):
        match = SEGMENT_FILE.fullmatch(path.stem)
        type_folders[path.with_name(match["recording"] if match else path.stem)] = path.parent.name
    by_id: dict[str, list[Recording]] = defaultdict(list)
    for path, type_folder in type_folders.items():
        id = recording_id(path)
        row = rows.get(id) or {}
        by_id[id].append(make_recording(path, id, row, row.get("type") or type_folder, species.slug, flight_call))
    return [merge_same_id(recordings) for recordings in by_id.values()]
