"""Downloads and imports of a species table of one's own, of a species outside it, and of further types."""

import pytest

from birdnet_nl.data.training_rules import read_type_set
from birdnet_nl.recordings.download import download
from birdnet_nl.recordings.download_filters import Filters
from birdnet_nl.recordings.download_plan import plan_downloads
from birdnet_nl.recordings.importing import import_recordings
from birdnet_nl.recordings.library import find_recordings
from birdnet_nl.species import table
from birdnet_nl.species.table import find_species, get_species, match_species, use_table

OWN = """slug,scientific,english,german
dipper,Cinclus cinclus,White-throated Dipper,Wasseramsel
great_tit,Parus major,Great Tit,Kohlmeise
"""


@pytest.fixture(autouse=True)
def tables_as_read(monkeypatch):
    monkeypatch.setenv(table.VARIABLE, "netherlands")
    table._read.cache_clear()
    yield
    table._read.cache_clear()


@pytest.fixture
def own_table(tmp_path):
    path = tmp_path / "own.csv"
    path.write_text(OWN, encoding="utf-8")
    use_table(path)


def fetch(client, root, species, types=("song", "call", "alarm")):
    plan = plan_downloads(species, client, root, Filters(types=types))
    return download(plan, client, root).fetched


def test_species_of_a_table_of_ones_own_are_downloaded_and_read(own_table, server, client_of, tmp_path):
    server.add(1, gen="Cinclus", sp="cinclus", en="White-throated Dipper")
    server.add(2)
    server.add(3, gen="Turdus", sp="merula")
    assert fetch(client_of(server), tmp_path / "data", match_species("all")) == 2
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["xeno-canto-dipper", "xeno-canto-great_tit"]
    recordings = find_recordings(tmp_path / "data")
    assert {(recording.id, recording.species) for recording in recordings} == {("XC1", "dipper"), ("XC2", "great_tit")}


def test_a_species_outside_the_table_is_downloaded_and_read(server, client_of, tmp_path):
    server.add(1, gen="Zonotrichia", sp="leucophrys", en="White-crowned Sparrow")
    server.add(2, gen="Zonotrichia", sp="albicollis")
    sparrow = get_species("Zonotrichia leucophrys")
    assert fetch(client_of(server), tmp_path, [sparrow]) == 1
    assert (tmp_path / "xeno-canto-zonotrichia_leucophrys" / "song" / "XC1.mp3").is_file()
    assert [recording.id for recording in find_recordings(tmp_path, sparrow)] == ["XC1"]


def test_other_sounds_are_downloaded_and_have_the_types_of_every_set(server, client_of, tmp_path):
    texts = {1: "drumming", 2: "call", 3: "flight call", 4: "begging call", 5: "subsong", 6: "duet"}
    for number, text in texts.items():
        server.add(number, type=text, gen="Dendrocopos", sp="major")
    woodpecker = get_species("grote_bonte_specht")
    assert fetch(client_of(server), tmp_path, [woodpecker], ("song", "call", "alarm", "other")) == 6

    def types(name: str) -> dict[str, str | None]:
        recordings = find_recordings(tmp_path, woodpecker, read_type_set(name))
        return {recording.id: recording.vocalization_type for recording in recordings}

    expected = ("drumming", "call", "flight_call", "begging", "subsong", "duet")
    assert types("ten") == {f"XC{number}": name for number, name in enumerate(expected, 1)}
    assert types("three") == {"XC1": None, "XC2": "call", "XC3": "call", "XC4": "call", "XC5": None, "XC6": None}


def test_folders_named_in_a_language_of_the_table_are_imported(own_table, server, tmp_path):
    for name in ("Wasseramsel", "Kohlmeise", "Amsel"):
        (tmp_path / "mine" / name / "song").mkdir(parents=True)
        (tmp_path / "mine" / name / "song" / f"{name}.mp3").write_bytes(server.sound)
    import_recordings(tmp_path / "mine", tmp_path / "data", how="copy")
    folders = sorted(path.name for path in (tmp_path / "data").iterdir())
    assert folders == ["xeno-canto-dipper", "xeno-canto-great_tit"]  # no Amsel: it is not in the table
    assert find_species("amsel") is None
