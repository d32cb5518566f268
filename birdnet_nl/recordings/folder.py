"""Recordings in folders: `xeno-canto-<slug>/<type>/*.mp3`, or the original's `spectrograms-<slug>/<type>/*.npy`.

Both layouts may have a `recordings.csv` in the species folder or above it.
"""

import os
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, reduce
from pathlib import Path

from birdnet_nl.recordings.folder_rows import rows_of_folder
from birdnet_nl.recordings.labels import MULTILABEL, UNKNOWN, classify_type
from birdnet_nl.recordings.listing import FolderListing, list_folder, path_order, printable_path
from birdnet_nl.recordings.recording import Recording, parse_number
from birdnet_nl.recordings.row_matching import Row, merge_rows, number_in_name
from birdnet_nl.recordings.sound_file import has_sound
from birdnet_nl.recordings.type_set import THREE, TypeSet
from birdnet_nl.species.table import Species, find_species, normalise_name
from birdnet_nl.util.errors import DataError
from birdnet_nl.util.files import did_you_mean

SPECTROGRAM_PREFIX = "spectrograms_"
SEGMENT_FILE = re.compile(r"(?P<recording>.+)_seg(?P<number>\d+)", re.IGNORECASE)


def recording_id(path: Path, folder: Path | None = None) -> str:
    """Return `XC123` if the file's name contains a Xeno-canto number, else the path below `folder` without suffix.

    Without `folder`, the name alone. Bytes that are not UTF-8 are written as in `printable_path`.
    """
    if number := number_in_name(path.stem):
        return number
    id = path.relative_to(folder or path.parent).with_suffix("").as_posix()
    return id if id.isascii() else printable_path(id)


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
    return species_folders(root, species_of).get(species, [])


def species_folders(
    root: Path, species_of: Callable[[Path], Species | None] = species_of_folder
) -> dict[Species, list[Path]]:
    """Return the folders directly below `root` by species, sorted; of links to the same folder the first."""
    folders: dict[Species, list[Path]] = {}
    seen: set[tuple[int, int]] = set()
    try:
        for child in sorted(root.iterdir()):
            if (species := species_of(child)) and child.is_dir():
                status = child.stat()
                if (identity := (status.st_dev, status.st_ino)) not in seen:
                    seen.add(identity)
                    folders.setdefault(species, []).append(child)
    except OSError as error:
        raise DataError(
            f"data.root={root} may not be read ({error.strerror}); change its permissions or give another folder"
        ) from None
    return folders


def sound_files(folder: Path) -> list[Path]:
    """Return the sound files below `folder`, each once, without hidden files and the system folders of a NAS."""
    listing = list_folder(folder)
    return [path for path in listing.sounds if path not in listing.same_file]


@dataclass(frozen=True)
class FolderContent:
    """Recordings of a species, and every file and manifest row that belongs to none.

    Attributes:
        recordings: each number once; also recordings that are in a manifest but not on disk.
        listings: every file below each of the species' folders.
        same_recording: the file that is used in its place, for each further file of a number.
        rows_without_file, files_without_row, ambiguous_rows: of the manifests, as text.
    """

    recordings: list[Recording]
    listings: list[FolderListing] = field(default_factory=list)
    same_recording: dict[Path, Path] = field(default_factory=dict)
    rows_without_file: list[str] = field(default_factory=list)
    files_without_row: list[str] = field(default_factory=list)
    ambiguous_rows: list[str] = field(default_factory=list)


def read_species_folder(folder: Path, species: Species, type_set: TypeSet = THREE) -> list[Recording]:
    """Read the recordings of a species folder, including those that are in the manifest but not on disk."""
    return read_species_folders([folder], species, type_set).recordings


def read_species_folders(folders: Sequence[Path], species: Species, type_set: TypeSet = THREE) -> FolderContent:
    """Read the recordings of all folders of a species, and list every other file in them.

    The type text of the manifest decides, else the name of the type folder. A number under two types becomes one
    multi-label recording; a number twice under the same type counts once, as does a file with several paths. Of several
    files of a number the first that can be read is used.
    """
    content = FolderContent([])
    by_id: dict[str, list[Recording]] = defaultdict(list)
    for folder in folders:
        for recording in _read_folder(folder, species, type_set, content):
            by_id[recording.id].append(recording)
    for recordings in by_id.values():
        if len(recordings) > 1:  # the first that can be read is used
            readable = next((at for at, recording in enumerate(recordings) if has_sound(recording.path)), 0)
            recordings.insert(0, recordings.pop(readable))
        content.recordings.append(merge_same_id(recordings))
        content.same_recording.update((other.path, recordings[0].path) for other in recordings[1:])
    return content


def _read_folder(folder: Path, species: Species, type_set: TypeSet, content: FolderContent) -> list[Recording]:
    """Return a recording for each file, in the order of their paths, and add everything else to `content`."""
    listing = list_folder(folder)
    content.listings.append(listing)
    start = len(os.fspath(folder)) + 1
    names = [os.fspath(path)[start:] for path in listing.sounds]
    paths_of: dict[Path, list[int]] = defaultdict(list)  # positions in `names` of all paths of one file
    for position, path in enumerate(listing.sounds):
        paths_of[listing.same_file.get(path, path)].append(position)
    ids = {path: recording_id(path, folder) for path in paths_of}
    found = rows_of_folder(folder, species, names, [ids[listing.same_file.get(path, path)] for path in listing.sounds])
    recordings = []
    for path, positions in paths_of.items():
        rows = [found.of_file[names[position]] for position in positions if names[position] in found.of_file]
        row = reduce(merge_rows, rows) if rows else {}
        text = row.get("type") or _type_text([names[position] for position in positions])
        recordings.append(make_recording(path, ids[path], row, text, species.slug, type_set))
    for path, row in found.missing:
        text = row["type"] or _type_text([path.relative_to(folder).as_posix()])
        id = recording_id(path, folder)
        recordings.append(make_recording(path, id, row, text, species.slug, type_set))
    unique = {names[position] for position, path in enumerate(listing.sounds) if path not in listing.same_file}
    content.rows_without_file.extend(found.without_file)
    content.files_without_row.extend(name for name in found.without_row if name in unique)
    content.ambiguous_rows.extend(found.ambiguous)
    return sorted(recordings, key=lambda recording: path_order(os.fspath(recording.path)[start:]))


def _type_text(names: Sequence[str]) -> str:
    """Return the name of the type folder of a file, given all its paths below the species folder.

    The first folder whose name is understood counts (`2019/song`), else the first. Several folders that contradict each
    other make a recording of several types.
    """
    folders = [name.split("/")[:-1] for name in names]
    texts = [next((text for text in parents if classify(text) != UNKNOWN), "") for parents in folders]
    types = {classify(text): text for text in reversed(texts) if text}
    if len(types) > 1:
        return MULTILABEL
    return next(iter(types.values()), folders[0][0] if folders[0] else "")


@lru_cache(maxsize=4096)
def classify(text: str, type_set: TypeSet = THREE) -> str:
    """Classify a type text as `classify_type` does, each text once."""
    return classify_type(text, type_set)


def make_recording(path: Path, id: str, row: Row, type_text: str, slug: str, type_set: TypeSet) -> Recording:
    """Build a recording from its manifest row (empty without one) and its type text."""
    label = classify(type_text, type_set)
    texts = ("recordist", "quality", "licence", "country", "date", "time", "remarks", "background", "sha256", "source")
    values = {name: row.get(name, "") for name in texts}
    for name in ("latitude", "longitude", "duration_s", "sample_rate_hz"):
        values[name] = parse_number(text) if (text := row.get(name, "")) else None
    latitude, longitude = values["latitude"], values["longitude"]
    if latitude is None or longitude is None or abs(latitude) > 90 or abs(longitude) > 180:
        values["latitude"] = values["longitude"] = None  # one coordinate alone is no place
    return Recording(id, path, slug, label if label in type_set.types else None, type_text, **values)


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


def read_spectrogram_folder(folder: Path, species: Species, type_set: TypeSet = THREE) -> list[Recording]:
    """Read the recordings whose segments are the files `<recording>_seg<NNN>.npy` of `folder`.

    The `path` of a recording is the common path of its files up to `_seg`.
    """
    type_folders = {}
    for path in sorted(folder.glob("*/*.npy")):
        match = SEGMENT_FILE.fullmatch(path.stem)
        type_folders[path.with_name(match["recording"] if match else path.stem)] = path.parent.name
    names = {path: path.relative_to(folder).as_posix() for path in type_folders}
    ids = [recording_id(path) for path in names]
    rows = rows_of_folder(folder, species, list(names.values()), ids).of_file
    by_id: dict[str, list[Recording]] = defaultdict(list)
    for path, type_folder in type_folders.items():
        id = recording_id(path)
        row = rows.get(names[path], {})
        by_id[id].append(make_recording(path, id, row, row.get("type") or type_folder, species.slug, type_set))
    return [merge_same_id(recordings) for recordings in by_id.values()]
