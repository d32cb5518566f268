"""Which folders are judged, and one sentence for each mistake of a tired person."""

import pytest

from birdnet_nl.commands.evaluate_choice import choose_folders, trained_species
from birdnet_nl.species.table import get_species
from birdnet_nl.util.errors import DataError, SelectionError

KOOLMEES, MEREL, VINK = map(get_species, ("koolmees", "merel", "vink"))


@pytest.fixture
def root(tmp_path):
    for name in ("xeno-canto-koolmees", "Koolmees", "merel", "notes"):
        (tmp_path / "nas" / name / "song").mkdir(parents=True)
    return tmp_path / "nas"


def chosen(root, trained, *names):
    return {one.slug: [path.name for path in paths] for one, paths in choose_folders(root, trained, names).items()}


def test_the_trained_species_are_taken_with_all_their_folders(root):
    assert chosen(root, [KOOLMEES]) == {"koolmees": ["Koolmees", "xeno-canto-koolmees"]}


def test_of_a_pool_those_found_are_taken(root):
    assert list(chosen(root, [KOOLMEES, VINK, MEREL])) == ["koolmees", "merel"]


def test_named_species_stand_in_for_the_trained_ones(root):
    assert list(chosen(root, [KOOLMEES], "Eurasian Blackbird")) == ["merel"]
    assert set(chosen(root, [VINK], "all")) == {"koolmees", "merel"}


@pytest.mark.parametrize(
    ("below", "trained", "names", "parts"),
    [
        ("absent", KOOLMEES, [], ["is not a folder", "xeno-canto-<species>"]),
        ("", VINK, [], ["holds no recordings of vink, but of koolmees, merel", "--species"]),
        ("", KOOLMEES, ["merel", "vink"], ["holds no recordings of vink"]),
        ("notes", KOOLMEES, [], ["no species folder at all"]),
        ("xeno-canto-koolmees", KOOLMEES, [], ["the folder of koolmees itself; give the one above"]),
        ("xeno-canto-koolmees/song", KOOLMEES, [], ["the folder of koolmees itself", "nas"]),
    ],
)
def test_a_folder_that_cannot_be_meant(root, below, trained, names, parts):
    with pytest.raises(DataError) as caught:
        choose_folders(root / below, [trained], names)
    assert all(part in str(caught.value) for part in parts), caught.value


def test_a_misspelt_species_is_told(root):
    with pytest.raises(SelectionError, match="did you mean merel"):
        choose_folders(root, [KOOLMEES], ["merell"])


def test_a_pool_is_its_members():
    pool = {"species": {"slug": "pool-koolmees-vink"}, "pool": ["koolmees", "vink"]}
    assert trained_species(pool) == [KOOLMEES, VINK]
    assert trained_species({"species": {"slug": "merel"}, "pool": None}) == [MEREL]
