"""Several species as one job: which are meant, and what they are called together."""

import pytest

from birdnet_nl.species.pool import pool_as_species, pooled_species
from birdnet_nl.species.selection import prepare_arguments
from birdnet_nl.species.table import all_species
from birdnet_nl.util.errors import SelectionError


def test_all_and_patterns_and_names_in_any_language():
    assert pooled_species("all") == list(all_species())
    assert [species.slug for species in pooled_species(["great tit", "Merel", "koolmees"])] == ["koolmees", "merel"]
    assert {species.priority for species in pooled_species("priority1")} == {1}


@pytest.mark.parametrize(
    ("pool", "slug"),
    [
        ("all", "pool-all"),
        ("priority2", "pool-priority2"),
        (["koolmees", "merel"], "pool-koolmees-merel"),
        (["koolmees", "merel", "vink", "ekster", "roek"], "pool-koolmees-and-4-more"),
    ],
)
def test_a_pool_has_a_short_name_for_its_folder(pool, slug):
    assert pool_as_species(pool).slug == slug


def test_an_unknown_or_empty_pool_is_refused():
    with pytest.raises(SelectionError, match="did you mean koolmees"):
        pooled_species(["koolmes"])
    with pytest.raises(SelectionError, match="names no species"):
        pooled_species([])


def test_a_pool_needs_no_species_and_takes_none_besides():
    assert prepare_arguments(["data.pool=all", "--cfg", "job"]) == ["species=pool", "data.pool=all", "--cfg", "job"]
    assert prepare_arguments(["species=pool", "data.pool=all"]) == ["species=pool", "data.pool=all"]
    with pytest.raises(SelectionError, match="exclude each other"):
        prepare_arguments(["species=merel", "data.pool=all"])
