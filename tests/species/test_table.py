"""The species table: its rows, the names that find a row, and pools of species."""

import csv
import dataclasses
from pathlib import Path

import pytest

from birdnet_nl.species.table import (
    all_species,
    find_species,
    get_species,
    normalise_name,
    pool_as_species,
    pooled_species,
)
from birdnet_nl.util.errors import SelectionError

TABLE = Path(__file__).resolve().parents[2] / "birdnet_nl" / "species" / "species.csv"


def test_all_232_rows_of_the_table_are_read():
    with TABLE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))[1:]
    assert len(rows) == 232
    assert [[*dataclasses.astuple(species)[:-1], str(species.priority)] for species in all_species()] == rows
    assert {species.priority for species in all_species()} == {1, 2, 3}


def test_slugs_are_unique_and_normalised():
    slugs = [species.slug for species in all_species()]
    assert len(set(slugs)) == 232
    assert [slug for slug in slugs if normalise_name(slug) != slug] == []


def test_no_name_belongs_to_two_species():
    owners: dict[str, set[str]] = {}
    for species in all_species():
        for name in species.names:
            owners.setdefault(normalise_name(name), set()).add(species.slug)
    assert {name: slugs for name, slugs in owners.items() if len(slugs) > 1} == {}
    assert "" not in owners


def test_each_name_in_any_case_finds_its_species():
    for species in all_species():
        for name in species.names:
            assert find_species(name) is species
            assert find_species(name.upper()) is species
            assert find_species(f"  {name.lower().replace(' ', '-')} ") is species


def test_synonyms_are_new_names_of_one_species_each():
    with TABLE.with_name("synonyms.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    own = {normalise_name(name) for species in all_species() for name in species.names}
    names = [normalise_name(row["name"]) for row in rows]
    assert len(set(names)) == len(names) and set(names) & own == set()
    assert [row for row in rows if find_species(row["name"]).slug != row["slug"]] == []


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Parus caeruleus", "pimpelmees"), ("Blue Tit", "pimpelmees"), ("Larus ridibundus", "kokmeeuw"),
        ("Grey Heron", "blauwe_reiger"), ("Vlaamse Gaai", "gaai"), ("Corvus monedula", "kauw"),
    ],
)  # fmt: skip
def test_former_names_and_those_of_other_lists_find_their_species(name, slug):
    assert find_species(name).slug == slug


@pytest.mark.parametrize(
    ("name", "normalised"),
    [
        ("Zwarte  Mees", "zwarte_mees"), ("zwarte-mees", "zwarte_mees"), ("Cetti's Zanger", "cettis_zanger"),
        ("Brünnich", "brunnich"), ("", ""), ("--", ""),
    ],
)  # fmt: skip
def test_names_are_normalised(name, normalised):
    assert normalise_name(name) == normalised


def test_a_part_of_a_name_finds_nothing():
    assert get_species("vink").scientific == "Fringilla coelebs"
    assert get_species("goudvink").scientific == "Pyrrhula pyrrhula"
    for part in ("goud", "koolm", "tit", "Parus", "mees", "vinkje"):
        assert find_species(part) is None


@pytest.mark.parametrize(
    ("misspelt", "slug"), [("kolmees", "koolmees"), ("meerel", "merel"), ("graet tit", "koolmees")]
)
def test_the_error_for_a_misspelt_name_suggests_the_closest_first(misspelt, slug):
    message = rf"^species={misspelt} is not a species of the Netherlands; did you mean {slug} \(.*\)\?$"
    with pytest.raises(SelectionError, match=message):
        get_species(misspelt)


def test_the_error_for_a_name_without_similar_species_names_the_table():
    with pytest.raises(SelectionError, match=r"species\.csv for the 232 species"):
        get_species("qqqqqq")


def test_pools_take_all_priorities_and_names_in_any_language():
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
def test_a_pool_has_a_short_slug(pool, slug):
    assert pool_as_species(pool).slug == slug


def test_unknown_names_and_empty_pools_raise():
    with pytest.raises(SelectionError, match="did you mean koolmees"):
        pooled_species(["koolmes"])
    with pytest.raises(SelectionError, match="names no species"):
        pooled_species([])
