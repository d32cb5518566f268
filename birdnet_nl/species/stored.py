"""Species as a run and a model file store them: they keep their names where another species table is in use."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from typing import Any

from birdnet_nl.species.table import find_species, know_species, species_of_slug
from birdnet_nl.species.table_file import NETHERLANDS, Species, built_in_table

FIELDS = tuple(field.name for field in fields(Species))


def store_pool(pool: Iterable[Species] | None) -> list[dict[str, Any]]:
    """Return the species of a pool that the built-in table does not have in this form, as plain values."""
    built_in = built_in_table(NETHERLANDS)
    return [asdict(species) for species in pool or () if built_in.find(species.slug) != species]


def stored_species(metadata: Mapping[str, Any]) -> list[Species]:
    """Return the species that a model was trained for, from the metadata of a checkpoint, a report or a manifest.

    From here on they are found by their names, too, also where the table in use does not have them. A species that the
    table in use has under another slug is that of the table.
    """
    stored = {values["slug"]: values for values in metadata.get("pool_species") or ()}
    stored[metadata["species"]["slug"]] = metadata["species"]
    slugs = metadata.get("pool") or [metadata["species"]["slug"]]
    return [in_table_of_use(_species(stored.get(slug, {"slug": slug}))) for slug in slugs]


def in_table_of_use(species: Species) -> Species:
    """Return a species of a model as the table in use has it, by its scientific name, else as it is."""
    found = find_species(species.scientific)
    return found if found is not None and found.scientific == species.scientific else know_species(species)


def _species(values: Mapping[str, Any]) -> Species:
    """Build a species from stored values, of which earlier versions stored the slug alone."""
    if set(FIELDS) <= set(values):
        return Species(**{name: values[name] for name in FIELDS})
    return built_in_table(NETHERLANDS).find(values["slug"]) or species_of_slug(values["slug"])
