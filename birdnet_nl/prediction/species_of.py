"""Species of a recording from its folder or file name, and of a recogniser's label."""

import re
from functools import lru_cache
from pathlib import Path

from birdnet_nl.recordings.folder import species_of_folder
from birdnet_nl.species.table import Species, find_species, normalise_name

# labels of BirdNET and others that are not animals, as `normalise_name` writes them
NOT_A_BIRD = frozenset({
    "human_vocal", "human_non_vocal", "human_whistle", "human", "speech", "dog", "engine", "environmental",
    "fireworks", "gun", "noise", "power_tools", "siren", "nocall", "no_call", "no_bird", "no_detection", "background",
    "silence", "wind", "rain", "traffic", "aircraft", "insects", "non_bird", "other", "miscellaneous", "unknown",
})  # fmt: skip
BIRDNET_GO_NAME = re.compile(r"(?P<name>.+)_\d{1,3}p_\d{8}T\d{6}Z?(_\d+s)?", re.IGNORECASE)
BIRDNET_PI_NAME = re.compile(r"(?P<name>.+)-\d{1,3}-\d{4}-\d\d-\d\d-birdnet-.*", re.IGNORECASE)
XENO_CANTO_NAME = re.compile(r"XC\s*\d+\s*[-_]\s*(?P<name>[^-]+?)\s*(-.*)?", re.IGNORECASE)
FOLDERS_ABOVE = 2  # as in koolmees/song/XC1.mp3
HOMES = (Path("/home"), Path("/Users"))
SEPARATORS = re.compile(r"_|, | - |\(|\)|/|\|")


def species_of_file(path: Path, folder: Path) -> Species | None:
    """Return the species of the nearest folder named after one, else of the file's name.

    `folder`, the common folder of the inputs, and two folders above it count too, but no home folder: people may be
    called Merel. A file's name counts as BirdNET-Go (`parus_major_80p_…`), BirdNET-Pi (`Koolmees-85-…`) and Xeno-canto
    (`XC123 - Great Tit - …`) write it.
    """
    depth = len(path.parents) - len(folder.parents) + FOLDERS_ABOVE
    for parent in path.parents[:depth]:
        if parent == Path.home() or parent.parent in HOMES:
            break
        if species := _of_folder(parent):
            return species
    for pattern in (BIRDNET_GO_NAME, BIRDNET_PI_NAME, XENO_CANTO_NAME):
        if (match := pattern.fullmatch(path.stem)) and (species := find_species(match["name"])):
            return species
    return None


@lru_cache(maxsize=4096)
def _of_folder(folder: Path) -> Species | None:
    return species_of_folder(folder)


@lru_cache(maxsize=4096)
def species_of_label(*texts: str) -> Species | None:
    """Return the species of the first text that names one, alone or in a label such as `Parus major_Great Tit`."""
    for text in texts:
        if species := find_species(text):
            return species
        for part in SEPARATORS.split(text):
            if part.strip() and (species := find_species(part)):
                return species
    return None


def is_not_a_bird(*texts: str) -> bool:
    """Return whether a label names a noise of people, machines or weather, or nothing at all."""
    names = [normalise_name(part) for text in texts for part in [text, *SEPARATORS.split(text)]]
    return not any(names) or any(name in NOT_A_BIRD for name in names)
