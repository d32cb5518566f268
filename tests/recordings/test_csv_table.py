"""CSV as spreadsheets write it; damaged files raise with their line."""

import pytest

from birdnet_nl.recordings.csv_table import read_csv
from birdnet_nl.util.errors import DataError

TEXT = 'file;recordist;remarks\nsong/a.mp3;Jürgen Müller;"two\nlines; ""loud"""\nb.mp3;Ørsted;\n'
ROWS = [
    {"file": "song/a.mp3", "recordist": "Jürgen Müller", "remarks": 'two\nlines; "loud"'},
    {"file": "b.mp3", "recordist": "Ørsted", "remarks": ""},
]


def read(tmp_path, content):
    path = tmp_path / "recordings.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_csv(path)


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252", "latin-1"]
)
def test_any_encoding_of_a_spreadsheet_is_read(tmp_path, encoding):
    assert read(tmp_path, TEXT.encode(encoding)) == ROWS


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("first", ["", "sep={}\n", "sep={}\r\n\r\n"])
def test_any_separator_is_read(tmp_path, separator, first):
    text = first.format(separator) + f"file{separator}type\na.mp3{separator}song\n"
    assert read(tmp_path, text) == [{"file": "a.mp3", "type": "song"}]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_any_line_end_is_read(tmp_path, end):
    assert read(tmp_path, f"file,type{end}{end}a.mp3,song{end}b.mp3,call") == [
        {"file": "a.mp3", "type": "song"}, {"file": "b.mp3", "type": "call"},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        (" File Name ;XC-ID;\na.mp3;1;\n;;\n;;;\n\n", [{"file_name": "a.mp3", "xc_id": "1"}]),  # blank rows, columns
        ("file,type,type\na.mp3,,song\n", [{"file": "a.mp3", "type": "song"}]),  # the same heading twice
        ("file\nsong/a, b.mp3\n", [{"file": "song/a, b.mp3"}]),  # one column: a comma separates nothing
        ('file,remarks\na.mp3,"a "loud" bird"\nb.mp3,5" away\n', [
            {"file": "a.mp3", "remarks": 'a loud" bird"'}, {"file": "b.mp3", "remarks": '5" away'},
        ]),
        ('file, remarks\na.mp3, "one, two"\n', [{"file": "a.mp3", "remarks": "one, two"}]),
        ('file,xc_id\na.mp3,"=""0012"""\n', [{"file": "a.mp3", "xc_id": "0012"}]),
        ("file,type\na.mp3,song\n" + "\0" * 1000, [{"file": "a.mp3", "type": "song"}]),  # after a power failure
        ("file,type\na.mp3\n", [{"file": "a.mp3", "type": ""}]),
        ("", []), ("\n\n", []), ("sep=;\n", []), ("file,type\n", []),
    ],
)  # fmt: skip
def test_what_spreadsheets_and_people_write_is_read(tmp_path, text, rows):
    assert read(tmp_path, text) == rows


def test_lines_of_two_encodings_are_read_line_by_line(tmp_path):
    content = "recordist\nJürgen\n".encode() + "Jürgen\n".encode("cp1252") + b"\x81\n"
    assert [row["recordist"] for row in read(tmp_path, content)] == ["Jürgen", "Jürgen", "\x81"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('file,remarks\na.mp3,"loud\nb.mp3,soft\n', "line 2: a quotation mark is not closed"),
        ('file,remarks\na.mp3,x\nb.mp3,"loud\nc.mp3,"soft"\n', "line 3: a quotation mark is not closed"),
        ('file,remarks\na.mp3,"' + "x\n" * 600 + '"\n', "line 2: a quotation mark is not closed"),
        ('file,remarks\na.mp3,"' + "x" * 200_000 + "\n", "line 2: a quotation mark is not closed"),
        ("file,type\na.mp3,song\nb.mp3,call, alarm\n", "line 3 has 3 values for 2 headings; write a value that cont"),
    ],
)
def test_a_damaged_file_raises_with_its_line(tmp_path, text, message):
    with pytest.raises(DataError, match=rf"recordings\.csv is damaged: {message}"):
        read(tmp_path, text)


def test_a_very_long_cell_is_read(tmp_path):
    (tmp_path / "a.csv").write_text('file,rec,rmk\na.wav,Jan,"' + "x, " * 70_000 + '"\n', encoding="utf-8")
    assert [row["rec"] for row in read_csv(tmp_path / "a.csv")] == ["Jan"]


@pytest.mark.parametrize("start", [b"PK\x03\x04", b"\xd0\xcf\x11\xe0"])
def test_a_workbook_called_csv_is_named(tmp_path, start):
    (tmp_path / "a.csv").write_bytes(start + bytes(range(256)))
    with pytest.raises(DataError, match="is a workbook of a spreadsheet, not CSV"):
        read_csv(tmp_path / "a.csv")
