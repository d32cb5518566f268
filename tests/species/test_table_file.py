"""Species tables of one's own, the table of Europe, and species outside every table."""

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

import birdnet_nl.commands.train_main  # noqa: F401  registers the species
from birdnet_nl.data.sources import choose_source
from birdnet_nl.species.selection import prepare_arguments, register_species
from birdnet_nl.species.table import (
    VARIABLE,
    all_species,
    find_species,
    get_species,
    match_species,
    species_table,
    use_table,
)  # fmt: skip
from birdnet_nl.species.table_file import read_table
from birdnet_nl.sweep.job import use_table_of
from birdnet_nl.util.conf_values import conf_dir
from birdnet_nl.util.errors import DataError, SelectionError

MY_TABLE = """scientific;english;deutsch;priority
Cinclus cinclus;White-throated Dipper;Wasseramsel;1
Parus major;Great Tit;Kohlmeise;2
Turdus migratorius;American Robin;Wanderdrossel;
"""


@pytest.fixture(autouse=True)
def _same_table_afterwards(monkeypatch):
    monkeypatch.setenv(VARIABLE, "netherlands")
    yield
    monkeypatch.setenv(VARIABLE, "netherlands")
    register_species()


@pytest.fixture
def my_table(tmp_path):
    path = tmp_path / "my birds.csv"
    path.write_text(MY_TABLE, encoding="utf-8")
    return path


def composed(arguments: list[str]):
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return compose("train", prepare_arguments(arguments))


def test_a_table_of_ones_own_names_its_species_in_any_language(my_table):
    use_table(my_table)
    assert [species.slug for species in all_species()] == ["cinclus_cinclus", "parus_major", "turdus_migratorius"]
    assert [species.priority for species in all_species()] == [1, 2, 3]
    assert find_species("wasseramsel") is find_species("Cinclus cinclus") is find_species("white-throated dipper")
    # names of the built-in tables for the same species: a folder xeno-canto-koolmees is found
    assert find_species("Koolmees").slug == find_species("Kohlmeise").slug == "parus_major"
    assert find_species("waterspreeuw").slug == "cinclus_cinclus"
    assert find_species("merel") is None
    assert [species.slug for species in match_species("*_m*")] == ["parus_major", "turdus_migratorius"]
    with pytest.raises(SelectionError, match=r"my birds\.csv; did you mean parus_major"):
        get_species("kohlmeisse")


def test_the_table_of_a_training_is_recorded(my_table):
    cfg = composed(["species=Wanderdrossel", f"species.table={my_table}"])
    assert cfg.species.slug == "turdus_migratorius" and cfg.species.dutch == "American Robin"
    assert cfg.species_table == str(my_table)
    cfg = composed(["species.table=europe", "species=Alpenkauw"])
    assert cfg.species.scientific == "Pyrrhocorax graculus" and cfg.species_table == "europe"


def test_a_table_from_the_environment_is_recorded_too(my_table, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(my_table))
    assert prepare_arguments(["species=Kohlmeise"]) == [f"species_table='{my_table}'", "species=parus_major"]


def test_the_table_of_europe_contains_that_of_the_netherlands():
    europe, netherlands = read_table("Europe"), read_table("netherlands")
    assert 380 <= len(europe) <= 450
    missing = {species.slug for species in netherlands.species} - set(europe.slugs)
    assert missing == {"indische_gans", "carolina_eend", "heilige_ibis"}  # exotic in Europe
    names = [(name.lower(), species.slug) for species in europe.species for name in species.names]
    slugs_of: dict[str, set[str]] = {}
    for name, slug in names:
        slugs_of.setdefault(name, set()).add(slug)
    assert [name for name, slugs in slugs_of.items() if len(slugs) > 1] == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("naam,priority\nmerel,1\n", "has no column scientific .columns: naam, priority."),
        ("", "has no column scientific .columns: none."),
        ("scientific\n", "holds no species"),
        ("scientific,priority\nParus major,7\n", "row 2: priority 7 is not 1, 2 or 3"),
        ("slug,scientific\nmees,\n", "row 2: the scientific name is missing"),
        ("slug,scientific\nmees,Parus major\nmees,Parus minor\n", "row 3: mees is already in row 2"),
        ("slug,scientific\nall,Parus major\n", "all cannot be a slug"),
    ],
)
def test_a_table_that_cannot_be_used_is_one_sentence(tmp_path, text, message):
    path = tmp_path / "table.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SelectionError, match=message):
        prepare_arguments([f"species.table={path}", "species=merel"])


def test_a_missing_table_and_several_tables_are_one_sentence(my_table):
    with pytest.raises(SelectionError, match=r"cannot be read .No such file.*did you mean .*my birds\.csv"):
        use_table(my_table.with_name("my bird.csv"))
    with pytest.raises(SelectionError, match=r"did you mean europe\?"):
        use_table("europa")
    with pytest.raises(SelectionError, match="one for all its jobs"):
        prepare_arguments(["species.table=europe,netherlands", "species=merel"])


def test_a_species_outside_the_table_is_given_by_its_scientific_name():
    assert composed(["species=Zonotrichia leucophrys"]).species.slug == "zonotrichia_leucophrys"
    assert composed(["species=zonotrichia_leucophrys"]).species.priority == 0
    assert find_species("Zonotrichia leucophrys").slug == "zonotrichia_leucophrys"
    assert len(all_species()) == 232 and "zonotrichia_leucophrys" not in species_table().slugs


@pytest.mark.parametrize(
    "name", ["Parus majr", "grote_bonte_spect", "great titt", "blue bird", "Parus", "Cyanistes caeruleu"]
)
def test_a_typing_error_is_no_species_outside_the_table(name):
    with pytest.raises(SelectionError, match="did you mean"):
        get_species(name)


def test_recordings_of_a_species_outside_the_table_are_found_and_never_replaced_by_the_demo(tmp_path, monkeypatch):
    species = get_species("Melospiza melodia")
    folder = tmp_path / "data" / "xeno-canto-melospiza_melodia" / "song"
    folder.mkdir(parents=True)
    assert choose_source("xeno_canto", tmp_path / "data", species).folders == (folder.parent,)
    monkeypatch.chdir(tmp_path)
    assert choose_source("auto", None, species).folders
    with pytest.raises(DataError, match="melospiza_georgiana"):
        choose_source("auto", None, get_species("Melospiza georgiana"))


def test_a_large_table_is_read_without_making_its_species(tmp_path):
    path = tmp_path / "world.csv"
    rows = "".join(f"Genus{number} species,Bird {number}\n" for number in range(12_000))
    path.write_text(f"scientific,english\n{rows}", encoding="utf-8")
    table = read_table(str(path))
    assert len(table) == 12_000 and table.find("genus777_species").english == "Bird 777"
    assert len(table._species) == 1 and "row_of_name" not in table.__dict__


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["species=merel", "--cfg", "job"], ["species_table=europe", "species=merel", "--cfg", "job"]),
        (["--cfg", "job", "trainer=fast"], ["--cfg", "job", "species_table=europe", "trainer=fast"]),
        (["-cd", "a=b", "-m", "species=merel"], ["-cd", "a=b", "-m", "species_table=europe", "species=merel"]),
        (["--cfg", "job"], ["--cfg", "job", "species_table=europe"]),
    ],
)  # fmt: skip
def test_the_table_is_beside_the_other_overrides(arguments, expected):
    """Hydra refuses overrides on both sides of an option."""
    assert prepare_arguments(["species.table=europe", *arguments]) == expected


@pytest.mark.parametrize("blank", ["", ",,", " , , ", "\t"])
def test_blank_rows_are_passed_over(tmp_path, blank):
    path = tmp_path / "table.csv"
    path.write_text(f"scientific,english,priority\nParus major,Great Tit,1\n{blank}\nMelospiza melodia,,\n")
    assert read_table(str(path)).slugs == ["parus_major", "melospiza_melodia"]


def test_blanks_around_names_do_not_matter(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(
        "slug,scientific,english\n great  tit ,Parus major , Great (Tit)\n,Melospiza  melodia,Song  Sparrow\n"
    )
    table = read_table(str(path))
    assert table.slugs == ["great_tit", "melospiza_melodia"]
    assert (
        table.find("great tit").scientific == "Parus major" and table.find("Song Sparrow").slug == "melospiza_melodia"
    )


def test_a_configuration_brings_its_table(my_table):
    """As on a machine where none was chosen, or when a run is resumed."""
    use_table_of(OmegaConf.create({"species_table": str(my_table)}))
    assert species_table().name == str(my_table)
    use_table_of(OmegaConf.create({}))  # of an earlier version
    assert species_table().name == str(my_table)
