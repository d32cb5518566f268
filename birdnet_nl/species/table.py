"""Species table: each row of `species.csv` is one `Species`; several species together are a pool (`data.pool=`)."""

import csv
import difflib
import fnmatch
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from birdnet_nl.util.errors import SelectionError

MAX_NAMES_IN_SLUG = 3  # the slug of a larger pool holds the first species and a count


@dataclass(frozen=True)
class Species:
    """A species of the Netherlands.

    Attributes:
        slug: the key that users type, e.g. `zwarte_mees`; lower case, no accents.
        birdnet: the scientific name in BirdNET V2.4 where it differs from `scientific`, else empty.
        priority: 1 (to be trained first) to 3.
    """

    slug: str
    dutch: str
    english: str
    scientific: str
    birdnet: str
    priority: int

    @property
    def names(self) -> tuple[str, ...]:
        """All names that a user or a folder may use for the species."""
        return tuple(name for name in (self.slug, self.dutch, self.english, self.scientific, self.birdnet) if name)


def normalise_name(name: str) -> str:
    """Lower case, without accents, words joined by `_`: `Zwarte  Mees` and `zwarte-mees` become `zwarte_mees`."""
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    words = "".join(char if char.isalnum() else " " for char in ascii_name.casefold().replace("'", "")).split()
    return "_".join(words)


@cache
def all_species() -> tuple[Species, ...]:
    """Return the 232 species in the order of the table."""
    with (files("birdnet_nl.species") / "species.csv").open(encoding="utf-8", newline="") as file:
        return tuple(Species(**{**row, "priority": int(row["priority"])}) for row in csv.DictReader(file))


@cache
def _by_name() -> dict[str, Species]:
    species_of = {species.slug: species for species in all_species()}
    with (files("birdnet_nl.species") / "synonyms.csv").open(encoding="utf-8", newline="") as file:
        synonyms = {normalise_name(row["name"]): species_of[row["slug"]] for row in csv.DictReader(file)}
    return synonyms | {normalise_name(name): species for species in all_species() for name in species.names}


def find_species(name: str) -> Species | None:
    """Look up a species by slug or by its whole Dutch, English or scientific name, in any case.

    Names of other lists and former scientific names, in `synonyms.csv`, count too: `Blue Tit`, `Parus caeruleus`.
    """
    return _by_name().get(normalise_name(name))


def get_species(name: str) -> Species:
    """Look up a species as `find_species` does; raise `SelectionError` with the closest names if there is none."""
    species = find_species(name)
    if species is None:
        matches = difflib.get_close_matches(normalise_name(name), _by_name(), n=9, cutoff=0.6)
        closest = list(dict.fromkeys(_by_name()[match] for match in matches))[:3]
        similar = ", ".join(f"{species.slug} ({species.english})" for species in closest)
        hint = f"did you mean {similar}?" if similar else "see birdnet_nl/species/species.csv for the 232 species"
        raise SelectionError(f"species={name} is not a species of the Netherlands; {hint}")
    return species


def species_of_slug(slug: str) -> Species:
    """Return the species of a slug: one of the table, else one outside it, whose slug is its scientific name."""
    genus, _, rest = slug.partition("_")
    scientific = f"{genus.capitalize()} {rest.replace('_', ' ')}".strip()
    return find_species(slug) or Species(slug, scientific, scientific, scientific, birdnet="", priority=0)


def match_species(pattern: str) -> Sequence[Species]:
    """Return the species of a name, of `all`, of `priority1` to `priority3`, or of a pattern of slugs as `zwarte_*`.

    Raises `SelectionError` if nothing matches.
    """
    if pattern.casefold() == "all":
        return all_species()
    if pattern.startswith("priority") and pattern.removeprefix("priority").isdigit():
        priority = int(pattern.removeprefix("priority"))
        matches = [species for species in all_species() if species.priority == priority]
        problem = "does not exist; choose priority1, priority2 or priority3"
    elif any(char in pattern for char in "*?["):
        matches = [species for species in all_species() if fnmatch.fnmatchcase(species.slug, pattern.lower())]
        problem = "matches none of the 232 species; give a pattern of slugs such as 'zwarte_*'"
    else:
        return [get_species(pattern)]
    if not matches:
        raise SelectionError(f"species={pattern} {problem}")
    return matches


def pooled_species(pool: str | Sequence[str]) -> list[Species]:
    """Return the species of a value of `data.pool` in its order, each once; names as in `species=`.

    Raises `SelectionError` if a name does not exist or if there is none.
    """
    names = [pool] if isinstance(pool, str) else pool
    members = [species for name in names for species in match_species(str(name))]
    if not members:
        raise SelectionError("data.pool=[] names no species; give for example data.pool=[koolmees,pimpelmees] or all")
    return list(dict.fromkeys(members))


def pool_as_species(pool: str | Sequence[str]) -> Species:
    """Return a `Species` that represents a pool in the run directory, the report and the checkpoint."""
    members = pooled_species(pool)
    if len(members) == len(all_species()):
        slug, dutch, english = "pool-all", "alle soorten", "all species"
    elif isinstance(pool, str) and pool.startswith("priority"):
        slug, dutch, english = f"pool-{pool}", f"soorten van prioriteit {pool[-1]}", f"species of priority {pool[-1]}"
    elif len(members) <= MAX_NAMES_IN_SLUG:
        slug = "pool-" + "-".join(species.slug for species in members)
        dutch = " + ".join(species.dutch for species in members)
        english = " + ".join(species.english for species in members)
    else:
        first, others = members[0], len(members) - 1
        slug = f"pool-{first.slug}-and-{others}-more"
        dutch, english = f"{first.dutch} en {others} andere", f"{first.english} and {others} others"
    return Species(slug, dutch, english, scientific="a pool of species", birdnet="", priority=0)
