"""`birdnet-nl evaluate`: choice of the folders, and one sentence for each folder that cannot be meant."""

import pytest

from birdnet_nl.commands.evaluate import choose_folders, claim_folder, trained_species, was_pretrained
from birdnet_nl.species.table import get_species
from birdnet_nl.util.errors import DataError, RunError, SelectionError

KOOLMEES, MEREL, VINK = map(get_species, ("koolmees", "merel", "vink"))


@pytest.fixture
def root(tmp_path):
    for name in ("xeno-canto-koolmees", "Koolmees", "merel", "notes"):
        (tmp_path / "nas" / name / "song").mkdir(parents=True)
    return tmp_path / "nas"


def chosen(root, trained, *names):
    folders = choose_folders(root, trained, names)
    return {species.slug: [path.name for path in paths] for species, paths in folders.items()}


def test_all_folders_of_the_trained_species_are_chosen(root):
    assert chosen(root, [KOOLMEES]) == {"koolmees": ["Koolmees", "xeno-canto-koolmees"]}


def test_the_members_of_a_pool_on_disk_are_chosen(root):
    assert list(chosen(root, [KOOLMEES, VINK, MEREL])) == ["koolmees", "merel"]


def test_named_species_replace_the_trained_ones(root):
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
def test_a_folder_that_cannot_be_meant_is_refused(root, below, trained, names, parts):
    with pytest.raises(DataError) as caught:
        choose_folders(root / below, [trained], names)
    assert all(part in str(caught.value) for part in parts), caught.value


def test_the_error_for_a_misspelt_species_suggests_one(root):
    with pytest.raises(SelectionError, match="did you mean merel"):
        choose_folders(root, [KOOLMEES], ["merell"])


def test_the_trained_species_of_a_pool_are_its_members():
    pool = {"species": {"slug": "pool-koolmees-vink"}, "pool": ["koolmees", "vink"]}
    assert trained_species(pool) == [KOOLMEES, VINK]
    assert trained_species({"species": {"slug": "merel"}, "pool": None}) == [MEREL]


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"synthetic": False}, False),
        ({"synthetic": False, "pretraining": {"steps": 2000}}, True),
        ({"synthetic": False, "embeddings": {"name": "birdnet"}}, False),
        ({"synthetic": False, "embeddings": {"name": "distilled"}}, True),
        ({"synthetic": True, "embeddings": {"name": "distilled"}}, False),
    ],
)
def test_networks_trained_on_synthetic_recordings_are_recognised(metadata, expected):
    assert was_pretrained(metadata) is expected


def test_a_folder_with_files_is_not_overwritten(tmp_path):
    assert claim_folder(tmp_path / "new").is_dir()
    (tmp_path / "new" / "metrics.json").touch()
    with pytest.raises(RunError, match="new is not empty; give another folder with --out"):
        claim_folder(tmp_path / "new")
