"""Species of a model are those it was trained for, whichever table is in use."""

from dataclasses import asdict

import pytest

from birdnet_nl.species import table
from birdnet_nl.species.stored import store_pool, stored_species
from birdnet_nl.species.table import find_species, pooled_species, use_table
from birdnet_nl.species.table_file import EUROPE, NETHERLANDS

OWN = """slug,scientific,english,priority
great_tit,Parus major,Great Tit,1
crown_sparrow,Zonotrichia leucophrys,White-crowned Sparrow,1
merel,Melospiza melodia,Song Sparrow,2
"""


@pytest.fixture
def own_table(tmp_path):
    path = tmp_path / "own.csv"
    path.write_text(OWN, encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def tables_as_read(monkeypatch):
    """Forget the species that tables learned of models, before and after each test."""
    monkeypatch.setenv("BIRDNET_NL_SPECIES_TABLE", NETHERLANDS)
    table._read.cache_clear()
    yield
    table._read.cache_clear()


def metadata(choice, pool) -> dict:
    use_table(choice)
    members = pooled_species(pool)
    return {
        "species": {"slug": "pool-all"},
        "pool": [species.slug for species in members],
        "pool_species": store_pool(members),
    }


def test_a_pool_of_the_built_in_table_stores_no_names():
    assert metadata(NETHERLANDS, "all")["pool_species"] == []


@pytest.mark.parametrize("choice", [NETHERLANDS, EUROPE, "own"])
def test_a_pool_keeps_its_species_where_another_table_is_in_use(choice, own_table):
    stored = metadata(own_table if choice == "own" else choice, "all")
    trained = pooled_species("all")
    use_table(NETHERLANDS)
    found = stored_species(stored)
    assert [species.scientific for species in found] == [species.scientific for species in trained]


def test_species_of_a_model_are_found_by_their_names_afterwards(own_table):
    stored = metadata(own_table, ["crown_sparrow"])
    use_table(NETHERLANDS)
    assert find_species("White-crowned Sparrow") is None
    (species,) = stored_species(stored)
    assert find_species("white-crowned sparrow") == find_species("crown_sparrow") == species


def test_a_species_that_the_table_in_use_has_is_that_of_the_table(own_table):
    stored = metadata(NETHERLANDS, ["koolmees"])
    use_table(own_table)
    assert [species.slug for species in stored_species(stored)] == ["great_tit"]


def test_a_slug_that_is_another_bird_in_the_table_in_use_is_not_taken_for_it(own_table):
    stored = metadata(own_table, ["merel"])
    use_table(NETHERLANDS)
    (species,) = stored_species(stored)
    assert species.scientific == "Melospiza melodia"
    assert find_species("merel").scientific == "Turdus merula"


def test_earlier_checkpoints_stored_slugs_alone():
    assert stored_species({"species": {"slug": "merel"}, "pool": None}) == [find_species("merel")]
    slugs = ["koolmees", "zonotrichia_leucophrys"]
    koolmees, sparrow = stored_species({"species": {"slug": "pool"}, "pool": slugs})
    assert koolmees == find_species("koolmees")
    assert sparrow.scientific == "Zonotrichia leucophrys"


def test_a_model_of_one_species_stores_its_names(own_table):
    use_table(own_table)
    stored = {"species": asdict(find_species("crown_sparrow")), "pool": None}
    use_table(NETHERLANDS)
    assert stored_species(stored)[0].english == "White-crowned Sparrow"
