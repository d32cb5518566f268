"""Rows of a manifest reach their files however the paths are written, and nothing is guessed."""

import unicodedata
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from birdnet_nl.recordings.folder import read_species_folders
from birdnet_nl.recordings.library import find_recordings
from birdnet_nl.recordings.manifest import read_manifest_rows
from birdnet_nl.species.table import get_species
from birdnet_nl.util.errors import DataError

MEREL = get_species("merel")


def make(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def read(folder: Path):
    content = read_species_folders([folder], MEREL)
    people = {r.path.relative_to(folder).as_posix(): r.recordist for r in content.recordings if r.path.exists()}
    return content, people


@pytest.mark.parametrize(
    "written",
    [
        "song/Tuin één.mp3", "./song/Tuin één.mp3", "song\\Tuin één.mp3", ".\\song\\Tuin één.mp3", "song//Tuin één.mp3",
        "call/../song/Tuin één.mp3", "SONG/TUIN ÉÉN.MP3", "song/Tuin  één.mp3", "Tuin één.mp3", "Tuin één",
        unicodedata.normalize("NFD", "song/Tuin één.mp3"), "D:\\birds\\merel\\song\\Tuin één.mp3",
        "C:\\Users\\Ann\\Desktop\\Tuin één.mp3", "/home/ann/xeno-canto-merel/song/Tuin één.mp3",
        "\\\\nas\\birds\\Turdus merula\\song\\Tuin één.mp3", "file:///home/ann/song/Tuin%20%C3%A9%C3%A9n.mp3",
        "song/Tuin één.wav", "merel/song/Tuin één.mp3", "../merel/song/Tuin één.mp3",
        "zang\\Tuin één.mp3", "deep/er/song/Tuin één.mp3",
    ],
)  # fmt: skip
@pytest.mark.parametrize("on_disk", ["NFC", "NFD"])
def test_a_recordist_is_never_lost_because_of_how_a_path_is_written(tmp_path, written, on_disk, write_manifest):
    name = unicodedata.normalize(on_disk, "song/Tuin één.mp3")
    folder = make(tmp_path / "merel", name, "song/other.mp3", "call/two.mp3")
    write_manifest(folder, [{"file": written, "recordist": "Ann"}])
    content, people = read(folder)
    assert people == {name: "Ann", "song/other.mp3": "", "call/two.mp3": ""}
    assert (content.rows_without_file, content.ambiguous_rows) == ([], [])
    assert sorted(content.files_without_row) == ["call/two.mp3", "song/other.mp3"]


@pytest.mark.parametrize(
    "written", ["merel/song/a.mp3", "merel\\song\\a.mp3", "D:\\x\\Turdus merula\\song\\A.MP3", "a.mp3", "song/a.mp3"]
)
def test_a_manifest_above_may_write_paths_in_any_way_too(tmp_path, written, write_manifest):
    folder = make(tmp_path / "merel", "song/a.mp3")
    make(tmp_path / "koolmees", "song/b.mp3")
    write_manifest(tmp_path, [{"file": written, "recordist": "Ann"}, {"file": "koolmees/song/b.mp3", "recordist": "B"}])
    assert read(folder)[1] == {"song/a.mp3": "Ann"}
    assert [r.recordist for r in find_recordings(tmp_path, "koolmees")] == ["B"]


def test_a_row_above_that_could_be_of_another_species_is_not_used(tmp_path, write_manifest):
    folder = make(tmp_path / "merel", "song/1.wav")
    make(tmp_path / "koolmees", "song/1.wav")
    write_manifest(tmp_path, [{"file": "1.wav", "recordist": "Ann"}, {"file": "song/1.wav", "recordist": "Bob"}])
    content, people = read(folder)
    assert people == {"song/1.wav": ""} and content.rows_without_file == []
    write_manifest(tmp_path, [{"file": "song/1.wav", "english": "Eurasian Blackbird", "recordist": "Ann"}])
    assert read(folder)[1] == {"song/1.wav": "Ann"}
    assert [r.recordist for r in find_recordings(tmp_path, "koolmees")] == [""]


def test_a_name_that_several_files_have_is_reported_and_not_guessed(tmp_path, write_manifest):
    folder = make(tmp_path / "merel", "song/a/1.wav", "song/b/1.wav", "call/2.wav")
    write_manifest(folder, [{"file": "D:/1.wav", "recordist": "Ann"}, {"file": "2.wav", "recordist": "Bob"}])
    content, people = read(folder)
    assert people == {"song/a/1.wav": "", "song/b/1.wav": "", "call/2.wav": "Bob"}
    assert content.ambiguous_rows == ["D:/1.wav"]


def test_two_rows_that_fit_the_same_file_loosely_are_reported(tmp_path, write_manifest):
    folder = make(tmp_path / "merel", "song/1.wav")
    rows = [{"file": f"D:/{year}/1.wav", "recordist": name} for year, name in ((2019, "Ann"), (2020, "Bob"))]
    write_manifest(folder, rows)
    content, people = read(folder)
    assert people == {"song/1.wav": ""} and content.ambiguous_rows == ["D:/2019/1.wav", "D:/2020/1.wav"]


def test_an_exact_row_takes_its_file_before_a_loose_one(tmp_path, write_manifest):
    folder = make(tmp_path / "merel", "song/1.wav")
    rows = [{"file": "x/1.wav", "recordist": "Ann"}, {"file": "song\\1.wav", "recordist": "Bob"}]
    write_manifest(folder, rows)
    content, people = read(folder)
    assert people == {"song/1.wav": "Bob"} and content.rows_without_file == ["x/1.wav"]


def test_a_row_of_another_type_folder_is_another_recording(tmp_path, write_manifest):
    folder = make(tmp_path / "merel", "song/1.wav")
    write_manifest(folder, [{"file": "call/1.wav", "recordist": "Ann"}])
    content, people = read(folder)
    assert people == {"song/1.wav": ""} and content.rows_without_file == ["call/1.wav"]
    assert content.files_without_row == ["song/1.wav"]


@pytest.mark.parametrize("number", ["1", "XC1", "xc 1", "001", "1.0"])
def test_numbers_of_spreadsheets_are_recognised(tmp_path, number, write_manifest):
    folder = make(tmp_path / "merel", "call/XC1 - Merel.mp3")
    write_manifest(folder, [{"file": "gone/x.mp3", "xc_id": number, "type": "song", "recordist": "Ann"}])
    content, people = read(folder)
    assert people == {"call/XC1 - Merel.mp3": "Ann"} and content.rows_without_file == []


def test_a_moved_file_keeps_its_recordist_by_the_number_in_its_name(tmp_path, write_manifest):
    folder = make(tmp_path / "merel", "call/XC1.mp3")
    write_manifest(folder, [{"file": "song/XC1.mp3", "recordist": "Ann"}])
    assert read(folder)[1] == {"call/XC1.mp3": "Ann"}


def test_values_that_the_inner_manifest_leaves_empty_come_from_the_one_above(tmp_path, write_manifest):
    folder = make(tmp_path / "merel", "song/a.mp3")
    write_manifest(tmp_path, [{"file": "merel/song/a.mp3", "recordist": "Ann", "type": "call"}])
    write_manifest(folder, [{"file": "song/a.mp3", "recordist": "", "type": "alarm"}])
    (recording,) = read(folder)[0].recordings
    assert (recording.recordist, recording.vocalization_type) == ("Ann", "alarm")


def test_a_row_for_a_second_path_of_a_file_counts(tmp_path, write_manifest):
    folder = make(tmp_path / "merel", "song/a.mp3")
    (folder / "song" / "b.mp3").symlink_to("a.mp3")
    write_manifest(folder, [{"file": "song/b.mp3", "recordist": "Ann"}])
    assert read(folder)[1] == {"song/a.mp3": "Ann"}


def test_numbers_with_a_decimal_comma_are_read(tmp_path):
    folder = make(tmp_path / "merel", "song/a.mp3")
    text = "file;latitude;longitude;duration_s;sample_rate_hz\nsong/a.mp3;52,36;6,46;12,5;44100\n"
    (folder / "recordings.csv").write_text(text)
    (recording,) = read(folder)[0].recordings
    assert (recording.latitude, recording.longitude, recording.duration_s) == (52.36, 6.46, 12.5)


def test_ten_thousand_rows_take_no_quadratic_time(tmp_path, write_manifest):
    folder = make(tmp_path / "merel", "song/other.mp3")
    write_manifest(folder, [{"file": f"D:\\{n}\\audio.wav", "recordist": str(n)} for n in range(10_000)])
    content, _ = read(folder)  # with a list search for each row this takes minutes
    assert len(content.rows_without_file) == 10_000


NAMES = ("song/a.mp3", "song/XC12.mp3", "call/b, c.wav", 'call/"d".flac', "alarm/Tuin één.mp3", "Ç/e ; f.ogg")
WAYS = (
    lambda name: name,
    lambda name: name.replace("/", "\\"),
    lambda name: "D:\\birds\\Turdus merula\\" + name.replace("/", "\\"),
    lambda name: f"./{name}",
    lambda name: unicodedata.normalize("NFD", name),
    lambda name: name.upper(),
)
PEOPLE = st.text(st.characters(codec="cp1252", exclude_characters='"\x7f', exclude_categories=("Cc", "Zs")), min_size=1)


def cell(text: str, separator: str, always: bool) -> str:
    quoted = always or any(char in text for char in (separator, '"', "\n", "\r"))
    return '"' + text.replace('"', '""') + '"' if quoted else text


@st.composite
def manifests(draw) -> tuple[bytes, dict[str, str]]:
    """A well-formed manifest as some spreadsheet would write it, and the recordist of each file."""
    separator, end = draw(st.sampled_from(",;\t")), draw(st.sampled_from(("\n", "\r\n", "\r")))
    encoding = draw(st.sampled_from(("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252")))
    people = {name: draw(PEOPLE) for name in draw(st.lists(st.sampled_from(NAMES), unique=True))}
    ways = WAYS if encoding != "cp1252" else tuple(way for way in WAYS if way is not WAYS[4])
    always, blanks = draw(st.booleans()), draw(st.integers(0, 3))
    rows = [(draw(st.sampled_from(("file", "File ", "PATH"))), draw(st.sampled_from(("recordist", "Rec"))), "remarks")]
    rows += [(draw(st.sampled_from(ways))(name), person, draw(st.sampled_from(("", "a\nb", 'say "x"'))))
             for name, person in people.items()]  # fmt: skip
    lines = [separator.join(cell(value, separator, always) for value in row) + separator * blanks for row in rows]
    first = [f"sep={separator}"] * draw(st.booleans())
    return (end.join([*first, *lines, "", separator * blanks]) + end).encode(encoding), people


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory) -> Path:
    return make(tmp_path_factory.mktemp("fuzz") / "merel", *NAMES)


FUZZ = settings(
    max_examples=60, derandomize=True, deadline=None, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip


@FUZZ
@given(manifests())
def test_no_recordist_is_lost_from_a_well_formed_manifest(fuzzed, manifest):
    content, people = manifest
    (fuzzed / "recordings.csv").write_bytes(content)
    found, recordists = read(fuzzed)
    assert recordists == {name: people.get(name, "").strip() for name in NAMES}
    assert (found.rows_without_file, found.ambiguous_rows) == ([], [])


@FUZZ
@given(manifests(), st.lists(st.tuples(st.integers(0), st.integers(0, 255)), max_size=8), st.integers(0, 3))
@example((b'file,recordist\nsong/a.mp3,"Ann\n', {}), [], 0)
@example((b"file,recordist\nsong,Ann\n.,Bob\n" + b"x" * 300 + b",Cas\n", {}), [], 0)
@example((b'file,recordist\n"call/b, c.av",Ann\n"call/b, c.wav",Bob\n', {}), [], 0)
def test_a_damaged_manifest_gives_rows_or_an_error_that_names_it(fuzzed, manifest, changes, cut):
    content = bytearray(manifest[0])
    for position, value in changes:
        content[position % len(content)] = value
    content = content[: len(content) - cut * len(content) // 4]
    (fuzzed / "recordings.csv").write_bytes(bytes(content))
    try:
        found, recordists = read(fuzzed)
    except DataError as error:
        assert "recordings.csv" in str(error) and "\n" not in str(error)
        return
    assert recordists.keys() == set(NAMES)
    rows = read_manifest_rows(fuzzed / "recordings.csv")
    named = sum(1 for recordist in recordists.values() if recordist)
    assert named <= len(rows) and len(found.rows_without_file) + len(found.ambiguous_rows) <= len(rows)


@pytest.mark.parametrize(
    "text",
    [
        "https://xeno-canto.org/1/download", "//xeno-canto.org/1/download", "https://www.xeno-canto.org/1",
        "https://xeno-canto.org/sounds/uploaded/ABC/XC1-merel.mp3",
    ],
)  # fmt: skip
def test_an_address_of_xeno_canto_gives_the_number(tmp_path, text, write_manifest):
    folder = tmp_path / "xeno-canto-merel"
    (folder / "song").mkdir(parents=True)
    (folder / "song" / "XC1.mp3").write_bytes(b"x")
    (folder / "recordings.csv").write_text(f"file,rec\n{text},Jan\n{text.replace('1', '2')},Piet\n", encoding="utf-8")
    content = read_species_folders([folder], get_species("merel"))
    assert [(recording.id, recording.recordist) for recording in content.recordings] == [("XC1", "Jan")]
    assert content.rows_without_file == [text.replace("1", "2")]


def test_the_list_that_xeno_canto_exports_is_read(tmp_path):
    folder = tmp_path / "xeno-canto-merel"
    (folder / "sounds").mkdir(parents=True)
    (folder / "sounds" / "XC1.mp3").write_bytes(b"x")
    text = '"Common name","Recordist","Songtype","Catalogue number"\n"Blackbird","Jan","alarm call","XC1"\n'
    (folder / "recordings.csv").write_text(text, encoding="utf-8")
    (recording,) = read_species_folders([folder], get_species("merel")).recordings
    assert (recording.recordist, recording.vocalization_type) == ("Jan", "alarm")
