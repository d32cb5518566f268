"""Which species folders `birdnet-nl evaluate` judges."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from birdnet_nl.recordings.folder import species_of_folder
from birdnet_nl.species.table import Species, get_species, species_called
from birdnet_nl.util.errors import DataError

LAYOUT = "xeno-canto-<species>/<song|call|alarm>/*.mp3"


def choose_folders(data: Path, trained: Sequence[Species], names: Sequence[str]) -> dict[Species, list[Path]]:
    """The folders below `data` of the species named, else of those that were trained; raises `DataError` if none.

    Of a species named by itself there must be recordings; of `all`, a pattern or a pool those found are taken.
    """
    below = folders_below(data)
    wanted = [species for name in names for species in species_called(name)] or list(trained)
    chosen = {species: below[species] for species in wanted if species in below}
    named = {species_called(name)[0] for name in names if len(species_called(name)) == 1}
    lacking = [species.slug for species in wanted if species not in below and (species in named or not chosen)]
    if lacking:
        raise DataError(_lacking(data, lacking, below))
    return chosen


def folders_below(data: Path) -> dict[Species, list[Path]]:
    """The species folders in `data`, several where `merel` and `xeno-canto-merel` are both there."""
    if not data.is_dir():
        raise DataError(f"--data {data} is not a folder; give the one that holds {LAYOUT}")
    found: dict[Species, list[Path]] = {}
    try:
        folders = sorted(child for child in data.iterdir() if child.is_dir())
    except PermissionError:
        raise DataError(f"--data {data} may not be read; change its permissions or give another folder") from None
    for folder in folders:
        if species := species_of_folder(folder):
            found.setdefault(species, []).append(folder)
    return found


def trained_species(card: Mapping[str, Any]) -> list[Species]:
    """The species a network was trained on, one or the members of its pool."""
    return [get_species(slug) for slug in card.get("pool") or [card["species"]["slug"]]]


def _lacking(data: Path, lacking: Sequence[str], below: Mapping[Species, Sequence[Path]]) -> str:
    whole = data.resolve()
    for folder in (whole, whole.parent):
        if (itself := species_of_folder(folder)) and not below:
            return f"--data {data} is (in) the folder of {itself.slug} itself; give the one above: {folder.parent}"
    wanted = ", ".join(lacking[:5]) + (f" or {len(lacking) - 5} others" if len(lacking) > 5 else "")
    if not below:
        return f"--data {data} holds no species folder at all; give the one that holds {LAYOUT}"
    slugs = [species.slug for species in below]
    others = f"{', '.join(slugs[:5])}{', …' if len(slugs) > 5 else ''}"
    return (
        f"--data {data} holds no recordings of {wanted}, but of {others}; give another folder, or name with --species "
        "what the network is to judge"
    )
