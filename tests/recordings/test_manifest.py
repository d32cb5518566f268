"""Manifests: foreign formats, column names, and rows that are added."""

import pytest

from birdnet_nl.recordings.manifest import add_rows, read_manifest_rows, read_rows
from birdnet_nl.util.errors import DataError


def test_adding_rows_keeps_every_row_with_foreign_headings_and_semicolons(tmp_path):
    (tmp_path / "recordings.csv").write_text("id;type;rec\nXC1;song;A\nXC2;call;B\nXC3;call;C\n", encoding="utf-8")
    add_rows(tmp_path, [{"file": "song/XC4.mp3", "xc_id": "4", "type": "song"}])
    rows = [(row["xc_id"], row["type"], row["recordist"]) for row in read_rows(tmp_path)]
    assert rows == [("1", "song", "A"), ("2", "call", "B"), ("3", "call", "C"), ("4", "song", "")]


def test_a_row_of_the_same_file_or_number_is_replaced_in_place(tmp_path):
    add_rows(tmp_path, [{"file": "song/a.mp3", "type": "song"}, {"file": "song/XC2.mp3", "xc_id": "2"}])
    add_rows(tmp_path, [{"file": "song/a.mp3", "xc_id": "1", "type": "call"}, {"file": "call/XC2.mp3", "xc_id": "2"}])
    assert [(row["file"], row["xc_id"]) for row in read_rows(tmp_path)] == [("song/a.mp3", "1"), ("call/XC2.mp3", "2")]


def test_rows_without_file_and_number_are_kept(tmp_path):
    (tmp_path / "recordings.csv").write_text("file,remarks\n,first\n,second\n", encoding="utf-8")
    add_rows(tmp_path, [{"file": "song/XC4.mp3", "xc_id": "4"}])
    assert [row["remarks"] for row in read_rows(tmp_path)] == ["first", "second", ""]


@pytest.mark.parametrize(
    "text", ["\ufefffile,type\na.mp3,sång\n", "file;type\na.mp3;sång\n", "File,Type\na.mp3,sång\n"]
)
def test_byte_order_marks_semicolons_and_capitals_are_read(tmp_path, text):
    (tmp_path / "recordings.csv").write_text(text, encoding="utf-8")
    (row,) = read_manifest_rows(tmp_path / "recordings.csv")
    assert (row["file"], row["type"]) == ("a.mp3", "sång")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'file,recordist\na.mp3,Ann\nb.mp3,"Bob\nc.mp3,Cas\n', "is damaged: line 3: a quotation mark is not closed"),
        (b"file,recordist\na.mp3,Ann\nb.mp3,Bob, Cas\n", "is damaged: line 3 has 3 values for 2 headings"),
        (b"<!DOCTYPE html>\n<p>Sign in</p>\n", "has none of the columns file, id"),
    ],
)
def test_other_files_raise(tmp_path, content, message):
    (tmp_path / "recordings.csv").write_bytes(content)
    with pytest.raises(DataError, match=rf"recordings\.csv {message}"):
        read_manifest_rows(tmp_path / "recordings.csv")
