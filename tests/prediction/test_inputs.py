"""Files, folders and patterns that a prediction is asked for."""

import os

import pytest

from birdnet_nl.prediction.inputs import list_inputs
from birdnet_nl.util.errors import DataError, SelectionError


@pytest.fixture
def folder(tmp_path):
    for name in ("b/2.mp3", "a/1.WAV", "a/.hidden.wav", "a/notes.txt", "a [1]/3.flac", "out/report.wav"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"12345")
    return tmp_path


def names(*arguments, **options):
    return [file.relative for file in list_inputs(arguments, **options).files]


def test_folders_are_read_with_all_below_but_not_the_output_folder(folder):
    assert names(folder, skip=folder / "out") == ["a/1.WAV", "a [1]/3.flac", "b/2.mp3"]
    assert names(folder / "a", skip=folder / "a") == ["1.WAV"]  # results beside the recordings
    assert names(folder / "a", skip=folder) == ["1.WAV"]  # results above them


def test_a_file_is_listed_once_and_names_stay_different(folder):
    assert names(folder / "a", folder / "a" / "1.WAV", folder / "b" / "2.mp3") == ["a/1.WAV", "b/2.mp3"]
    (file,) = list_inputs([folder / "b" / "2.mp3"]).files
    assert (file.relative, file.size) == ("2.mp3", 5)


def test_patterns_take_sound_files_only_and_brackets_in_a_name_are_no_pattern(folder):
    assert names(str(folder / "**" / "*")) == ["a/1.WAV", "a [1]/3.flac", "b/2.mp3", "out/report.wav"]
    assert names(str(folder / "a [1]" / "3.flac")) == ["3.flac"]


def test_a_file_that_is_named_is_taken_whatever_its_suffix(folder):
    assert names(folder / "a" / "notes.txt") == ["notes.txt"]


def test_a_loop_of_links_ends_and_a_broken_link_is_reported(folder):
    (folder / "b" / "loop").symlink_to(folder)
    (folder / "b" / "gone.wav").symlink_to(folder / "nowhere.wav")
    inputs = list_inputs([folder / "b"])
    assert [file.relative for file in inputs.files] == ["2.mp3"]
    ((path, reason),) = inputs.unreadable
    assert path.endswith("gone.wav") and "broken link" in reason


def test_what_does_not_exist_and_what_holds_no_sound_are_sentences(folder):
    with pytest.raises(SelectionError, match=r"x\.wav does not exist"):
        list_inputs([folder / "x.wav"])
    with pytest.raises(DataError, match="nothing was found there; possible are"):
        list_inputs([str(folder / "*.aiff")])
    (folder / "a" / "1.WAV").unlink()
    with pytest.raises(DataError, match=r"it holds 1 \.txt"):
        list_inputs([folder / "a"])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_named(folder):
    (folder / "a").chmod(0)
    with pytest.raises(DataError, match="cannot be read"):
        list_inputs([folder / "a"])
