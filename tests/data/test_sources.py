"""Where recordings come from: the user's folder, or the demo."""

import re
from pathlib import Path

import pytest

from birdnet_nl.data import sources
from birdnet_nl.data.sources import DEMO_MARK, DemoSettings, SourceChoice, choose_source, read_source
from birdnet_nl.recordings.type_set import THREE
from birdnet_nl.species.table import get_species
from birdnet_nl.util.errors import DataError

MEREL = get_species("merel")
NO_DEMO = DemoSettings(folder="nowhere", recordings_per_type=1, difficulty="normal", seed=0)
NOWHERE = Path("nowhere")


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    """An empty working directory, so that the default root `data` is ours to make."""
    monkeypatch.chdir(tmp_path)
    return tmp_path / "data"


def make(folder: Path, *names: str) -> Path:
    for name in names or ("song/XC1.mp3",):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    return folder


@pytest.mark.parametrize("name", ["merel", "xeno-canto-merel", "Turdus merula"])
def test_auto_uses_the_users_recordings_where_they_are(root, name):
    folder = make(root / name)
    choice = choose_source("auto", None, MEREL)
    assert not choice.synthetic
    assert [path.resolve() for path in choice.folders] == [folder]


def test_auto_uses_the_demo_where_the_default_root_or_the_species_in_it_is_missing(root):
    why = "no recordings of merel in ./data; give data.root=<folder> for your own"
    assert choose_source("auto", None, MEREL) == SourceChoice(synthetic=True, folders=(), why=why)
    make(root / "koolmees")
    assert choose_source("auto", None, MEREL) == SourceChoice(synthetic=True, folders=(), why=why)


@pytest.mark.parametrize("source", ["auto", "xeno_canto"])
def test_a_named_root_must_hold_the_species(tmp_path, source):
    for slug in ("koolmees", "vink"):
        make(tmp_path / f"xeno-canto-{slug}")
    with pytest.raises(DataError) as info:
        choose_source(source, tmp_path, MEREL)
    assert "folders of 2 other species (koolmees, vink" in str(info.value)
    assert f"{tmp_path}/xeno-canto-merel/" in str(info.value)
    assert "data=demo" in str(info.value)


@pytest.mark.parametrize("source", ["auto", "xeno_canto"])
def test_an_empty_or_missing_named_root_raises(tmp_path, source):
    with pytest.raises(DataError, match="no species folder at all and none of merel"):
        choose_source(source, tmp_path, MEREL)
    with pytest.raises(DataError, match="is not a folder"):
        choose_source(source, tmp_path / "absent", MEREL)


def test_xeno_canto_never_falls_back_on_the_demo(root):
    with pytest.raises(DataError, match=re.escape("data.root=data is not a folder")):
        choose_source("xeno_canto", None, MEREL)


def test_the_error_for_the_species_folder_itself_names_the_one_above(tmp_path, monkeypatch):
    folder = make(tmp_path / "xeno-canto-merel")
    for given in (folder, str(folder)):
        above = re.escape(str(tmp_path))
        with pytest.raises(DataError, match=f"is the folder of merel itself; give the one above: {above}"):
            choose_source("auto", given, MEREL)
    monkeypatch.chdir(folder)
    with pytest.raises(DataError, match="is the folder of merel itself"):
        choose_source("auto", ".", MEREL)


def test_demo_is_the_demo_whatever_the_root_holds(tmp_path):
    make(tmp_path / "merel")
    assert choose_source("demo", tmp_path, MEREL) == SourceChoice(synthetic=True, folders=(), why="data=demo")


def test_demo_recordings_in_the_users_root_stay_synthetic(tmp_path):
    folder = make(tmp_path / "xeno-canto-merel")
    assert not choose_source("xeno_canto", tmp_path, MEREL).synthetic
    (folder / DEMO_MARK).write_text("{}")
    assert choose_source("xeno_canto", tmp_path, MEREL).synthetic


def test_a_home_directory_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    make(tmp_path / "sounds" / "merel")
    assert choose_source("auto", "~/sounds", MEREL).folders == (tmp_path / "sounds" / "merel",)


def test_recordings_of_two_folders_are_joined_and_each_counts_once(tmp_path):
    make(tmp_path / "merel", "song/XC1.mp3", "call/XC2.mp3")
    make(tmp_path / "xeno-canto-merel", "song/XC1.mp3", "alarm/XC3.mp3")
    choice = choose_source("xeno_canto", tmp_path, MEREL)
    found = read_source(choice, MEREL, NO_DEMO, NOWHERE, THREE)
    assert sorted((recording.id, recording.vocalization_type) for recording in found) == [
        ("XC1", "song"), ("XC2", "call"), ("XC3", "alarm"),
    ]  # fmt: skip


def test_a_species_folder_without_sounds_raises(tmp_path):
    make(tmp_path / "merel", "song/notes.txt")
    choice = choose_source("xeno_canto", tmp_path, MEREL)
    with pytest.raises(DataError, match=r"^merel: no sound files in .*; expected <song\|call\|alarm>/\*\.mp3"):
        read_source(choice, MEREL, NO_DEMO, NOWHERE, THREE)


def test_the_demo_is_made_where_the_settings_say(tmp_path, monkeypatch):
    asked = {}

    def fake(root, slug, **options):
        asked.update(root=root, slug=slug, **options)
        return make(root / f"xeno-canto-{slug}", "song/XC900000001.mp3")

    monkeypatch.setattr(sources, "make_demo_species", fake)
    settings = DemoSettings(folder=str(tmp_path), recordings_per_type=7, difficulty="hard", seed=3)
    found = read_source(SourceChoice(synthetic=True, folders=()), MEREL, settings, NOWHERE, THREE)
    assert [recording.id for recording in found] == ["XC900000001"]
    assert asked == {
        "root": tmp_path, "slug": "merel", "recordings_per_type": 7, "seed": 3, "difficulty": "hard", "median_s": 13.0,
    }  # fmt: skip


def test_a_number_under_two_types_in_two_folders_is_multilabel(tmp_path):
    make(tmp_path / "merel", "song/XC1.mp3", "call/XC2.mp3")
    make(tmp_path / "xeno-canto-merel", "alarm/XC1.mp3")
    found = read_source(choose_source("xeno_canto", tmp_path, MEREL), MEREL, NO_DEMO, NOWHERE, THREE)
    assert {recording.id: recording.vocalization_type for recording in found} == {"XC1": None, "XC2": "call"}


def test_an_empty_root_as_from_an_empty_environment_variable_is_no_root(root):
    make(root / "merel")
    assert not choose_source("auto", "", MEREL).synthetic
