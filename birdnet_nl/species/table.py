"""The species table: one row of `species.csv` is one `Species`."""

import csv
import difflib
import fnmatch
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from birdnet_nl.util.errors import SelectionError


@dataclass(frozen=True)
class Species:
    """A species of the Netherlands.

    Attributes:
        slug: the key users type, e.g. `zwarte_mees`; lower case, no accents.
        birdnet: the scientific name BirdNET V2.4 uses where it differs from `scientific`, else empty.
        priority: 1 (first to be trained) to 3.
    """

    slug: str
    dutch: str
    english: str
    scientific: str
    birdnet: str
    priority: int

    @property
    def names(self) -> tuple[str, ...]:
        """Every name by which a user or a folder may call the species."""
        return tuple(name for name in (self.slug, self.dutch, self.english, self.scientific, self.birdnet) if name)


def normalise_name(name: str) -> str:
    """Lower case, without accents, words joined by `_`: `Zwarte  Mees`, `zwarte-mees` and `zwarte_mees` become one."""
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    words = "".join(char if char.isalnum() else " " for char in ascii_name.casefold().replace("'", "")).split()
    return "_".join(words)


@cache
def all_species() -> tuple[Species, ...]:
    """The 232 species in the order of the table."""
    with (files("birdnet_nl.species") / "species.csv").open(encoding="utf-8", newline="") as file:
        return tuple(Species(**{**row, "priority": int(row["priority"])}) for row in csv.DictReader(file))


@cache
def _by_name() -> dict[str, Species]:
    return {normalise_name(name): species for species in all_species() for name in species.names}


def find_species(name: str) -> Species | None:
    """The species called `name`: a slug or a Dutch, English or scientific name, in any case; whole names only."""
    return _by_name().get(normalise_name(name))


def similar_species(name: str, count: int = 3) -> list[Species]:
    """Up to `count` species whose name is close to a misspelt `name`, closest first."""
    close = difflib.get_close_matches(normalise_name(name), _by_name(), n=3 * count, cutoff=0.6)
    return list(dict.fromkeys(_by_name()[match] for match in close))[:count]


def get_species(name: str) -> Species:
    """The species called `name`; raises `SelectionError` with the nearest names when there is none."""
    species = find_species(name)
    if species is None:
        near = ", ".join(f"{found.slug} ({found.english})" for found in similar_species(name))
        hint = f"did you mean {near}?" if near else "see birdnet_nl/species/species.csv for the 232 species"
        raise SelectionError(f"species={name} is not a species of the Netherlands; {hint}")
    return species


def species_called(name: str) -> Sequence[Species]:
    """The species meant by a name, by `all`, by `priority1` to `priority3`, or by a pattern of slugs as `zwarte_*`.

    Raises `SelectionError` when there is none.
    """
    if name.casefold() == "all":
        return all_species()
    if name.startswith("priority") and name.removeprefix("priority").isdigit():
        found = [species for species in all_species() if species.priority == int(name.removeprefix("priority"))]
        if not found:
            raise SelectionError(f"species={name}: there are priority1, priority2 and priority3")
        return found
    if any(char in name for char in "*?["):
        found = [species for species in all_species() if fnmatch.fnmatchcase(species.slug, name.lower())]
        if not found:
            raise SelectionError(f"species={name} fits none of the 232 species; patterns are of slugs, as 'zwarte_*'")
        return found
    return [get_species(name)]
