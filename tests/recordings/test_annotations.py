"""Five formats of label files: written and read again without loss, and read by crowsetta with the same result."""

import json
from dataclasses import replace

import pytest

from birdnet_nl.recordings.annotations import Annotation, LabelFileError, read_annotations, write_annotations
from birdnet_nl.recordings.annotations_analyzer import read_analyzer, write_analyzer
from birdnet_nl.recordings.annotations_audacity import read_audacity, write_audacity
from birdnet_nl.recordings.annotations_nips4bplus import read_nips4bplus, write_nips4bplus
from birdnet_nl.recordings.annotations_raven import read_raven, write_raven
from birdnet_nl.recordings.annotations_xeno_canto import read_xeno_canto, write_xeno_canto
from birdnet_nl.recordings.label_files import (
    FORMATS,
    format_of,
    names_species,
    read_label_file,
    recording_of_label_file,
    species_and_type,
)
from birdnet_nl.species.table import get_species
from birdnet_nl.util.errors import DataError

RAVEN = (
    "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\tSpecies\tAnnotation\t"
    "Delta Time (s)\n"
    "1\tSpectrogram 1\t1\t154.387792767\t154.911598217\t2878.2\t4049.0\tGRTI\tsong\t0.5238\n"
    '2\tWaveform 1\t1\t183.5\t184\t\t\tGRTI\talarm "rattle"\t0.5\n'
    "7\tSpectrogram 1\t2\t250.25\t251.75\t2756.2\t3951.4\t\t\t\n"
)
RAVEN_OF_SEVERAL = (
    "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\tBegin Path\t"
    "File Offset (s)\tType\n"
    "1\tSpectrogram 1\t1\t1.5\t2\t100\t8000\t/a/XC1.mp3\t1.5\tsong\n"
    "2\tSpectrogram 1\t1\t63.5\t64.25\t100\t8000\t/a/XC2.mp3\t3.5\tcall\n"
)
AUDACITY = "0.500000\t1.250000\tsong\n\\\t2000.000000\t8000.000000\n2.000000\t2.400000\tParmaj_call\t0.8125\n3\t3\t\n"
ANALYZER = (
    "Start (s),End (s),Scientific name,Common name,Confidence,File,week\n"
    "0.0,3.0,Parus major,Great Tit,0.8141,/data/XC1.mp3,12\n"
    '3.0,6.0,Turdus merula,"Blackbird, Eurasian",0.2511,/data/XC1.mp3,12\n'
)
NIPS4BPLUS = "0.0000,0.8130,Parmaj_call\n1.5,2.25,Parmaj_song\n4.0,0.125,Unknown\n"
NIPS4BPLUS_WITH_HEADINGS = "start,duration,label\n0.5,0.25,Sylatr_call\n"
XENO_CANTO = json.dumps(
    {
        "set_name": "Mezen", "set_creator": "N. N.", "set_license": "CC BY-NC-SA 4.0", "version": 1,
        "annotations": [
            {
                "xc_nr": 123456, "annotator": "N. N.", "start_time": 1.25, "end_time": 2.5, "frequency_low": 2000.5,
                "frequency_high": 8000, "scientific_name": "Parus major", "sound_type": "alarm call", "sex": "male",
                "life_stage": "adult", "annotation_remarks": "ruis,\n\"tikken\"", "overlap": True,
            },
            {
                "xc_nr": 99, "annotator": "", "start_time": 0, "end_time": 3, "frequency_low": None,
                "frequency_high": None, "scientific_name": "Parus major", "sound_type": "song", "sex": "",
                "life_stage": "", "annotation_remarks": "",
            },
        ],
    }
)  # fmt: skip
SAMPLES = {
    "raven": (RAVEN, read_raven, write_raven),
    "raven of several files": (RAVEN_OF_SEVERAL, read_raven, write_raven),
    "audacity": (AUDACITY, read_audacity, write_audacity),
    "analyzer": (ANALYZER, read_analyzer, write_analyzer),
    "nips4bplus": (NIPS4BPLUS, read_nips4bplus, write_nips4bplus),
    "nips4bplus with headings": (NIPS4BPLUS_WITH_HEADINGS, read_nips4bplus, write_nips4bplus),
    "xeno-canto": (XENO_CANTO, read_xeno_canto, write_xeno_canto),
}


def cells_of(text: str) -> list:
    """The values of a file without regard to how numbers are written and to the order of columns."""
    if text.startswith("{"):
        return json.loads(text)
    rows = [line.split("\t") if "\t" in text else [text.strip() for text in _csv(line)] for line in text.splitlines()]
    values = [[_number(value) for value in row] for row in rows]
    return [dict(zip(values[0], row, strict=True)) for row in values[1:]] if "(s)" in text else values


def _csv(line: str) -> list[str]:
    import csv

    return next(csv.reader([line]))


def _number(value: str) -> float | str:
    try:
        return float(value)
    except ValueError:
        return value


@pytest.mark.parametrize("name", SAMPLES)
def test_a_file_that_is_read_and_written_holds_the_same_values(name):
    text, read, write = SAMPLES[name]
    assert cells_of(write(read(text))) == cells_of(text)
    assert read(write(read(text))) == read(text)


@pytest.mark.parametrize("name", SAMPLES)
def test_annotations_csv_keeps_everything_that_a_label_file_says(name, tmp_path):
    text, read, _ = SAMPLES[name]
    annotations = [replace(one, recording=one.recording or "XC1.mp3", source="a.txt") for one in read(text)]
    write_annotations(tmp_path, annotations)
    assert sorted(read_annotations(tmp_path), key=repr) == sorted(annotations, key=repr)


@pytest.mark.parametrize("name", SAMPLES)
def test_the_format_is_recognised_by_content(name):
    found = format_of(SAMPLES[name][0])
    assert found is not None and found.read is SAMPLES[name][1]


def test_values_of_each_format():
    raven = read_raven(RAVEN)
    assert (raven[0].start_s, raven[0].low_hz, raven[0].species, raven[0].type_text) == (
        154.387792767, 2878.2, "GRTI", "song",
    )  # fmt: skip
    assert raven[1].low_hz is None and raven[1].type_text == 'alarm "rattle"'
    second = read_raven(RAVEN_OF_SEVERAL)[1]
    assert (second.recording, second.start_s, second.end_s) == ("/a/XC2.mp3", 3.5, 4.25)
    audacity = read_audacity(AUDACITY)
    assert [(one.start_s, one.end_s, one.low_hz, one.type_text) for one in audacity] == [
        (0.5, 1.25, 2000.0, "song"), (2.0, 2.4, None, "Parmaj_call"), (3.0, 3.0, None, ""),
    ]  # fmt: skip
    nips = read_nips4bplus(NIPS4BPLUS)
    assert [(one.start_s, one.end_s, one.species, one.type_text) for one in nips] == [
        (0.0, 0.813, "Parmaj", "call"), (1.5, 3.75, "Parmaj", "song"), (4.0, 4.125, "Unknown", ""),
    ]  # fmt: skip
    xeno_canto = read_xeno_canto(XENO_CANTO)[0]
    assert (xeno_canto.recording, xeno_canto.type_text, xeno_canto.high_hz) == ("XC123456", "alarm call", 8000.0)


def test_crowsetta_reads_what_is_written(tmp_path):
    crowsetta = pytest.importorskip("crowsetta")
    original, written = tmp_path / "original.txt", tmp_path / "written.txt"
    text = "".join(RAVEN.splitlines(keepends=True)[:2])  # crowsetta takes no empty frequency
    original.write_text(text)
    written.write_text(write_raven(read_raven(text)))
    first, second = (
        crowsetta.formats.bbox.Raven.from_file(path, annot_col="Annotation").to_bbox() for path in (original, written)
    )
    assert first == second and len(first) == 1
    nips, audacity = tmp_path / "nips.csv", tmp_path / "audacity.txt"
    nips.write_text(write_nips4bplus(read_nips4bplus(NIPS4BPLUS_WITH_HEADINGS)))
    columns = {"start": "onset_s", "duration": "offset_s", "label": "label"}
    sequence = crowsetta.formats.seq.SimpleSeq.from_file(nips, columns_map=columns).to_seq()
    assert sequence.onsets_s.tolist() == [0.5] and sequence.labels.tolist() == ["Sylatr_call"]
    audacity.write_text(write_audacity(read_audacity("0.5\t1.25\tsong\n2\t2.4\tcall\n")))
    options = {"sep": "\t", "header": None, "names": ["onset_s", "offset_s", "label"]}
    sequence = crowsetta.formats.seq.SimpleSeq.from_file(
        audacity,
        read_csv_kwargs=options,
    ).to_seq()
    assert sequence.offsets_s.tolist() == [1.25, 2.4] and sequence.labels.tolist() == ["song", "call"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (RAVEN.replace("183.5\t184", "183.5\tx"), "line 3: End Time \\(s\\) 'x' is not a number"),
        (RAVEN.replace("183.5\t184", "183.5\t18"), "line 3: start 183.5 s must be at least 0 and at most the end"),
        ("Begin Time (s)\tSelection\n1\t2\n", "column End Time \\(s\\) is missing"),
        (ANALYZER + "1,2,3,4,5,6,7,8\n", "line 4: 8 values for 7 columns"),
        ("0.5\t1\tsong\nsong\n", "line 2: start and end, separated by a tab, are expected"),
        ("0.5,x,song\n1,2\n", "none of the formats"),
        ('{"annotations": [{"xc_nr": "x"}]}', "xc_nr 'x' is no number"),
        ('{"annotations": 3}', "no list called annotations"),
        ('{"annotations": [', "no valid JSON"),
        ("", "empty"),
        ("hello", "none of the formats"),
    ],
)  # fmt: skip
def test_a_damaged_file_is_reported_with_its_line(text, message, tmp_path):
    (tmp_path / "x.txt").write_text(text)
    with pytest.raises(LabelFileError, match=message):
        read_label_file(tmp_path / "x.txt")


def test_a_damaged_file_of_ours_is_reported(tmp_path):
    (tmp_path / "annotations.csv").write_text("file,start_s,end_s\nXC1.mp3,1,2\nXC1.mp3,3,x\n")
    with pytest.raises(DataError, match="line 3: end_s 'x' is not a number"):
        read_annotations(tmp_path)
    (tmp_path / "annotations.csv").write_text("file;start_s;end_s;type\nXC1.mp3;1,5;2;song\n")
    assert read_annotations(tmp_path) == [Annotation("XC1.mp3", 1.5, 2, type_text="song")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_any_usual_encoding_is_read(encoding, tmp_path):
    (tmp_path / "XC7.Table.1.selections.txt").write_bytes(RAVEN.replace("song", "zang, één").encode(encoding))
    label_format, annotations = read_label_file(tmp_path / "XC7.Table.1.selections.txt")
    assert label_format in FORMATS and annotations[0].type_text == "zang, één"
    assert {annotation.recording for annotation in annotations} == {"XC7"}


@pytest.mark.parametrize(
    ("name", "recording"),
    [
        ("XC1.Table.1.selections.txt", "XC1"), ("XC1.BirdNET.results.csv", "XC1"), ("XC1_labels.txt", "XC1"),
        ("rec 12.wav.BirdNET.selection.table.txt", "rec 12.wav"),
        ("annotation_train001.csv", "nips4b_birds_trainfile001"),
        ("labels.txt", "labels"), ("a.b.birdnet_nl.selection.table.txt", "a.b"), ("XC1.json", "XC1"),
    ],
)  # fmt: skip
def test_the_recording_of_a_label_file_comes_from_its_name(name, recording):
    assert recording_of_label_file(name) == recording


def test_species_are_recognised_by_name_and_code():
    koolmees = get_species("koolmees")
    assert all(names_species(text, koolmees) for text in ("Parus major", "koolmees", "Great Tit", "Parmaj", "GRTI"))
    assert not any(names_species(text, koolmees) for text in ("Turmer", "merel", "", "Noise"))
    for label, expected in {
        "song": (True, "song"), "Parmaj_song": (True, "song"), "Great Tit, alarm call": (True, "alarm call"),
        "Parus major_Great Tit": (True, ""), "Turdus merula_Common Blackbird": (False, None), "": (True, ""),
        "A": (True, "A"),
    }.items():  # fmt: skip
        own, text = species_and_type(Annotation("XC1", 0, 1, type_text=label), koolmees)
        assert own == expected[0] and expected[1] in (None, text), label
    assert species_and_type(Annotation("XC1", 0, 1, species="Turmer", type_text="song"), koolmees)[0] is False
