import os
import unicodedata

import pytest

from birdnet_nl.util.errors import SetupError
from birdnet_nl.util.files import check_current_folder, did_you_mean, similar_path, user_path, write_text_atomic
from tests.nasty_names import NASTY_NAMES


@pytest.mark.parametrize("name", NASTY_NAMES, ids=ascii)
def test_a_path_stays_as_the_user_wrote_it(tmp_path, name, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert str(user_path(f"/nas/{name}")) == f"/nas/{name}"
    (tmp_path / name).mkdir()
    assert user_path(tmp_path / name) == tmp_path / name
    assert user_path(name) == (tmp_path if name == "~" else tmp_path.__class__(name))


@pytest.mark.parametrize(("typed", "on_disk"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_accents_are_found_in_the_other_unicode_form(tmp_path, typed, on_disk):
    folder = tmp_path / unicodedata.normalize(on_disk, "Vögel") / unicodedata.normalize(on_disk, "é")
    folder.mkdir(parents=True)
    assert user_path(f"{tmp_path}/{unicodedata.normalize(typed, 'Vögel/é')}") == folder
    new = tmp_path / unicodedata.normalize(typed, "Vögel/nieuw é")
    assert user_path(new) == new  # a folder that is still to be made


def test_a_similar_folder_is_suggested(tmp_path):
    (tmp_path / "recordings (2024)" / "xc").mkdir(parents=True)
    assert similar_path(tmp_path / "recordngs (2024)" / "xc") == tmp_path / "recordings (2024)" / "xc"
    assert did_you_mean(tmp_path / "recordngs (2024)") == f" (did you mean {tmp_path / 'recordings (2024)'}?)"
    assert did_you_mean(tmp_path / "something else") == did_you_mean(tmp_path) == ""
    assert did_you_mean(tmp_path / "recordngs (2024)" / "absent") == ""


def test_bytes_that_are_no_utf_8_are_written(tmp_path):
    write_text_atomic(tmp_path / "x.txt", "t\udce9 é")
    assert (tmp_path / "x.txt").read_text(encoding="utf-8") == "t\\udce9 é"


def test_a_deleted_current_folder_is_one_sentence(tmp_path, monkeypatch):
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    check_current_folder()
    folder.rmdir()
    with pytest.raises(SetupError, match="the current folder no longer exists; change to another one with cd"):
        check_current_folder()
    os.chdir(tmp_path)
