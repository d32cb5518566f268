"""The species table in use, its names, and several species together: a pool (`data.pool=`)."""

import difflib
import fnmatch
import os
import re
from collections.abc import Sequence
from functools import lru_cache

from birdnet_nl.species.table_file import BUILT_IN, NETHERLANDS, Species, SpeciesTable, normalise_name, read_table
from birdnet_nl.util.errors import SelectionError

__all__ = [
    "Species", "all_species", "find_species", "get_species", "know_species", "match_species", "normalise_name",
    "pool_as_species", "pooled_species", "species_of_slug", "species_table", "use_table",
]  # fmt: skip

VARIABLE = "BIRDNET_NL_SPECIES_TABLE"  # environment variable, so that the processes of a sweep use the same table
OUTSIDE = 0  # priority of a species outside the table
MAX_NAMES_IN_SLUG = 3  # the slug of a larger pool holds the first species and a count
RESERVED = frozenset({"all", "pool", "null"})  # values of `species=` with a meaning of their own
SCIENTIFIC_NAME = re.compile(r"[A-Z][a-z]{2,}( [a-z]{3,}){1,2}")  # as people write it, beside names of the table
SCIENTIFIC_SLUG = re.compile(r"[a-z]{3,}(_[a-z]{3,}){1,2}")


def use_table(choice: str | os.PathLike[str] | None) -> SpeciesTable:
    """Use a table in this process and in those it starts: `netherlands` (default), `europe` or a CSV file.

    Raises:
        SelectionError: if it cannot be used, see `read_table`.
    """
    choice = os.fspath(choice) if choice else NETHERLANDS
    if choice.casefold() not in BUILT_IN:
        choice = os.path.abspath(os.path.expanduser(choice))  # noqa: PTH100, PTH111  links stay as they are
    table = _read(choice)
    os.environ[VARIABLE] = table.name
    return table


def species_table() -> SpeciesTable:
    """Return the table in use."""
    return _read(os.environ.get(VARIABLE) or NETHERLANDS)


@lru_cache(maxsize=8)
def _read(choice: str) -> SpeciesTable:
    table = read_table(choice)
    if taken := RESERVED.intersection(table.slugs):
        raise SelectionError(f"{choice}: {min(taken)} cannot be a slug, because species={min(taken)} has a meaning")
    return table


def all_species() -> tuple[Species, ...]:
    """Return the species of the table in use, in its order; of the Netherlands, 232."""
    return species_table().species


def find_species(name: str) -> Species | None:
    """Look up a species by slug or by its whole Dutch, English or scientific name, in any case.

    Names of other lists and former scientific names, in `synonyms.csv`, count too: `Blue Tit`, `Parus caeruleus`.
    """
    return species_table().find(name)


def get_species(name: str) -> Species:
    """Look up a species as `find_species` does, or one outside the table by its scientific name.

    Raises:
        SelectionError: if there is none, or if the name is nearly one of the table; with the closest names.
    """
    species = find_species(name)
    if species is not None:
        return species
    key, table = normalise_name(name), species_table()
    matches = difflib.get_close_matches(key, table.row_of_name, n=9, cutoff=0.6)
    closest = list(dict.fromkeys(table.find(match) for match in matches))[:3]
    is_typing_error = bool(difflib.get_close_matches(key, matches, n=1, cutoff=0.8))
    name = " ".join(name.split())
    if not is_typing_error and (SCIENTIFIC_NAME.fullmatch(name) or SCIENTIFIC_SLUG.fullmatch(name)):
        return table.add(species_of_slug(key))
    similar = ", ".join(f"{species.slug} ({species.english})" for species in closest)
    hint = f"did you mean {similar}?" if similar else f"see {_source(table)} for the {len(table)} species"
    raise SelectionError(
        f"species={name} is not a species of {_place(table)}; {hint}"
        + ("" if is_typing_error else " Species outside the table are given as in species='Zonotrichia leucophrys'")
    )


def _source(table: SpeciesTable) -> str:
    return f"birdnet_nl/species/{BUILT_IN[table.name]}" if table.name in BUILT_IN else table.name


def _place(table: SpeciesTable) -> str:
    return {"netherlands": "the Netherlands", "europe": "Europe"}.get(table.name, table.name)


def know_species(species: Species) -> Species:
    """Let `find_species` find a species outside the table by its names, in this process."""
    return species_table().add(species)


def species_of_slug(slug: str) -> Species:
    """Return the species of a slug: one of the table, else one outside it, whose slug is its scientific name."""
    genus, _, rest = slug.partition("_")
    scientific = f"{genus.capitalize()} {rest.replace('_', ' ')}".strip()
    return find_species(slug) or Species(slug, scientific, scientific, scientific, birdnet="", priority=OUTSIDE)


def is_slug(slug: str) -> bool:
    """Return whether a text is the slug of a species of the table, or has the form of one outside it."""
    return slug in species_table() or SCIENTIFIC_SLUG.fullmatch(slug) is not None


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
        problem = f"matches none of the {len(all_species())} species; give a pattern of slugs such as 'zwarte_*'"
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
