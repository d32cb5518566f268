"""Recordings in folders: every way a folder may be called, and what a manifest beside or above it says."""

import dataclasses
from pathlib import Path

import pytest

from birdnet_nl.recordings.folder import (
    find_species_folders,
    read_manifest,
    read_species_folder,
    recording_id,
    species_of_folder,
)
from birdnet_nl.species.table import get_species
from birdnet_nl.util.errors import DataError

MEREL = get_species("merel")

# The original lost Merel because its directory was not called as expected.
NAMINGS = [
    "xeno-canto-merel", "merel", "Merel", "MEREL", "Xeno-Canto-Merel", "xeno_canto_merel", "xeno-canto-Turdus merula",
    "Turdus merula", "turdus_merula", "Turdus-merula", "Eurasian Blackbird", "xeno-canto-eurasian-blackbird",
]  # fmt: skip


def by_id(folder: Path, **options):
    return {recording.id: recording for recording in read_species_folder(folder, MEREL, **options)}


@pytest.fixture
def touch():
    """Makes empty files; what lies in them is not read here."""

    def make(folder: Path, *names: str) -> Path:
        for name in names:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")
        return folder

    return make


@pytest.mark.parametrize("name", NAMINGS)
def test_merel_is_found_whatever_its_folder_is_called(tmp_path, touch, name):
    folder = touch(tmp_path / name, "song/XC1.mp3")
    touch(tmp_path / "xeno-canto-koolmees", "song/XC2.mp3")
    assert species_of_folder(folder) == MEREL
    assert find_species_folders(tmp_path, MEREL) == [folder]
    assert list(by_id(folder)) == ["XC1"]


@pytest.mark.parametrize("name", ["merels", "xeno-canto-", "goudmerel", "spectrograms-merel", "merel (old)", "data"])
def test_other_folders_are_not_merel(tmp_path, touch, name):
    touch(tmp_path / name, "song/XC1.mp3")
    assert find_species_folders(tmp_path, MEREL) == []


def test_vink_is_not_found_in_goudvink(tmp_path, touch):
    touch(tmp_path / "xeno-canto-goudvink", "song/XC1.mp3")
    touch(tmp_path / "appelvink", "song/XC2.mp3")
    assert find_species_folders(tmp_path, get_species("vink")) == []


def test_two_folders_of_one_species_are_both_found(tmp_path, touch):
    touch(tmp_path / "merel", "song/XC1.mp3")
    touch(tmp_path / "xeno-canto-merel", "call/XC2.mp3")
    assert [folder.name for folder in find_species_folders(tmp_path, MEREL)] == ["merel", "xeno-canto-merel"]


def test_a_file_named_like_the_species_is_no_folder(tmp_path):
    (tmp_path / "merel").write_text("notes")
    assert find_species_folders(tmp_path, MEREL) == []


def test_a_root_that_is_not_there_is_told(tmp_path):
    with pytest.raises(DataError, match=r"^data\.root=.*absent is not a folder; give one that holds xeno-canto-merel/"):
        find_species_folders(tmp_path / "absent", MEREL)


@pytest.mark.parametrize(
    ("name", "id"),
    [
        ("XC123.mp3", "XC123"),
        ("xc123.wav", "XC123"),
        ("XC 123 - Merel - Turdus merula.mp3", "XC123"),
        ("Turdus-merula-XC77.ogg", "XC77"),
        ("garden.wav", "garden"),
    ],
)
def test_the_number_in_a_files_name_is_its_id(name, id):
    assert recording_id(Path(name)) == id


def test_the_folder_gives_the_type_and_unclear_ones_are_kept_without(tmp_path, touch):
    folder = touch(
        tmp_path / "merel", "song/XC1.mp3", "call/XC2.wav", "alarm/XC3.FLAC", "zang/XC4.ogg", "mixed/XC5.mp3", "XC6.mp3"
    )
    found = by_id(folder)
    assert {id: recording.vocalization_type for id, recording in found.items()} == {
        "XC1": "song", "XC2": "call", "XC3": "alarm", "XC4": "song", "XC5": None, "XC6": None,
    }  # fmt: skip
    assert (found["XC5"].type_text, found["XC6"].type_text) == ("mixed", "")
    assert {recording.species for recording in found.values()} == {"merel"}


def test_side_folders_of_a_nas_and_hidden_files_are_passed_over(tmp_path, touch):
    folder = touch(
        tmp_path / "merel", "song/XC1.mp3", "song/@eaDir/XC1.mp3", "@eaDir/song/XC2.mp3", "#recycle/song/XC3.mp3",
        ".trash/XC4.mp3", "song/._XC5.mp3", "song/XC6.txt", "song/XC7.mp3.part",
    )  # fmt: skip
    assert list(by_id(folder)) == ["XC1"]


def test_a_deeper_folder_counts_for_the_type_it_lies_in(tmp_path, touch):
    folder = touch(tmp_path / "merel", "alarm/2019/garden/XC1.mp3")
    assert by_id(folder)["XC1"].vocalization_type == "alarm"


def test_the_manifest_beside_the_files_gives_everything(tmp_path, touch, write_manifest):
    folder = touch(tmp_path / "merel", "call/XC1.mp3")
    write_manifest(
        folder,
        [
            {
                "file": "call/XC1.mp3",
                "xc_id": "1",
                "type": "alarm call",
                "recordist": "Anna",
                "quality": "B",
                "licence": "CC",
                "country": "Spain",
                "date": "2020-05-17",
                "time": "06:30",
            }
        ],
    )
    recording = by_id(folder)["XC1"]
    assert dataclasses.asdict(recording) == {
        "id": "XC1", "path": folder / "call/XC1.mp3", "species": "merel", "vocalization_type": "alarm",
        "type_text": "alarm call", "recordist": "Anna", "quality": "B", "licence": "CC",
        "country": "Spain", "date": "2020-05-17", "time": "06:30",
    }  # fmt: skip


def test_the_manifest_above_covers_the_species_folder(tmp_path, touch, write_manifest):
    folder = touch(tmp_path / "merel", "song/XC1.mp3", "song/XC2.mp3")
    rows = [
        {"file": "merel/song/XC1.mp3", "xc_id": "1", "type": "song", "recordist": "Anna"},
        {"file": "koolmees/song/XC9.mp3", "xc_id": "9", "type": "song", "recordist": "Bob"},
        {"file": "", "xc_id": "XC2", "type": "call", "recordist": "Carl"},
    ]
    write_manifest(tmp_path, rows)
    found = by_id(folder)
    assert {id: (r.vocalization_type, r.recordist) for id, r in found.items()} == {
        "XC1": ("song", "Anna"),
        "XC2": ("call", "Carl"),
    }


def test_the_manifest_inside_wins_over_the_one_above(tmp_path, touch, write_manifest):
    folder = touch(tmp_path / "merel", "song/XC1.mp3")
    write_manifest(tmp_path, [{"file": "merel/song/XC1.mp3", "xc_id": "1", "type": "call"}])
    write_manifest(folder, [{"file": "song/XC1.mp3", "xc_id": "1", "type": "alarm call"}])
    assert by_id(folder)["XC1"].vocalization_type == "alarm"


def test_the_manifests_text_beats_the_folder_also_when_it_is_unclear(tmp_path, touch, write_manifest):
    folder = touch(tmp_path / "merel", "song/XC1.mp3", "song/XC2.mp3", "song/XC3.mp3")
    write_manifest(
        folder,
        [
            {"file": "song/XC1.mp3", "type": "song, alarm call"},
            {"file": "song/XC2.mp3", "type": "adult, male, call"},
            {"file": "song/XC3.mp3", "type": ""},
        ],
    )
    found = by_id(folder)
    assert [found[id].vocalization_type for id in ("XC1", "XC2", "XC3")] == [None, "call", "song"]
    assert found["XC1"].type_text == "song, alarm call"


def test_flight_calls_are_calls_or_left_out_as_asked(tmp_path, touch, write_manifest):
    folder = touch(tmp_path / "merel", "call/XC1.mp3")
    write_manifest(folder, [{"file": "call/XC1.mp3", "type": "flight call"}])
    assert by_id(folder)["XC1"].vocalization_type == "call"
    assert by_id(folder, flight_call="leave_out")["XC1"].vocalization_type is None


def test_a_number_under_two_types_is_of_several(tmp_path, touch):
    folder = touch(tmp_path / "merel", "song/XC1.mp3", "alarm/XC1.mp3", "song/XC2.mp3", "song/copy/XC2.wav")
    found = by_id(folder)
    assert (found["XC1"].vocalization_type, found["XC1"].type_text) == (None, "several")
    assert (found["XC2"].vocalization_type, found["XC2"].type_text) == ("song", "song")
    assert len(found) == 2


def test_what_the_manifest_lists_and_the_disk_lacks_is_kept_to_be_told(tmp_path, touch, write_manifest):
    folder = touch(tmp_path / "merel", "song/XC1.mp3")
    rows = [{"file": f"song/XC{n}.mp3", "type": "song"} for n in (1, 2)]
    write_manifest(folder, rows)
    assert by_id(folder)["XC2"].path == folder / "song/XC2.mp3"
    assert not by_id(folder)["XC2"].path.exists()


def test_a_moved_file_is_not_also_counted_as_lacking(tmp_path, touch, write_manifest):
    folder = touch(tmp_path / "merel", "call/XC1.mp3")
    write_manifest(folder, [{"file": "song/XC1.mp3", "xc_id": "1", "type": "song"}])
    recordings = read_species_folder(folder, MEREL)
    assert [(r.path, r.vocalization_type) for r in recordings] == [(folder / "call/XC1.mp3", "song")]


def test_columns_of_xeno_cantos_api_are_understood(tmp_path, write_manifest):
    path = write_manifest(
        tmp_path,
        [{"file-name": "a.mp3", "catnr": "7", "type": "song", "rec": " Anna ", "q": "A", "lic": "CC", "cnt": "NL"}],
    )
    assert read_manifest(path) == [
        {
            "file": "a.mp3", "id": "7", "type": "song", "recordist": "Anna", "quality": "A", "licence": "CC",
            "country": "NL", "date": "", "time": "",
        }
    ]  # fmt: skip


def test_a_manifest_with_a_byte_order_mark_is_read(tmp_path):
    (tmp_path / "recordings.csv").write_text("file,type\na.mp3,sång\n", encoding="utf-8-sig")
    assert read_manifest(tmp_path / "recordings.csv")[0]["type"] == "sång"


def test_a_manifest_that_is_not_utf8_is_told(tmp_path):
    (tmp_path / "recordings.csv").write_bytes("file,recordist\na.mp3,Jürgen\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"recordings\.csv is not a CSV file in UTF-8 .*; repair it or move it away"):
        read_manifest(tmp_path / "recordings.csv")


def test_the_order_is_that_of_the_paths(tmp_path, touch):
    folder = touch(tmp_path / "merel", "song/XC3.mp3", "song/XC1.mp3", "call/XC2.mp3")
    assert list(by_id(folder)) == ["XC2", "XC1", "XC3"]


def test_own_recordings_numbered_anew_in_each_type_folder_are_different_recordings(tmp_path, touch):
    folder = touch(tmp_path / "merel", "song/1.wav", "song/2.wav", "call/1.wav", "call/2.wav")
    recordings = read_species_folder(folder, MEREL)
    assert sorted(recording.vocalization_type or "" for recording in recordings) == ["call", "call", "song", "song"]
    assert len({recording.id for recording in recordings}) == 4


@pytest.mark.parametrize("text", ["file;type\nsong/XC1.mp3;call\n", "File,Type\nsong/XC1.mp3,call\n"])
def test_a_manifest_of_a_dutch_spreadsheet_is_read_or_refused(tmp_path, touch, text):
    folder = touch(tmp_path / "merel", "song/XC1.mp3")
    (folder / "recordings.csv").write_text(text)
    try:
        assert by_id(folder)["XC1"].vocalization_type == "call"
    except DataError as error:
        assert "recordings.csv" in str(error)
