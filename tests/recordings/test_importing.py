"""Import of recordings by their tags, names, folders and tables."""

import csv
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from mutagen.id3 import COMM, ID3, TIT2, WCOP

from birdnet_nl.recordings.folder import read_species_folder
from birdnet_nl.recordings.importing import import_recordings
from birdnet_nl.recordings.labels import classify_type
from birdnet_nl.recordings.manifest import read_rows
from birdnet_nl.recordings.metadata import add_tags, parse_comment, read_tags, species_in
from birdnet_nl.recordings.recording import Recording
from birdnet_nl.species.table import get_species
from birdnet_nl.util.errors import DataError

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "recordings"
COMMENT = (
    "XC132379 © Stein Ã\x98. Nilsen // Dividal, Troms (68.65, 19.81), Norway // 420m // 07:00h, 2012-06-16 // "
    "male, song // zoom H4n /  / bird-seen:yes // also:  Redwing, Common Chaffinch"
)


@pytest.fixture
def put(tmp_path, mp3_bytes):
    """Write a sound file below `tmp_path/in`, with the tags of Xeno-canto if a comment is given."""

    def write(name: str, comment: str = "", title: str = "", licence: str = "") -> Path:
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(mp3_bytes + name.encode())  # unique content
        if comment or title:
            tags = ID3()
            tags.add(COMM(encoding=3, lang="eng", desc="", text=[comment]))
            tags.add(TIT2(encoding=3, text=[title]))
            tags.add(WCOP(url=licence))
            tags.save(path)
        return path

    return write


def rows_of(root, slug):
    return {row["file"]: row for row in read_rows(root / f"xeno-canto-{slug}")}


def test_the_comment_of_xeno_canto_is_parsed(put):
    path = put("sound.mp3", COMMENT, "Great Tit (Parus major)", "http://creativecommons.org/licenses/by-nc-sa/3.0/")
    assert read_tags(path) == {
        "xc_id": "132379", "recordist": "Stein Ø. Nilsen", "country": "Norway", "latitude": "68.65",
        "longitude": "19.81", "date": "2012-06-16", "time": "07:00", "type": "male, song",
        "remarks": "zoom H4n /  / bird-seen:yes",
        "background": "Redwing; Common Chaffinch", "title": "Great Tit (Parus major)",
        "licence": "http://creativecommons.org/licenses/by-nc-sa/3.0/",
    }  # fmt: skip


def test_tags_fill_in_place_and_time_without_a_manifest(put, tmp_path):
    recording = Recording("XC132379", put("sound.mp3", COMMENT), "koolmees", "song", "song")
    tagged = add_tags(recording)
    assert (tagged.country, tagged.month, tagged.hour) == ("Norway", 6, 7)
    known = replace(recording, country="Spain")
    assert add_tags(known) == known
    missing = replace(recording, path=tmp_path / "missing.mp3")
    assert add_tags(missing) == missing


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("XC1 © A // B, C // ?m // ?h, 2011-05-17 // call", "call"),
        ("XC1 © A // B, C // 3m // xx:xxh, 1986-05-09 // calls in colony // tape", "calls in colony"),
        ("XC1 © A // B, C // 3m // 07:00h, 0000-00-00 // song //  /  / bird-seen:yes", "song"),
        ("XC1 © A // B // C, D // 3m // 07:00h, 2000-01-01 // alarm call, song", "alarm call, song"),
        ("XC1 © A // B // 3m // 07:00h, 2000-01-01", ""),
        ("a song of XC1", None),
        ("", None),
    ],
)
def test_the_type_is_the_part_after_the_date(text, expected):
    assert parse_comment(text).get("type") == expected


def test_titles_and_file_names_give_the_species():
    for text in ("Great Tit (Parus major)", "Parus major major", "XC12 - Koolmees - Parus major", "XC12-Great Tit"):
        assert species_in(text) == get_species("koolmees"), text
    assert species_in("XC12") is None
    assert species_in("Acadian Flycatcher (Empidonax virescens)") is None
    assert species_in("Goudvink") == get_species("goudvink")  # and not vink


def test_files_of_a_folder_are_placed_by_tags_names_and_folders(put, tmp_path):
    put("a.mp3", COMMENT, "Great Tit (Parus major)")
    put("deep/er/b.mp3", COMMENT.replace("132379", "2").replace("male, song", "alarm call, song"), "Parus major")
    put("merel/zang/XC3.mp3")
    put("Vink/XC4 - Common Chaffinch.mp3")
    put("merel/zang/eigen opname.mp3")
    put("roep/XC5 - Ekster - Pica pica.mp3")
    put("call/c.mp3")
    put("song/d.mp3", COMMENT.replace("132379", "9").replace("male, song", "jubelt"), "Parus major")
    put("song/e.mp3", COMMENT.replace("132379", "8"), "Acadian Flycatcher (Empidonax virescens)")
    (tmp_path / "in" / "merel" / "zang" / "XC6.mp3").write_text("<html>")
    (tmp_path / "in" / "merel" / "zang" / "._XC7.mp3").write_text("left by a Mac")
    report = import_recordings(tmp_path / "in", tmp_path / "out")
    assert set(rows_of(tmp_path / "out", "koolmees")) == {"song/XC132379.mp3", "mixed/XC2.mp3"}
    assert set(rows_of(tmp_path / "out", "merel")) == {"song/XC3.mp3", "song/eigen opname.mp3"}
    assert set(rows_of(tmp_path / "out", "ekster")) == {"call/XC5.mp3"}
    assert rows_of(tmp_path / "out", "koolmees")["song/XC132379.mp3"]["recordist"] == "Stein Ø. Nilsen"
    assert (report.placed, dict(report.types)) == (5, {"song": 3, "several": 1, "call": 1})
    reasons = {Path(path).name: reason for path, reason in report.refused}
    assert reasons.pop("XC6.mp3").startswith("cannot be decoded")
    assert reasons == {
        "XC4 - Common Chaffinch.mp3": "no type in tag, folder or table",
        "c.mp3": "no species in tag, name, folder or table",
        "d.mp3": "type 'jubelt' is not known",
        "e.mp3": "Acadian Flycatcher (Empidonax virescens) is not a species of the Netherlands",
    }
    assert "XC132379" in (tmp_path / "out" / "xeno-canto-koolmees" / "ATTRIBUTION.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("how", ["reference", "copy", "link"])
def test_files_are_referenced_copied_or_linked_and_then_read(put, tmp_path, how):
    path = put("merel/zang/XC3.mp3")
    import_recordings(tmp_path / "in", tmp_path / "out", how=how)
    placed = tmp_path / "out" / "xeno-canto-merel" / "song" / "XC3.mp3"
    assert placed.read_bytes() == path.read_bytes()
    assert placed.is_symlink() == (how == "reference")
    assert placed.samefile(path) == (how != "copy")
    [recording] = read_species_folder(tmp_path / "out" / "xeno-canto-merel", get_species("merel"))
    assert (recording.id, recording.vocalization_type) == ("XC3", "song")
    again = import_recordings(tmp_path / "in", tmp_path / "out", how=how)
    assert (again.placed, again.present, again.refused) == (0, 1, [])


def test_files_in_the_right_folder_stay_there(put, tmp_path):
    put("xeno-canto-merel/zang/XC3.mp3")
    report = import_recordings(tmp_path / "in", tmp_path / "in")
    assert report.placed == 1
    assert set(rows_of(tmp_path / "in", "merel")) == {"zang/XC3.mp3"}
    assert not (tmp_path / "in" / "xeno-canto-merel" / "song").exists()


def test_a_file_without_a_row_gets_one_with_the_next_import(put, tmp_path):
    put("merel/zang/XC3.mp3")
    import_recordings(tmp_path / "in", tmp_path / "out", how="copy")
    (tmp_path / "out" / "xeno-canto-merel" / "recordings.csv").unlink()
    report = import_recordings(tmp_path / "in", tmp_path / "out", how="copy")
    assert (report.placed, report.refused) == (1, [])
    assert set(rows_of(tmp_path / "out", "merel")) == {"song/XC3.mp3"}


def test_the_same_number_under_two_types_is_multilabel(put, tmp_path):
    put("merel/zang/XC3.mp3")
    put("merel/alarm/XC3.mp3")
    report = import_recordings(tmp_path / "in", tmp_path / "out")
    assert rows_of(tmp_path / "out", "merel")["mixed/XC3.mp3"]["type"] == "alarm, zang"
    assert len(report.refused) == 1 and "the same recording as" in report.refused[0][1]


def test_no_file_is_overwritten(put, tmp_path):
    put("merel/zang/a/opname.mp3")
    put("merel/zang/b/opname.mp3")
    report = import_recordings(tmp_path / "in", tmp_path / "out", how="copy")
    assert report.placed == 1 and "another sound with the same name as" in report.refused[0][1]
    put("merel/zang/a/opname.mp3", COMMENT)  # another sound, with a number
    report = import_recordings(tmp_path / "in" / "merel" / "zang" / "b", tmp_path / "out", how="copy")
    assert report.placed == 0 and len(report.refused) == 1


def test_birdclef_metadata_is_read(put, tmp_path):
    put("train_audio/eurbla/XC30.mp3")
    put("train_audio/gretit1/XC31.mp3")
    header = "primary_label,secondary_labels,type,scientific_name,common_name,author,license,rating,filename"
    licence = "CC BY-NC-SA 4.0"
    lines = [
        f"""eurbla,"['gretit1']","['call', 'male']",Turdus merula,Merel,Ann,{licence},4.5,eurbla/XC30.mp3""",
        f"""gretit1,[],"['song', 'call']",Parus major,Great Tit,Bob,{licence},0.0,gretit1/XC31.mp3""",
        f"""gretit1,[],['song'],Parus major,Great Tit,Bob,{licence},3.0,gretit1/XC32.mp3""",
        f"""acafly,[],['song'],Empidonax virescens,Acadian Flycatcher,Bob,{licence},3.0,gretit1/XC31.mp3""",
    ]
    (tmp_path / "in" / "train_metadata.csv").write_text("\n".join([header, *lines]), encoding="utf-8")
    report = import_recordings(tmp_path / "in" / "train_metadata.csv", tmp_path / "out")
    row = rows_of(tmp_path / "out", "merel")["call/XC30.mp3"]
    assert (row["type"], row["quality"], row["recordist"], row["background"]) == ("call, male", "B", "Ann", "gretit1")
    assert rows_of(tmp_path / "out", "koolmees")["mixed/XC31.mp3"]["quality"] == ""
    reasons = [reason for _, reason in report.refused]
    assert "no such file" in reasons[0] and "Empidonax virescens is not a species of the Netherlands" in reasons[1]


def test_json_of_the_api_is_read(put, tmp_path, server):
    put("map/XC41.mp3")
    put("map/XC42.mp3")
    server.add(41, type="alarm call", q="B")
    server.add(42, gen="Empidonax", sp="virescens", en="Acadian Flycatcher")
    server.add(43)
    table = tmp_path / "answer.json"
    table.write_text(json.dumps({"recordings": list(server.recordings.values())}), encoding="utf-8")
    report = import_recordings(table, tmp_path / "out", audio=tmp_path / "in")
    row = rows_of(tmp_path / "out", "koolmees")["alarm/XC41.mp3"]
    assert (row["quality"], row["country"], row["date"]) == ("B", "Netherlands", "2023-04-00")
    assert len(report.refused) == 2


def test_the_error_for_a_folder_that_cannot_be_written_names_it(put, tmp_path):
    put("merel/zang/XC3.mp3")
    (tmp_path / "out" / "xeno-canto-merel").mkdir(parents=True)
    (tmp_path / "out" / "xeno-canto-merel" / "song").write_text("in the way")
    with pytest.raises(DataError, match=r"song cannot be written by copy \(File exists\); choose another of reference"):
        import_recordings(tmp_path / "in", tmp_path / "out", how="copy")


def test_impossible_sources_raise(tmp_path):
    (tmp_path / "broken.json").write_text("{", encoding="utf-8")
    (tmp_path / "number.json").write_text("3", encoding="utf-8")
    with pytest.raises(DataError, match=r"broken.json is not a CSV or JSON file in UTF-8"):
        import_recordings(tmp_path / "broken.json", tmp_path)
    with pytest.raises(DataError, match="holds no list of recordings"):
        import_recordings(tmp_path / "number.json", tmp_path)
    with pytest.raises(DataError, match="is neither a folder nor a"):
        import_recordings(tmp_path / "nowhere", tmp_path)
    with pytest.raises(ValueError, match="how=move is not possible"):
        import_recordings(tmp_path, tmp_path, how="move")


@pytest.fixture(scope="module")
def real_rows():
    if not SHARED.is_dir():
        pytest.skip("needs the shared recordings")
    with (SHARED / "recordings.csv").open(encoding="utf-8", newline="") as file:
        return {row["xc_id"]: row for row in csv.DictReader(file)}


def imported_rows(root):
    return {row["xc_id"]: row for folder in root.iterdir() for row in read_rows(folder)}


def test_tags_of_real_recordings_give_type_and_species(real_rows, tmp_path):
    """Names and folders are removed, so that only tags remain."""
    (tmp_path / "in").mkdir()
    paths = sorted(SHARED.glob("xeno-canto-*/*/*.mp3"))[::3]
    for number, path in enumerate(paths):
        (tmp_path / "in" / f"{number}.mp3").symlink_to(path)
    report = import_recordings(tmp_path / "in", tmp_path / "out")
    rows = imported_rows(tmp_path / "out")
    assert len(rows) + len(report.refused) == len(paths)
    assert all((row["type"], row["slug"]) == (real_rows[id]["type"], real_rows[id]["slug"]) for id, row in rows.items())
    assert len(rows) >= 20  # of 96; the others have no comment of Xeno-canto


def test_tags_and_folders_place_all_real_recordings(real_rows, tmp_path):
    shutil.copytree(SHARED, tmp_path / "in", ignore=shutil.ignore_patterns("*.csv", "*.md"), copy_function=os.symlink)
    report = import_recordings(tmp_path / "in", tmp_path / "out")
    rows = imported_rows(tmp_path / "out")
    equal = sum(classify_type(real_rows[id]["type"]) == classify_type(row["type"]) for id, row in rows.items())
    assert len(rows) == len(real_rows) and not report.refused
    assert equal >= 0.95 * len(rows)


@pytest.mark.slow
def test_the_manifest_of_real_recordings_is_used(real_rows, tmp_path):
    report = import_recordings(SHARED, tmp_path / "out")
    rows = imported_rows(tmp_path / "out")
    assert {id: row["type"] for id, row in rows.items()} == {id: row["type"] for id, row in real_rows.items()}
    assert report.placed == len(real_rows)


def test_names_that_are_not_utf8_are_placed_under_a_readable_name_and_found_again(put, tmp_path):
    path = put("koolmees/zang/plain.mp3")
    odd = path.rename(path.with_name("J\udcfcrgen.mp3"))
    root = tmp_path / "d\udce4ta"
    assert import_recordings(tmp_path / "in", root).placed == 1
    folder = root / "xeno-canto-koolmees"
    assert (folder / "song" / "Jürgen.mp3").samefile(odd) and read_rows(folder)[0]["file"] == "song/Jürgen.mp3"
    assert import_recordings(tmp_path / "in", root).present == 1


def test_a_file_in_place_whose_name_is_not_utf8_keeps_its_row(put, tmp_path):
    path = put("xeno-canto-koolmees/song/plain.mp3")
    odd, folder = path.rename(path.with_name("J\udcfcrgen.mp3")), path.parents[1]
    assert [import_recordings(tmp_path / "in", tmp_path / "in").placed for _ in range(2)] == [1, 0]
    (folder / "recordings.csv").write_text("file,rec\nsong/Jürgen.mp3,Ann\n", encoding="cp1252")
    (recording,) = read_species_folder(folder, get_species("koolmees"))
    assert (recording.path, recording.recordist, recording.id) == (odd, "Ann", "song/J\\xfcrgen")
