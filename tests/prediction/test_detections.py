"""Detections of other programs: recognised by their columns, returned in their own format with ours at the end."""

import csv
import io
from pathlib import Path

import pandas
import pytest
from fake_model import load_fake

from birdnet_nl.prediction.detections import find_tables, open_table, parse_seconds
from birdnet_nl.prediction.prediction import Prediction, Request
from birdnet_nl.prediction.rows import RowOptions
from birdnet_nl.util.errors import DataError, SelectionError

OURS = ["vocalization_type", "type_confidence", "p_song", "p_call", "p_alarm", "uncertain", "model"]
SONG, CALL = ["song", "0.8000", "0.8000", "0.1000", "0.1000", "false", "koolmees 2026Q4"], ["call"]
ANALYZER = "Start (s),End (s),Scientific name,Common name,Confidence,File"
RAVEN = "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\tCommon Name"


@pytest.fixture
def station(tmp_path, write_sound):
    """Two recordings named a.wav in two folders: song then call, and call then song."""
    write_sound(tmp_path / "station" / "north" / "a.wav", ("song", 3), ("call", 3))
    write_sound(tmp_path / "station" / "south" / "a.wav", ("call", 3), ("song", 3))
    return tmp_path / "station"


@pytest.fixture
def predict(tmp_path, station, write_pack):
    """Write a table (or several), predict it and return the text of the result."""
    pack = write_pack(tmp_path / "pack", "koolmees", "merel")

    def run(tables, inputs=(station,), **options):
        folder = tmp_path / "tables"
        for name, text in tables.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
        out = tmp_path / "out"
        request = Request(
            inputs=inputs, model=pack, detections=folder, out=out, overlap_s=0.0, load=load_fake, **options
        )
        prediction = Prediction(request)
        prediction.run()
        prediction.write()
        run.prediction = prediction
        results = [(out / name).read_bytes().decode("utf-8-sig", "replace") for name in tables]
        return results[0] if len(results) == 1 else results

    return run


def types_of(text, delimiter=","):
    """The column of the types."""
    quoting = csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL
    rows = list(csv.reader(text.splitlines(), delimiter=delimiter, quoting=quoting))
    index = rows[0].index("vocalization_type")
    return [row[index] for row in rows[1:]]


def test_the_table_of_the_analyzer_keeps_every_byte_and_gets_our_columns(predict):
    table = (
        "Start (s),End (s),Scientific name,Common name,Confidence,File\r\n"
        "0.0,3.0,Parus major,Great Tit,0.9,north/a.wav\r\n"
        '3.0,6.0,Parus major,"Great, Tit",0.90,north\\a.wav\r\n'
        "0.0,3.0,Turdus merula,Eurasian Blackbird,0.123456,/other/disk/station/south/a.wav\r\n"
        "0.0,3.0,Engine,Engine,0.9,north/a.wav\r\n"
        "\r\n"
        "0.0,3.0,Pica pica,Eurasian Magpie,0.9,north/a.wav\r\n"
        "0.0,3.0,Parus major,Great Tit,0.9,lost.wav\r\n"
        "0.0,3.0,Cyanocitta cristata,Blue Jay,0.9,north/a.wav\r\n"
        "90.0,93.0,Parus major,Great Tit,0.9,north/a.wav"
    )
    result = predict({"a.BirdNET.results.csv": table})
    for line, before in zip(result.split("\r\n"), table.split("\r\n"), strict=True):
        assert line.startswith(before)
    rows = list(csv.reader(result.splitlines()))
    assert rows[0][6:] == OURS and rows[1][6:] == SONG
    found = ["song", "call", "call", "", "no model", "no audio", "unknown species", "no audio"]
    assert [row[6] for row in rows[1:] if row] == found
    assert predict.prediction.typed.counts == {
        "typed": 3, "no audio": 2, "no model": 1, "unknown species": 1, "not a bird": 1
    }  # fmt: skip


def test_a_window_over_two_segments_gets_their_mean(predict):
    table = (
        "Start (s),End (s),Scientific name,Common name,Confidence,File\n1.5,4.5,Parus major,Great Tit,0.9,north/a.wav\n"
    )
    row = list(csv.reader(predict({"t.csv": table}).splitlines()))[1]
    assert row[8:11] == ["0.4500", "0.4500", "0.1000"] and row[11] == "true"


def test_a_name_in_two_folders_belongs_to_the_one_whose_folder_fits_and_else_to_none(predict):
    rows = "".join(f"0,3,Parus major,Great Tit,0.9,{file}\n" for file in ("south/a.wav", "/x/north/a.wav", "a.wav"))
    assert types_of(predict({"t.csv": f"{ANALYZER}\n{rows}"})) == ["call", "song", "no audio"]


def test_raven_tables_use_the_path_or_their_own_name_and_the_offset_in_the_file(predict):
    row = "1\tSpectrogram 1\t1\t0.0\t3.0\t0\t15000\tGreat Tit"
    own = f"{RAVEN}\n{row}\n"
    combined = (
        f"{RAVEN}\tFile Offset (s)\tBegin Path\n"
        "1\tSpectrogram 1\t1\t0.0\t3.0\t0\t15000\tGreat Tit\t0.0\tC:\\data\\north\\a.wav\n"
        '2\tSpectrogram 1\t1\t6.0\t9.0\t0\t15000\tGreat "Tit\tGreat Tit\t0.0\tC:\\data\\south\\a.wav\n'
    ).replace('Great "Tit\tGreat Tit', "Great Tit")
    first, second = predict({
        "south/a.BirdNET.selection.table.txt": own, "BirdNET_SelectionTable.txt": combined,
    })  # fmt: skip
    assert types_of(first, "\t") == ["call"] and first.splitlines()[1].startswith(row + "\t")
    assert types_of(second, "\t") == ["song", "call"]


def test_a_quote_in_a_table_with_tabs_is_a_character(predict):
    rows = '1\tSpectrogram 1\t1\t0.0\t3.0\t0\t15000\t"Great Tit\n2\tSpectrogram 1\t1\t3.0\t6.0\t0\t15000\tGreat Tit\n'
    assert types_of(predict({"south/a.selections.txt": f"{RAVEN}\n{rows}"}), "\t") == ["call", "song"]


def test_audacity_labels_have_no_header_and_keep_their_frequency_lines(predict):
    table = "0.0\t3.0\tParus major, Great Tit\t0.9\n\\\t500\t8000\n3.0\t6.0\tGreat Tit\t0.8\n"
    lines = predict({"north/a.BirdNET.results.txt": table}).splitlines()
    assert lines[0].split("\t")[4:] == SONG and lines[1] == "\\\t500\t8000"
    assert lines[2].split("\t")[4] == "call" and len(lines) == 3


def test_labels_of_a_recording_without_detections_stay_empty(predict):
    assert predict({"north/a.BirdNET.results.txt": "", "north/b.txt": "0.0\t3.0\tGreat Tit\n"})[0] == ""


def test_kaleidoscope_joins_its_three_columns(predict, station):
    table = (
        "INDIR,FOLDER,IN FILE,OFFSET,DURATION,TOP1MATCH,confidence\n"
        f"{station},south,a.wav,3.0,3.0,Parus major_Great Tit,0.9\n{station},north,a.wav,3,3,Great Tit,0.9\n"
    )
    assert types_of(predict({"k.csv": table})) == ["song", "call"]


def test_the_birdnet_package_writes_times_as_hours(predict, station):
    table = (
        "input,start_time,end_time,species_name,confidence\n"
        f"{station}/north/a.wav,00:00:03.00,00:00:06.00,Parus major_Great Tit,0.9\n"
    )
    assert types_of(predict({"b.csv": table})) == ["call"]


def test_birda_writes_a_byte_order_mark_which_stays(predict, tmp_path):
    table = f"\ufeff{ANALYZER}\n0,3,Parus major,Great Tit,0.9,north/a.wav\n"
    assert types_of(predict({"birda.csv": table})) == ["song"]
    assert (tmp_path / "out" / "birda.csv").read_bytes().startswith(b"\xef\xbb\xbfStart")


def test_hawkears_and_tables_of_excel_with_semicolons_and_commas_in_numbers(predict):
    hawkears = "recording,name,start_time,end_time,score\nnorth/a,Great Tit,0,3,0.97\n"
    excel = "sep=;\nFile;Start (s);End (s);Common name\nsouth/a.wav;3,0;6,0;Koolmees\n"
    first, _ = predict({"h.csv": hawkears, "e.csv": excel.encode("utf-16")})
    assert types_of(first) == ["song"]
    text = (predict.prediction.request.out / "e.csv").read_bytes().decode("utf-16")
    assert text.splitlines()[0] == "sep=;" and types_of(text.partition("\n")[2], ";") == ["song"]


def test_numbers_are_written_with_a_comma_where_the_table_does(predict):
    head = "File;Start (s);End (s);Common name;Confidence\n"
    comma = f"{head}south/a.wav;3,0;6,0;Koolmees;0,91\n"
    point = f"{head}south/a.wav;3.0;6.0;Koolmees, zang;0.91\n"
    with_comma, with_point = predict({"comma.csv": comma, "point.csv": point})
    frame = pandas.read_csv(io.StringIO(with_comma), sep=";", decimal=",")
    assert frame["type_confidence"].tolist() == [0.8] and frame["p_alarm"].tolist() == [0.1]
    assert with_point.splitlines()[1].split(";")[5:8] == ["song", "0.8000", "0.8000"]


def test_the_rows_of_birdnet_pi_find_their_clips(predict, tmp_path, write_sound):
    clips = tmp_path / "By_Date" / "2026-05-01"
    clip = ("silent", 1.5), ("song", 3), ("silent", 1.5)  # the detection is in the middle
    write_sound(clips / "Koolmees" / "Koolmees-85-2026-05-01-birdnet-RTSP_1-06:12:33.wav", *clip)
    write_sound(clips / "Merel" / "Merel-70-2026-05-01-birdnet-06:12:33.wav", ("alarm", 6))
    table = (
        "Date;Time;Sci_Name;Com_Name;Confidence;Lat;Lon;Cutoff;Week;Sens;Overlap\n"
        "2026-05-01;06:12:33;Turdus merula;Merel;0.7;52.3;6.4;0.7;18;1.25;0.0\n"
        "2026-05-01;06:12:33;Parus major;Koolmees;0.85;52.3;6.4;0.7;18;1.25;0.0\n"
        "2026-05-01;06:12:34;Parus major;Koolmees;0.85;52.3;6.4;0.7;18;1.25;0.0\n"
    )
    result = predict({"BirdDB.txt": table}, inputs=(tmp_path / "By_Date",), formats=("csv",))
    assert types_of(result, ";") == ["alarm", "song", "no audio"]
    frame = pandas.read_csv(tmp_path / "out" / "segments.csv")  # has the windows that were predicted
    assert frame["Start (s)"].tolist() == [1.5, 1.5, 0] and frame["End (s)"].tolist() == [4.5, 4.5, 0]
    body = table.partition("\n")[2]
    headless = predict({"BirdDB.txt": body}, inputs=(tmp_path / "By_Date",))
    assert [line.split(";")[11] for line in headless.splitlines()] == ["alarm", "song", "no audio"]


def test_parquet_keeps_its_columns_and_types(predict, tmp_path, station):
    frame = pandas.DataFrame({
        "Start (s)": [0.0, 3.0], "End (s)": [3.0, 6.0], "Scientific name": ["Parus major", "Engine"],
        "Common name": ["Great Tit", "Engine"], "Confidence": [0.9, 0.8], "File": ["north/a.wav"] * 2, "extra": [1, 2],
    })  # fmt: skip
    (tmp_path / "tables").mkdir()
    frame.to_parquet(tmp_path / "tables" / "t.parquet")
    predict({"other.csv": "File,Start (s),End (s),Species\nnorth/a.wav,0,3,Koolmees\n"})
    result = pandas.read_parquet(tmp_path / "out" / "t.parquet")
    pandas.testing.assert_frame_equal(result[frame.columns.tolist()], frame)
    assert list(result["vocalization_type"]) == ["song", ""] and list(result["uncertain"]) == [False, None]


def test_other_formats_hold_each_detection_once(predict):
    table = f"{ANALYZER}\n0.0,3.0,Parus major,Great Tit,0.9,north/a.wav\n3.0,6.0,Engine,Engine,0.9,north/a.wav\n"
    raven = f"{RAVEN}\n1\tSpectrogram 1\t1\t0.0\t3.0\t0\t15000\tGreat Tit\n"
    predict({"t.csv": table, "north/a.BirdNET.selection.table.txt": raven}, formats=("csv", "raven", "audacity"))
    out = predict.prediction.request.out
    frame = pandas.read_csv(out / "segments.csv")
    assert list(frame["Common name"]) == ["Great Tit", "Engine"] and list(frame["Confidence"])[1] == 0.9
    assert frame["type_confidence"].iloc[0] == 0.8 and frame["vocalization_type"].isna().tolist() == [False, True]
    assert list(pandas.read_csv(out / "raven_selection_table.txt", sep="\t")["End Time (s)"]) == [3, 6]


def test_words_are_dutch_where_asked(predict):
    table = "File,Start (s),End (s),Species\nnorth/a.wav,0,3,Koolmees\nlost.wav,0,3,Koolmees\n"
    options = RowOptions(language="nl")
    assert types_of(predict({"t.csv": table}, options=options)) == ["zang", "geen geluid"]


def test_a_single_recording_needs_no_matching_name(predict, station):
    labels = {"labels.txt": "0.0\t3.0\tGreat Tit\n"}
    assert predict(labels, inputs=(station / "north" / "a.wav",)).split("\t")[3] == "song"


def test_a_recording_that_cannot_be_read_is_a_failure_and_its_rows_say_so(predict, station):
    (station / "b.wav").write_bytes(b"RIFF")
    table = "File,Start (s),End (s),Species\nb.wav,0,3,Koolmees\nnorth/a.wav,0,3,Koolmees\n"
    assert types_of(predict({"t.csv": table})) == ["not predicted", "song"]
    assert [Path(failure.file).name for failure in predict.prediction.failures] == ["b.wav"]


def test_what_is_not_a_table_is_listed_with_the_reason(tmp_path):
    (tmp_path / "params.csv").write_text("File splitting duration,Segment length\n60,3\n")
    (tmp_path / "zeros.txt").write_bytes(b"a\0b")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1")
    (tmp_path / "ours.csv").write_text("File,Start (s),End (s),Species,vocalization_type\n")
    (tmp_path / "good.csv").write_text("File,Start (s),End (s),Species\n")
    tables, others = find_tables(tmp_path)
    assert [table.relative for table in tables] == ["good.csv"]
    reasons = {path.name: reason for path, reason in others}
    assert reasons["params.csv"] == "has no columns for a time and a species"
    assert reasons["zeros.txt"] == "is not a text table" and "not a parquet file" in reasons["broken.parquet"]
    assert "columns of an earlier prediction" in reasons["ours.csv"]
    (tmp_path / "good.csv").unlink()
    with pytest.raises(DataError, match=r"holds no table of detections; broken\.parquet"):
        find_tables(tmp_path)


def test_the_detections_themselves_are_never_replaced(tmp_path, station, write_model):
    (tmp_path / "t.csv").write_text("File,Start (s),End (s),Species\nnorth/a.wav,0,3,Koolmees\n")
    model = write_model(tmp_path / "k.fake", "koolmees")
    request = Request(inputs=[station], model=model, detections=tmp_path / "t.csv", out=tmp_path, load=load_fake)
    with pytest.raises(SelectionError, match="is the folder of the detections, which stay as they are"):
        Prediction(request)


def test_options_that_would_remove_rows_are_refused(tmp_path):
    for options in (
        RowOptions(min_confidence=0.5),
        RowOptions(uncertain="drop"),
        RowOptions(merge=True),
        RowOptions(top=1),
    ):
        with pytest.raises(SelectionError, match="--detections keeps every row"):
            Request(inputs=["x"], detections=tmp_path, options=options)


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("a.BirdNET.results.csv", "a"),
        ("a.BirdNET.selection.table.txt", "a"),
        ("a.Table.1.selections.txt", "a"),
        ("a.b_labels.txt", "a.b"),
        ("a.wav.birdnet_nl.results.txt", "a.wav"),
    ],
)
def test_the_recording_of_a_table_is_in_its_name(tmp_path, name, stem):
    (tmp_path / name).write_text("File,Start (s),End (s),Species\n")
    assert open_table(tmp_path / name, name).stem == stem


def test_times_are_read_as_seconds_or_as_clock_times():
    assert [parse_seconds(text) for text in ("3", "3,5", "00:01:03.50", "", "x", "1:2:3:4")] == [
        3.0, 3.5, 63.5, None, None, None,
    ]  # fmt: skip


def test_an_output_folder_below_the_tables_is_not_read_again(tmp_path, station, write_pack):
    (station / "a.csv").write_text(f"{ANALYZER}\n0.0,3.0,Parus major,Great Tit,0.9,north/a.wav\n")
    pack, out = write_pack(tmp_path / "pack", "koolmees"), station / "out"
    for _ in range(2):
        formats = ("csv", "audacity", "kaleidoscope")
        request = Request([station], pack, detections=station, out=out, formats=formats, load=load_fake)
        prediction = Prediction(request)
        prediction.run()
        prediction.write()
        assert prediction.typed.counts == {"typed": 1} and prediction.skipped_tables == []
