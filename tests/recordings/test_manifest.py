"""A manifest that people wrote by hand loses nothing when rows are added to it."""

from birdnet_nl.recordings.manifest import add_rows, read_rows


def test_foreign_headings_and_semicolons_keep_every_row(tmp_path):
    (tmp_path / "recordings.csv").write_text("id;type;rec\nXC1;song;A\nXC2;call;B\nXC3;call;C\n", encoding="utf-8")
    add_rows(tmp_path, [{"file": "song/XC4.mp3", "xc_id": "4", "type": "song"}])
    rows = read_rows(tmp_path)
    assert [(row["xc_id"], row["type"], row["recordist"]) for row in rows] == [
        ("1", "song", "A"),
        ("2", "call", "B"),
        ("3", "call", "C"),
        ("4", "song", ""),
    ]


def test_a_row_of_the_same_file_or_number_is_replaced_in_its_place(tmp_path):
    add_rows(tmp_path, [{"file": "song/a.mp3", "type": "song"}, {"file": "song/XC2.mp3", "xc_id": "2"}])
    add_rows(tmp_path, [{"file": "song/a.mp3", "xc_id": "1", "type": "call"}, {"file": "call/XC2.mp3", "xc_id": "2"}])
    assert [(row["file"], row["xc_id"]) for row in read_rows(tmp_path)] == [("song/a.mp3", "1"), ("call/XC2.mp3", "2")]


def test_rows_that_name_neither_file_nor_number_are_kept(tmp_path):
    (tmp_path / "recordings.csv").write_text("file,remarks\n,first\n,second\n", encoding="utf-8")
    add_rows(tmp_path, [{"file": "song/XC4.mp3", "xc_id": "4"}])
    assert [row["remarks"] for row in read_rows(tmp_path)] == ["first", "second", ""]
