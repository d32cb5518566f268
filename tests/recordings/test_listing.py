"""Every file below a folder is a sound file, not audio, hidden, or left out with the reason; links are followed."""

import os
from pathlib import Path

import pytest

from birdnet_nl.recordings import listing
from birdnet_nl.recordings.folder import read_species_folder, recording_id, species_folders
from birdnet_nl.recordings.listing import LINK_ABOVE, LINK_READ, list_folder
from birdnet_nl.species.table import get_species

MEREL = get_species("merel")


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    return folder


def names_of(found: listing.FolderListing) -> list[str]:
    return [path.relative_to(found.folder).as_posix() for path in found.sounds]


def left_out(found: listing.FolderListing) -> dict[str, str]:
    return {path.removeprefix(f"{found.folder}/"): reason for path, reason in found.left_out}


@pytest.fixture
def folder(tmp_path) -> Path:
    return touch(tmp_path / "root" / "merel", "song/XC1.mp3", "call/XC2.mp3")


def test_upper_case_and_nested_files_are_found_and_other_files_counted_by_suffix(folder):
    touch(folder, "XC3.MP3", "song/2019/garden/XC4.Wav", "song/notes.txt", "song/b.TXT", "recordings.csv", "README")
    (folder / "song" / "raw").write_bytes(b"RIFF....WAVE")  # no suffix, so the content decides
    found = list_folder(folder)
    assert names_of(found) == ["XC3.MP3", "call/XC2.mp3", "song/2019/garden/XC4.Wav", "song/XC1.mp3", "song/raw"]
    assert found.not_audio == {".txt": 2, ".csv": 1, "no suffix": 1}


@pytest.mark.parametrize("name", ["XC3.mp3 ", "XC3.mp3.", "XC3.WAV. "])
def test_a_blank_or_dot_at_the_end_of_a_name_leaves_a_sound_file_one(folder, name):
    touch(folder, f"song/{name}")
    assert f"song/{name}" in names_of(list_folder(folder))
    assert "XC3" in {recording.id for recording in read_species_folder(folder, MEREL)}


def test_hidden_and_system_files_are_counted(folder):
    touch(
        folder, "song/@eaDir/XC1.mp3/x.jpg", "#recycle/a.mp3", ".trash/b.mp3", "song/._XC1.mp3", "Thumbs.db",
        "song/#1 blackbird.mp3",
    )  # fmt: skip
    found = list_folder(folder)
    assert found.hidden == 5
    assert names_of(found) == ["call/XC2.mp3", "song/#1 blackbird.mp3", "song/XC1.mp3"]


def test_links_to_type_folders_and_files_are_followed(folder, tmp_path):
    touch(tmp_path, "elsewhere/XC5.mp3", "one/XC6.mp3")
    (folder / "alarm").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (folder / "song" / "XC6.mp3").symlink_to(tmp_path / "one" / "XC6.mp3")
    recordings = {recording.id: recording.vocalization_type for recording in read_species_folder(folder, MEREL)}
    assert recordings == {"XC1": "song", "XC2": "call", "XC5": "alarm", "XC6": "song"}


def test_loops_end_and_are_reported(folder, tmp_path):
    touch(tmp_path, "elsewhere/XC5.mp3")
    links = {
        "alarm": "../../elsewhere", "loop": ".", "song/self": ".", "song/parent": "..", "song/root": "../..",
        "../../elsewhere/up": "..", "../../elsewhere/back": str(folder), "song/call": "../call",
    }  # fmt: skip
    for name, target in links.items():
        (folder / name).symlink_to(target)
    found = list_folder(folder)
    assert names_of(found) == ["alarm/XC5.mp3", "call/XC2.mp3", "song/XC1.mp3"]
    assert left_out(found) == {
        **dict.fromkeys(("loop", "song/self", "song/parent", "song/root", "alarm/up", "alarm/back"), LINK_ABOVE),
        "song/call": LINK_READ,
    }


def test_folders_that_link_to_each_other_take_no_exponential_time(folder):
    for number in range(25):
        (folder / "song" / str(number)).mkdir()
    for number in range(25):
        for other in range(25):
            (folder / "song" / str(number) / f"to{other}").symlink_to(f"../{other}")
    assert len(list_folder(folder).sounds) == 2


def test_broken_links_and_what_is_no_file_are_named(folder):
    links = {"song/gone.mp3": "nowhere.mp3", "song/a.mp3": "b.mp3", "song/b.mp3": "a.mp3", "alarm": "/nowhere/alarm"}
    for name, target in links.items():
        (folder / name).symlink_to(target)
    (folder / "song" / "dir.mp3").mkdir()
    touch(folder, "song/full.mp3/XC7.mp3")
    os.mkfifo(folder / "song" / "pipe.mp3")
    found = list_folder(folder)
    assert names_of(found) == ["call/XC2.mp3", "song/XC1.mp3", "song/full.mp3/XC7.mp3"]
    assert left_out(found) == {
        "alarm": "a broken link to /nowhere/alarm",
        "song/a.mp3": "a link in a circle of links",
        "song/b.mp3": "a link in a circle of links",
        "song/dir.mp3": "an empty folder, not a file",
        "song/gone.mp3": "a broken link to nowhere.mp3",
        "song/pipe.mp3": "not a regular file",
    }


def test_a_folder_that_cannot_be_read_is_left_out(folder, monkeypatch):
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("song"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(listing.os, "scandir", refuse)
    found = list_folder(folder)
    assert names_of(found) == ["call/XC2.mp3"]
    assert left_out(found) == {"song": "a folder that cannot be read (Permission denied)"}


def test_a_name_that_is_not_utf8_is_listed_and_can_be_printed(folder):
    for name in (b"song/J\xfcrgen.mp3", b"song/notes.t\xfct"):
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(b"x")
    found = list_folder(folder)
    assert "song/J\udcfcrgen.mp3" in names_of(found) and not found.left_out
    assert recording_id(folder / "song" / "J\udcfcrgen.mp3", folder) == "song/J\\xfcrgen"
    assert found.not_audio == {".t\\xfct": 1}


def test_a_file_with_several_paths_counts_once(folder):
    (folder / "song" / "A.mp3").symlink_to("XC1.mp3")  # sorted before the file itself
    os.link(folder / "call" / "XC2.mp3", folder / "call" / "again.mp3")
    (folder / "roep").symlink_to("call")
    recordings = read_species_folder(folder, MEREL)
    assert [(recording.id, recording.vocalization_type) for recording in recordings] == [
        ("XC2", "call"),
        ("XC1", "song"),
    ]
    assert recordings[1].path == folder / "song" / "XC1.mp3"


def test_a_link_with_the_name_of_a_type_gives_the_type_of_a_folder_that_is_not_understood(folder):
    touch(folder, "2023-05-01/XC8.mp3", "2019/alarm/XC9.mp3")
    (folder / "alarmroep").symlink_to("2023-05-01")
    types = {recording.id: recording.vocalization_type for recording in read_species_folder(folder, MEREL)}
    assert (types["XC8"], types["XC9"]) == ("alarm", "alarm")


def test_a_link_between_type_folders_makes_a_recording_of_several_types(folder):
    (folder / "song" / "XC2.mp3").symlink_to("../call/XC2.mp3")
    types = {recording.id: recording.type_text for recording in read_species_folder(folder, MEREL)}
    assert types == {"XC1": "song", "XC2": "several"}


def test_two_names_of_one_species_folder_are_one_folder(folder):
    (folder.parent / "xeno-canto-merel").symlink_to("merel")
    assert species_folders(folder.parent) == {MEREL: [folder]}
