"""The table of 232 species, and by which names a row is found."""

import csv
import dataclasses
from collections import Counter
from pathlib import Path

import pytest

from birdnet_nl.species.table import (
    Species,
    all_species,
    find_species,
    get_species,
    normalise_name,
    similar_species,
)
from birdnet_nl.util.errors import SelectionError

TABLE = Path(__file__).resolve().parents[2] / "birdnet_nl" / "species" / "species.csv"


def test_the_table_has_232_rows_and_every_row_is_read():
    with TABLE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))[1:]
    assert len(rows) == 232
    read = [[*dataclasses.astuple(species)[:-1], str(species.priority)] for species in all_species()]
    assert read == rows


def test_no_slug_occurs_twice_and_every_slug_is_its_own_normalised_name():
    slugs = [species.slug for species in all_species()]
    assert len(set(slugs)) == 232
    assert [slug for slug in slugs if normalise_name(slug) != slug] == []


def test_no_name_means_two_species():
    owners: dict[str, set[str]] = {}
    for species in all_species():
        for name in species.names:
            owners.setdefault(normalise_name(name), set()).add(species.slug)
    assert {name: found for name, found in owners.items() if len(found) > 1} == {}
    assert "" not in owners


def test_every_species_is_found_by_each_of_its_names_in_any_case():
    for species in all_species():
        for name in species.names:
            assert find_species(name) is species
            assert find_species(name.upper()) is species
            assert find_species(f"  {name.lower()} ") is species


def test_priorities_are_1_to_3():
    assert set(Counter(species.priority for species in all_species())) == {1, 2, 3}


def test_the_missions_14_species_are_there():
    names = [
        "Roodborst", "Ekster", "Pimpelmees", "Koolmees", "Houtduif", "Grauwe Gans", "Koperwiek", "Winterkoning", "Vink",
        "Merel", "Turkse Tortel", "Kolgans", "Roek", "Boomkruiper",
    ]  # fmt: skip
    assert len(names) == 14
    assert [name for name in names if find_species(name) is None] == []


@pytest.mark.parametrize(
    "name", ["koolmees", "Koolmees", "KOOLMEES", "Parus major", "parus_major", "great tit", "Great-Tit", " Great  Tit "]
)
def test_dutch_english_and_latin_names_find_the_same_row(name):
    assert get_species(name).slug == "koolmees"


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("Zwarte  Mees", "zwarte_mees"),
        ("zwarte-mees", "zwarte_mees"),
        ("Cetti's Zanger", "cettis_zanger"),
        ("Brünnich", "brunnich"),
        ("", ""),
        ("--", ""),
    ],
)
def test_names_are_normalised_by_hand(written, normal):
    assert normalise_name(written) == normal


def test_a_part_of_a_name_is_never_taken_for_the_name():
    assert get_species("vink").scientific == "Fringilla coelebs"
    assert get_species("goudvink").scientific == "Pyrrhula pyrrhula"
    for part in ("goud", "koolm", "tit", "Parus", "mees", "vinkje"):
        assert find_species(part) is None


@pytest.mark.parametrize(
    ("misspelt", "meant"), [("kolmees", "koolmees"), ("meerel", "merel"), ("graet tit", "koolmees")]
)
def test_a_misspelt_name_is_answered_with_the_nearest_first(misspelt, meant):
    assert similar_species(misspelt)[0].slug == meant
    with pytest.raises(SelectionError, match=f"^species={misspelt} is not a species of the Netherlands; did you mean "):
        get_species(misspelt)


def test_similar_species_are_few_and_different():
    near = similar_species("zwarte", count=3)
    assert len(near) == len(set(near)) <= 3


def test_a_name_like_nothing_is_answered_with_the_table():
    with pytest.raises(SelectionError, match=r"species\.csv for the 232 species"):
        get_species("qqqqqq")


def test_a_species_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        get_species("merel").slug = "vink"
    assert isinstance(get_species("merel"), Species)
