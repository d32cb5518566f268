"""Recordings and spectrograms in folders of any name, with a manifest in the folder or above it."""

from pathlib import Path

import pytest

from birdnet_nl.recordings.folder import (
    find_species_folders,
    read_species_folder,
    read_spectrogram_folder,
    recording_id,
    segment_files,
    species_of_folder,
    species_of_spectrogram_folder,
)
from birdnet_nl.species.table import get_species
from birdnet_nl.util.errors import DataError

MEREL = get_species("merel")

# The original skipped Merel because its directory had an unexpected name.
NAMINGS = [
    "xeno-canto-merel", "merel", "Merel", "MEREL", "Xeno-Canto-Merel", "xeno_canto_merel", "xeno-canto-Turdus merula",
    "Turdus merula", "turdus_merula", "Turdus-merula", "Eurasian Blackbird", "xeno-canto-eurasian-blackbird",
]  # fmt: skip


def by_id(folder: Path):
    return {recording.id: recording for recording in read_species_folder(folder, MEREL)}


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


@pytest.mark.parametrize("name", NAMINGS)
def test_a_species_folder_may_have_any_name_of_the_species(tmp_path, name):
    folder = touch(tmp_path / name, "song/XC1.mp3")
    touch(tmp_path / "xeno-canto-koolmees", "song/XC2.mp3")
    assert species_of_folder(folder) == MEREL
    assert find_species_folders(tmp_path, MEREL) == [folder]
    assert list(by_id(folder)) == ["XC1"]


@pytest.mark.parametrize("name", ["merels", "xeno-canto-", "goudmerel", "spectrograms-merel", "merel (old)", "data"])
def test_other_names_are_not_the_species(tmp_path, name):
    touch(tmp_path / name, "song/XC1.mp3")
    (tmp_path / "merel").write_text("a file")
    assert find_species_folders(tmp_path, MEREL) == []


def test_two_folders_of_one_species_are_both_found(tmp_path):
    touch(tmp_path / "merel", "song/XC1.mp3")
    touch(tmp_path / "xeno-canto-merel", "call/XC2.mp3")
    assert [folder.name for folder in find_species_folders(tmp_path, MEREL)] == ["merel", "xeno-canto-merel"]


def test_a_missing_root_raises(tmp_path):
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
def test_the_xeno_canto_number_in_a_file_name_is_the_id(name, id):
    assert recording_id(Path(name)) == id


def test_the_folder_gives_the_type_and_unclear_types_are_none(tmp_path):
    folder = touch(
        tmp_path / "merel", "song/XC1.mp3", "call/XC2.wav", "alarm/XC3.FLAC", "zang/XC4.ogg", "mixed/XC5.mp3",
        "XC6.mp3", "alarm/2019/garden/XC7.mp3",
    )  # fmt: skip
    recordings = by_id(folder)
    assert {id: recording.vocalization_type for id, recording in recordings.items()} == {
        "XC1": "song", "XC2": "call", "XC3": "alarm", "XC4": "song", "XC5": None, "XC6": None, "XC7": "alarm",
    }  # fmt: skip
    assert (recordings["XC5"].type_text, recordings["XC6"].type_text) == ("mixed", "")
    assert {recording.species for recording in recordings.values()} == {"merel"}


def test_system_folders_of_a_nas_and_hidden_files_are_skipped(tmp_path):
    folder = touch(
        tmp_path / "merel", "song/XC1.mp3", "song/@eaDir/XC1.mp3", "@eaDir/song/XC2.mp3", "#recycle/song/XC3.mp3",
        ".trash/XC4.mp3", "song/._XC5.mp3", "song/XC6.txt", "song/XC7.mp3.part",
    )  # fmt: skip
    assert list(by_id(folder)) == ["XC1"]


def test_the_manifest_above_applies_to_the_species_folder(tmp_path, write_manifest):
    folder = touch(tmp_path / "merel", "song/XC1.mp3", "song/XC2.mp3")
    rows = [
        {"file": "merel/song/XC1.mp3", "xc_id": "1", "type": "song", "recordist": "Anna"},
        {"file": "koolmees/song/XC9.mp3", "xc_id": "9", "type": "song", "recordist": "Bob"},
        {"file": "", "xc_id": "XC2", "type": "call", "recordist": "Carl"},
    ]
    write_manifest(tmp_path, rows)
    recordings = by_id(folder)
    assert {id: (r.vocalization_type, r.recordist) for id, r in recordings.items()} == {
        "XC1": ("song", "Anna"),
        "XC2": ("call", "Carl"),
    }


def test_the_manifest_inside_overrides_the_one_above(tmp_path, write_manifest):
    folder = touch(tmp_path / "merel", "song/XC1.mp3")
    write_manifest(tmp_path, [{"file": "merel/song/XC1.mp3", "xc_id": "1", "type": "call"}])
    write_manifest(folder, [{"file": "song/XC1.mp3", "xc_id": "1", "type": "alarm call"}])
    assert by_id(folder)["XC1"].vocalization_type == "alarm"


def test_the_type_text_of_the_manifest_overrides_the_folder(tmp_path, write_manifest):
    folder = touch(tmp_path / "merel", "song/XC1.mp3", "song/XC2.mp3", "song/XC3.mp3")
    write_manifest(
        folder,
        [
            {"file": "song/XC1.mp3", "type": "song, alarm call"},
            {"file": "song/XC2.mp3", "type": "adult, male, call"},
            {"file": "song/XC3.mp3", "type": ""},
        ],
    )
    recordings = by_id(folder)
    assert [recordings[id].vocalization_type for id in ("XC1", "XC2", "XC3")] == [None, "call", "song"]
    assert recordings["XC1"].type_text == "song, alarm call"


def test_a_number_under_two_types_is_multilabel(tmp_path):
    folder = touch(tmp_path / "merel", "song/XC1.mp3", "alarm/XC1.mp3", "song/XC2.mp3", "song/copy/XC2.wav")
    recordings = by_id(folder)
    assert (recordings["XC1"].vocalization_type, recordings["XC1"].type_text) == (None, "several")
    assert (recordings["XC2"].vocalization_type, recordings["XC2"].type_text) == ("song", "song")
    assert len(recordings) == 2


def test_recordings_missing_on_disk_are_kept(tmp_path, write_manifest):
    folder = touch(tmp_path / "merel", "song/XC1.mp3")
    rows = [{"file": f"song/XC{n}.mp3", "type": "song"} for n in (1, 2)]
    write_manifest(folder, rows)
    assert by_id(folder)["XC2"].path == folder / "song/XC2.mp3"
    assert not by_id(folder)["XC2"].path.exists()


def test_a_moved_file_is_not_also_missing(tmp_path, write_manifest):
    folder = touch(tmp_path / "merel", "call/XC1.mp3")
    write_manifest(folder, [{"file": "song/XC1.mp3", "xc_id": "1", "type": "song"}])
    recordings = read_species_folder(folder, MEREL)
    assert [(r.path, r.vocalization_type) for r in recordings] == [(folder / "call/XC1.mp3", "song")]


def test_equal_file_names_without_number_in_two_type_folders_are_two_recordings(tmp_path):
    folder = touch(tmp_path / "merel", "song/1.wav", "song/2.wav", "call/1.wav", "call/2.wav")
    recordings = read_species_folder(folder, MEREL)
    assert sorted(recording.vocalization_type or "" for recording in recordings) == ["call", "call", "song", "song"]
    assert len({recording.id for recording in recordings}) == 4


def test_a_spectrogram_folder_needs_its_prefix_and_may_have_any_name_of_the_species():
    for name in ("spectrograms-merel", "Spectrograms-Turdus merula", "spectrograms_Eurasian Blackbird"):
        assert species_of_spectrogram_folder(Path(name)) == MEREL
    assert species_of_spectrogram_folder(Path("xeno-canto-merel")) is None
    assert species_of_spectrogram_folder(Path("merel")) is None


def test_segments_are_grouped_by_recording_in_the_order_of_their_numbers(tmp_path):
    names = ("song/XC1_seg002.npy", "song/XC1_seg010.npy", "song/XC1_seg001.npy", "song/XC12_seg001.npy")
    folder = touch(tmp_path / "spectrograms-merel", *names, "call/XC3_seg000.npy", "call/notes.txt")
    recordings = {recording.id: recording for recording in read_spectrogram_folder(folder, MEREL)}
    types = {id: recording.vocalization_type for id, recording in recordings.items()}
    assert types == {"XC1": "song", "XC12": "song", "XC3": "call"}
    segments = [path.name for path in segment_files(recordings["XC1"])]
    assert segments == ["XC1_seg001.npy", "XC1_seg002.npy", "XC1_seg010.npy"]
    assert [path.name for path in segment_files(recordings["XC12"])] == ["XC12_seg001.npy"]


def test_spectrograms_under_two_types_are_multilabel_and_have_the_metadata_of_the_manifest(tmp_path):
    folder = touch(tmp_path / "spectrograms-merel", "song/XC1_seg000.npy", "call/XC1_seg001.npy", "song/XC2_seg000.npy")
    (folder / "recordings.csv").write_text("xc_id,type,recordist\n2,song,A. Merel\n", encoding="utf-8")
    multilabel, single = sorted(read_spectrogram_folder(folder, MEREL), key=lambda recording: recording.id)
    assert multilabel.vocalization_type is None
    assert (single.vocalization_type, single.recordist) == ("song", "A. Merel")
