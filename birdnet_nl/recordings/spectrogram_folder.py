"""The original's spectrograms: `spectrograms-<slug>/<type>/<recording>_seg<NNN>.npy`, one file per segment."""

import re
from pathlib import Path

from birdnet_nl.recordings.folder import manifest_rows, one_of, recording_from, recording_id
from birdnet_nl.recordings.recording import Recording
from birdnet_nl.species.table import Species, find_species, normalise_name

PREFIX = "spectrograms_"
SEGMENT_FILE = re.compile(r"(?P<recording>.+)_seg(?P<number>\d+)", re.IGNORECASE)


def species_of_spectrogram_folder(folder: Path) -> Species | None:
    """The species of `spectrograms-<name>`, by any of its names."""
    name = normalise_name(folder.name)
    return find_species(name.removeprefix(PREFIX)) if name.startswith(PREFIX) else None


def segment_files(recording: Recording) -> list[Path]:
    """The files of one recording's segments, in the order of their numbers."""
    found = []
    for path in recording.path.parent.glob("*.npy"):
        match = SEGMENT_FILE.fullmatch(path.stem)
        if match and match["recording"] == recording.path.name:
            found.append((int(match["number"]), path))
    return [path for _, path in sorted(found)]


def read_spectrogram_folder(folder: Path, species: Species, flight_call: str = "call") -> list[Recording]:
    """The recordings whose segments lie in `folder`; `path` is that of their files up to `_seg`.

    What belongs to one recording is told by the file names. A `recordings.csv` inside or above gives more.
    """
    rows = manifest_rows(folder)
    names = {}
    for path in sorted(folder.glob("*/*.npy")):
        match = SEGMENT_FILE.fullmatch(path.stem)
        names[path.with_name(match["recording"] if match else path.stem)] = path.parent.name
    by_id: dict[str, list[Recording]] = {}
    for path, type_folder in names.items():
        id = recording_id(path)
        recording = recording_from(path, id, rows.get(id) or {}, type_folder, species, flight_call)
        by_id.setdefault(id, []).append(recording)
    return [one_of(same_id) for same_id in by_id.values()]
