"""Finding a BirdNET-Pi: home folders, its settings, sudo, and what is printed when it is not found."""

from pathlib import Path

import pytest

from birdnet_nl.stations import birdnet_pi_files
from birdnet_nl.stations.birdnet_pi_files import find_files, read_settings
from birdnet_nl.util.errors import DataError
from tests.stations.birdnet_pi_station import FakeBirdnetPi


@pytest.fixture
def homes(tmp_path, monkeypatch):
    """No home but those below `tmp_path/home`."""
    folder = tmp_path / "home"
    (folder / "me").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(folder / "me"))
    monkeypatch.delenv("SUDO_USER", raising=False)
    monkeypatch.setattr(birdnet_pi_files, "HOMES", folder)
    monkeypatch.setattr(birdnet_pi_files, "SYSTEM_SETTINGS", tmp_path / "etc" / "birdnet.conf")
    return folder


@pytest.mark.parametrize("user", ["me", "pi"])
def test_the_files_are_found_in_a_home_folder(homes, user):
    pi = FakeBirdnetPi(homes / user)
    files = find_files()
    assert (files.database, files.clips, files.clip_s) == (pi.database, pi.clips, 6.0)


def test_one_own_home_folder_comes_first(homes):
    FakeBirdnetPi(homes / "abc")
    mine = FakeBirdnetPi(homes / "me")
    assert find_files().database == mine.database


def test_the_home_folder_of_who_called_sudo_comes_before_others(homes, monkeypatch):
    FakeBirdnetPi(homes / "abc")
    caller = FakeBirdnetPi(homes / "caller")
    monkeypatch.setenv("SUDO_USER", "caller")
    monkeypatch.setattr(
        birdnet_pi_files, "user_path", lambda path: homes / "caller" if path == "~caller" else homes / str(path)
    )
    assert find_files().database == caller.database


def test_the_system_settings_lead_to_another_disk(homes, tmp_path):
    pi = FakeBirdnetPi(tmp_path / "mnt" / "disk")
    settings = pi.database.parents[1] / "birdnet.conf"
    settings.write_text("EXTRACTION_LENGTH=9\n")
    link = birdnet_pi_files.SYSTEM_SETTINGS
    link.parent.mkdir()
    link.symlink_to(settings)
    files = find_files()
    assert (files.database, files.clips, files.clip_s) == (pi.database, pi.clips, 9.0)


def test_the_settings_say_where_the_clips_are(homes, tmp_path):
    pi = FakeBirdnetPi(homes / "me")
    elsewhere = tmp_path / "usb disk" / "Extracted" / "By_Date"
    elsewhere.mkdir(parents=True)
    conf = pi.database.parents[1] / "birdnet.conf"
    for text in (
        f'RECS_DIR="{tmp_path}/usb disk"\nEXTRACTED=${{RECS_DIR}}/Extracted\n',
        f"RECS_DIR={tmp_path}/usb disk\n",
        f"# EXTRACTED=/nowhere\nEXTRACTED='{tmp_path}/usb disk/Extracted'\n",
    ):
        conf.write_text(text)
        assert find_files().clips == elsewhere
    conf.write_text("RECS_DIR=$HOME/BirdSongs\nEXTRACTION_LENGTH=many\n")
    assert find_files().clips == pi.clips and find_files().clip_s == 6.0


def test_settings_are_read_as_the_shell_reads_them(tmp_path):
    text = "A=1\nB=\"$A/b\" # remark\nexport C='$A'\n#D=4\nE=~/x\nF=${A}${MISSING}2\nnot a setting\nG=\n"
    assert read_settings(text, tmp_path) == {
        "A": "1", "B": "1/b", "C": "$A", "E": f"{tmp_path}/x", "F": "12", "G": "",
    }  # fmt: skip


@pytest.mark.parametrize("given", [".", "scripts", "scripts/birds.db"])
@pytest.mark.parametrize("clips", [".", "BirdSongs", "BirdSongs/Extracted", "BirdSongs/Extracted/By_Date"])
def test_given_paths_may_be_folders_above(homes, tmp_path, given, clips):
    pi = FakeBirdnetPi(tmp_path / "copy")
    files = find_files(pi.database.parents[1] / given, pi.home / clips)
    assert (files.database, files.clips) == (pi.database, pi.clips)


def test_home_folders_that_may_not_be_read_are_passed_over(homes, monkeypatch):
    (homes / "a").mkdir()
    pi = FakeBirdnetPi(homes / "pi")
    real = Path.stat

    def stat(path, **options):
        if path.is_relative_to(homes / "a") and path != homes / "a":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, **options)

    monkeypatch.setattr(Path, "stat", stat)
    assert find_files().database == pi.database
    with pytest.raises(DataError, match="there is no database"):
        find_files(homes / "a" / "birds.db")


def test_what_is_not_found_is_named_with_what_was_looked_at(homes):
    with pytest.raises(DataError, match=r"no database of BirdNET-Pi found .looked at .*me/BirdNET-Pi/scripts/birds.db"):
        find_files()
    pi = FakeBirdnetPi(homes / "me")
    with pytest.raises(DataError, match=r"there is no database .*bird.db .did you mean .*birds.db"):
        find_files(pi.database.with_name("bird.db"))
    with pytest.raises(DataError, match=r"there is no folder .*give the folder By_Date of BirdNET-Pi with --clips"):
        find_files(clips=homes / "nothing")
    pi.clips.rmdir()
    with pytest.raises(DataError, match=r"no clips of BirdNET-Pi found .looked at .*By_Date"):
        find_files()
