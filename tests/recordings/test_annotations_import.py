"""Label files are matched with recordings and stored once; what fits none is listed with a reason."""

import json

import pytest

from birdnet_nl.cli import app
from birdnet_nl.recordings.annotations import read_annotations
from birdnet_nl.recordings.annotations_import import export_annotations, import_labels
from birdnet_nl.recordings.annotations_xeno_canto import read_xeno_canto, write_xeno_canto
from birdnet_nl.util.errors import DataError

TABLE = "Selection\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\tType\n1\t{}\t{}\t1\t2\t{}\n"


@pytest.fixture
def root(tmp_path):
    for name in ("koolmees/song/XC1.mp3", "koolmees/mixed/opname 7.wav", "koolmees/mixed/nips4b_birds_trainfile001.wav",
                 "merel/song/XC2.mp3", "merel/call/opname 8.flac", "vink/call/opname 8.flac"):  # fmt: skip
        path = tmp_path / "data" / f"xeno-canto-{name}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"ID3" + name.encode())
    return tmp_path / "data"


@pytest.fixture
def labels(tmp_path):
    folder = tmp_path / "labels"
    files = {
        "XC1.Table.1.selections.txt": TABLE.format(0.5, 1.25, "song"),
        "sub/opname 7.txt": "1\t2.5\talarm\n",
        "annotation_train001.csv": "0.5,0.25,Parmaj_call\n",
        "set.json": json.dumps({
            "set_name": "a", "set_creator": "b", "set_license": "c", "annotations": [
                {"xc_nr": nr, "start_time": 1, "end_time": 2, "sound_type": "call", "scientific_name": "Turdus merula"}
                for nr in (2, 77)
            ]}),
        "BirdNET_CombinedTable.csv": "Start (s),End (s),Scientific name,Common name,Confidence,File\n"
                                     "0,3,Turdus merula,Merel,0.5,/x/opname 8.wav\n0,3,,,0.5,/x/opname 8.wav\n",
        "notes.txt": "no labels in here\n",
        "opname 9.txt": "1\t2\tsong\n",
    }  # fmt: skip
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_labels_of_every_format_are_matched_and_stored(root, labels):
    report = import_labels(labels, root)
    koolmees, merel = (read_annotations(root / f"xeno-canto-{slug}") for slug in ("koolmees", "merel"))
    assert {(one.recording, one.start_s, one.end_s, one.type_text) for one in koolmees} == {
        ("song/XC1.mp3", 0.5, 1.25, "song"), ("mixed/opname 7.wav", 1, 2.5, "alarm"),
        ("mixed/nips4b_birds_trainfile001.wav", 0.5, 0.75, "call"),
    }  # fmt: skip
    assert {(one.recording, one.type_text) for one in merel} == {("song/XC2.mp3", "call"), ("call/opname 8.flac", "")}
    assert report.stored == {"koolmees": 3, "merel": 2} and len(report.recordings) == 5
    assert dict(report.refused) == {
        "notes.txt": "it is of none of the formats Xeno-canto annotation set, Raven, BirdNET-Analyzer, Audacity, "
                     "NIPS4Bplus",
        "set.json: XC77": "there is no such recording (1 label)",
        "opname 9.txt: opname 9": "there is no such recording (1 label)",
        "BirdNET_CombinedTable.csv: /x/opname 8.wav": "fits several recordings, such as call/opname 8.flac of merel "
                                                      "(1 label)",
    }  # fmt: skip


def test_a_second_import_replaces_the_labels_of_the_same_file_and_keeps_others(root, labels):
    import_labels(labels, root)
    (labels / "XC1.Table.1.selections.txt").write_text(TABLE.format(2, 3, "call"))
    (labels / "XC1_labels.txt").write_text("5\t6\tsong\n")
    report = import_labels(labels, root)
    stored = [one for one in read_annotations(root / "xeno-canto-koolmees") if "XC1" in one.recording]
    assert [(one.start_s, one.type_text) for one in stored] == [(2, "call"), (5, "song")]
    assert report.replaced == 5


def test_stored_labels_are_written_back_as_an_annotation_set(root, labels):
    import_labels(labels / "set.json", root)
    original = read_xeno_canto((labels / "set.json").read_text())[:1]
    annotations, refused = export_annotations(root)
    written = read_xeno_canto(write_xeno_canto(annotations))
    values = [(one.recording, one.start_s, one.end_s, one.type_text, one.species) for one in written]
    assert values == [(one.recording, one.start_s, one.end_s, one.type_text, one.species) for one in original]
    assert json.loads(write_xeno_canto(annotations))["set_name"] == "a" and not refused
    import_labels(labels / "sub", root)
    assert export_annotations(root)[1] == [
        ("koolmees/mixed/opname 7.wav", "its name has no number of Xeno-canto (1 labels)")
    ]


def test_the_command_imports_and_exports(root, labels, tmp_path, run_cli):
    out = run_cli("import", "--labels", labels, "--root", root, "--export-xeno-canto", tmp_path / "set.json")
    assert "7 label files" not in out and "5 labels of 5 recordings stored in annotations.csv of 2 species" in out
    assert len(json.loads((tmp_path / "set.json").read_text())["annotations"]) == 2
    assert "there is no such recording" in out
    assert "Selection" not in (tmp_path / "set.json").read_text()


def test_what_cannot_be_imported_raises_one_sentence(root, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="has no folder of a species"):
        import_labels(root, tmp_path / "empty")
    with pytest.raises(DataError, match="does not exist"):
        import_labels(root / "nothing", root)
    with pytest.raises(DataError, match="holds no file"):
        import_labels(root / "xeno-canto-vink", root)


@pytest.fixture
def run_cli():
    from typer.testing import CliRunner

    def run(*arguments) -> str:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        assert result.exit_code == 0, result.output
        return " ".join(result.output.split())

    return run
