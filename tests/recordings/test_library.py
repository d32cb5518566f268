"""Recordings with all metadata of the manifest, as objects and as a pandas frame."""

import sys

import pytest

from birdnet_nl.recordings.library import as_frame, find_recordings, read_manifest, read_species
from birdnet_nl.species.table import get_species
from birdnet_nl.util.errors import DataError, SelectionError, SetupError

FULL = {
    "file": "song/XC1.wav", "xc_id": "1", "slug": "koolmees", "type": "adult, male, song", "quality": "B",
    "recordist": "Anna", "licence": "//creativecommons.org/licenses/by-nc-sa/4.0/", "country": "Netherlands",
    "date": "2023-04-00", "time": "06:30", "latitude": "52.36", "longitude": "6.46", "duration_s": "12.5",
    "sample_rate_hz": "48000", "remarks": "in the garden", "background": "Turdus merula", "sha256": "ab12",
}  # fmt: skip


@pytest.fixture
def root(tmp_path, make_recordings_folder):
    make_recordings_folder(tmp_path, "koolmees", {"song": 2, "call": 1}, duration_s=0.1)
    make_recordings_folder(tmp_path, "zwarte_mees", {"alarm": 1}, duration_s=0.1, first_number=50)
    return tmp_path


def by_id(root):
    return {recording.id: recording for recording in find_recordings(root, "koolmees")}


def test_a_recording_has_all_columns_of_its_manifest_row(root, write_manifest):
    write_manifest(root / "xeno-canto-koolmees", [FULL])
    third, first, second = find_recordings(root, "Great Tit")  # in the order of the folders
    assert (first.id, first.species, first.vocalization_type) == ("XC1", "koolmees", "song")
    assert (first.recordist, first.quality, first.country) == ("Anna", "B", "Netherlands")
    assert first.remarks == "in the garden"
    assert first.licence == "https://creativecommons.org/licenses/by-nc-sa/4.0/"
    assert (first.latitude, first.longitude, first.duration_s, first.sample_rate_hz) == (52.36, 6.46, 12.5, 48000.0)
    assert (first.path, first.time, first.type_text) == (
        root / "xeno-canto-koolmees/song/XC1.wav", "06:30", "adult, male, song",
    )  # fmt: skip
    assert (first.date, first.month, first.sha256, first.background) == ("2023-04-00", 4, "ab12", "Turdus merula")
    assert {second.id, third.id} == {"XC2", "XC3"}
    assert second.latitude is None and second.month is None and second.date == ""


def test_columns_of_the_api_are_read(root, write_manifest):
    row = {
        "catnr": "XC2", "type": "song", "rec": " Anna ", "q": "A", "lic": "CC", "cnt": "Spain", "lat": "40.1",
        "lng": "-3.5", "length": "1:05", "rmk": "near",
    }  # fmt: skip
    write_manifest(root, [row])  # in the folder above, found by number
    second = by_id(root)["XC2"]
    assert (second.country, second.latitude, second.longitude, second.remarks) == ("Spain", 40.1, -3.5, "near")
    assert (second.recordist, second.quality, second.licence, second.duration_s) == ("Anna", "A", "CC", 65.0)


@pytest.mark.parametrize(
    ("latitude", "longitude"), [("", "6.4"), ("52", ""), ("north", "6"), ("95", "6"), ("52", "190"), ("nan", "6")]
)
def test_incomplete_coordinates_are_none(root, write_manifest, latitude, longitude):
    write_manifest(root / "xeno-canto-koolmees", [{**FULL, "latitude": latitude, "longitude": longitude}])
    first = by_id(root)["XC1"]
    assert first.latitude is None and first.longitude is None


def test_one_several_or_all_species_are_found(root):
    assert {recording.species for recording in find_recordings(root)} == {"koolmees", "zwarte_mees"}
    assert [recording.id for recording in find_recordings(root, "zwarte_*")] == ["XC50"]
    assert len(find_recordings(str(root), get_species("koolmees"))) == 3
    assert find_recordings(root, "merel") == []


def test_a_manifest_is_read_without_its_files(tmp_path, write_manifest):
    missing = {**FULL, "file": "call/XC9.mp3", "xc_id": "9", "type": "song, alarm call", "slug": "merel"}
    manifest = write_manifest(tmp_path, [FULL, missing])
    for path in (tmp_path, manifest, str(manifest)):
        first, second = read_manifest(path)
        assert (first.id, first.path, first.species) == ("XC1", tmp_path / "song/XC1.wav", "koolmees")
        assert (second.id, second.species, second.vocalization_type) == ("XC9", "merel", None)
        assert second.type_text == "song, alarm call"


def test_the_folder_gives_the_species_where_the_manifest_does_not(tmp_path, write_manifest):
    (tmp_path / "xeno-canto-merel").mkdir()
    write_manifest(tmp_path / "xeno-canto-merel", [{"file": "song/one.mp3", "type": "song"}])
    (recording,) = read_manifest(tmp_path / "xeno-canto-merel")
    assert (recording.id, recording.species) == ("song/one", "merel")


def test_impossible_arguments_raise(root, tmp_path):
    with pytest.raises(DataError, match="is not a folder; give the one that holds"):
        find_recordings(tmp_path / "nowhere", "koolmees")
    with pytest.raises(SelectionError, match="did you mean koolmees"):
        find_recordings(root, "koolmes")
    with pytest.raises(DataError, match=r"is no recordings.csv; give a folder"):
        read_manifest(root)


def test_duplicate_files_have_the_same_id(root):
    folder = root / "xeno-canto-koolmees"
    (folder / "call" / "XC1 - Great Tit.wav").write_bytes((folder / "song" / "XC1.wav").read_bytes())
    content = read_species([folder], get_species("koolmees"))
    assert content.same_recording == {folder / "song" / "XC1.wav": folder / "call" / "XC1 - Great Tit.wav"}


def test_of_two_files_of_a_number_the_one_that_can_be_read_is_used(root):
    folder = root / "xeno-canto-koolmees"
    page = folder / "song" / "XC1 (0).mp3"
    page.write_text("<!DOCTYPE html><p>Too many requests</p>")
    content = read_species([folder], get_species("koolmees"))
    assert content.same_recording == {page: folder / "song" / "XC1.wav"}
    assert folder / "song" / "XC1.wav" in {recording.path for recording in content.recordings}


def test_recordings_convert_to_a_frame(root, write_manifest):
    pandas = pytest.importorskip("pandas")
    write_manifest(root / "xeno-canto-koolmees", [FULL])
    frame = as_frame(find_recordings(root))
    assert len(frame) == 4 and list(frame.columns[:3]) == ["id", "path", "species"]
    assert frame.set_index("id").loc["XC1", "latitude"] == 52.36
    assert isinstance(frame["path"][0], str)
    assert isinstance(as_frame([]), pandas.DataFrame)


def test_the_error_without_pandas_names_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(SetupError, match="run: pip install pandas"):
        as_frame([])
