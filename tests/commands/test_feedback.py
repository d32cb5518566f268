"""`birdnet-nl feedback`: lists what to correct, exports what was corrected, and counts."""

from datetime import datetime

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from birdnet_nl.cli import app
from birdnet_nl.stations.corrections import add_correction, withdraw_correction
from birdnet_nl.stations.database import open_database
from birdnet_nl.stations.detection import State, StationDetection
from birdnet_nl.stations.records import add_station, store_changes
from birdnet_nl.stations.station import Changes

RATE = 16_000


@pytest.fixture
def station(tmp_path, monkeypatch):
    """A BirdNET-Pi with five detections of a blackbird, the first one the least certain, and their clips."""
    path, clips = tmp_path / "detections.db", tmp_path / "By_Date"
    monkeypatch.setenv("BIRDNET_NL_DATABASE", str(path))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("birdnet_nl.stations.clip_ready.QUIET_S", 0.0)  # the clips were written just now
    connection = open_database(path)
    add_station(connection, "birdnet-pi", {"kind": "birdnet-pi", "clips": str(clips)})
    for number in range(1, 6):
        at = datetime(2026, 11, number, 6, 12, 8)
        clip = f"{at:%Y-%m-%d}/Merel/Merel-80-{at:%Y-%m-%d}-birdnet-06:12:08.wav"
        (clips / clip).parent.mkdir(parents=True)
        noise = 0.1 * np.random.default_rng(number).standard_normal(6 * RATE)
        soundfile.write(clips / clip, noise, RATE)
        detection = StationDetection(clip, at, "Turdus merula", "Merel", 0.8, clip)
        store_changes(connection, "birdnet-pi", Changes([detection]))
        result = connection.execute(
            "INSERT INTO results (detection, type, probability, probabilities, is_uncertain, model, fingerprint, "
            "start_s, end_s, computing_s, predicted_at) "
            "VALUES (?, 'song', ?, '{}', 0, 'merel 2026Q4', 'f', 1.5, 4.5, 0, 0)",
            (number, 0.3 + number / 10),
        ).lastrowid
        connection.execute("UPDATE detections SET result = ?, state = ? WHERE id = ?", (result, State.DONE, number))
    yield connection
    connection.close()


def run(*arguments, code=0):
    done = CliRunner().invoke(app, ["feedback", *map(str, arguments)])
    assert done.exit_code == code, done.output
    return done.output


def test_the_least_certain_are_listed_with_the_address_of_the_page(station):
    lines = run("least-certain", "-n", 2, "--url", "http://pi.local:8088/").splitlines()
    rows = [line for line in lines if "merel 2026Q4" in line]
    assert len(rows) == 2 and "0.40" in rows[0] and "http://pi.local:8088/check#d1" in rows[0] and "0.50" in rows[1]
    assert "correct them on http://pi.local:8088/check" in lines[-1]
    assert "2026-11-04" in run("least-certain", "--species", "Turdus merula", "--since", "2026-11-04")
    assert "every prediction is corrected" in run("least-certain", "--species", "koolmees")


def test_corrections_are_exported_and_exported_again(station, tmp_path):
    out = tmp_path / "corrected"
    assert "no corrections yet" in run("export", "-o", out)
    add_correction(station, 1, "alarm", "Anna")
    add_correction(station, 2, "wrong", "Anna")
    text = run("export", "-o", out)
    assert "1 added" in text and "1 left out, not this species: merel 1" in text
    assert len(list(out.glob("xeno-canto-merel/alarm/*.wav"))) == 1
    add_correction(station, 3, "song", "Anna")
    assert "1 added, 1 unchanged" in run("export", "-o", out, "--since", "2026-11-01", "--until", "2026-11-30")


def test_a_missing_clip_is_listed_and_a_missing_disk_fails(station, tmp_path):
    add_correction(station, 1, "alarm", "Anna")
    folder = next(tmp_path.glob("By_Date/2026-11-01"))
    folder.rename(tmp_path / "elsewhere")
    text = run("export", "-o", tmp_path / "corrected")
    assert "1 without a clip" in text and "BirdNET-Pi deletes old clips" in text
    (tmp_path / "By_Date").rename(tmp_path / "unmounted")
    assert "1 not now, export again" in run("export", "-o", tmp_path / "corrected", code=1)
    (tmp_path / "elsewhere").rename(tmp_path / "unmounted" / "2026-11-01")
    assert "1 added" in run("export", "-o", tmp_path / "corrected", "--clips", tmp_path / "unmounted")


def test_nothing_is_written_into_the_folder_of_the_station(station, tmp_path):
    add_correction(station, 1, "alarm", "Anna")
    for out in ("By_Date", "By_Date/corrected", "x/../By_Date/corrected"):
        text = " ".join(run("export", "-o", tmp_path / out, code=1).split())
        assert "is in the clip folder of birdnet-pi, which is only read" in text
    assert not list(tmp_path.glob("By_Date/*corrected*")) and not list(tmp_path.glob("By_Date/xeno*"))


def test_corrections_are_counted(station):
    assert "0 corrections of 5 predicted detections: -" in run("status")
    for detection, type in ((1, "alarm"), (2, "song"), (3, "wrong"), (4, "song")):
        add_correction(station, detection, type, "Anna")
    withdraw_correction(station, 4, "Anna")
    text = run("status")
    assert "3 corrections of 5 predicted detections: 1 alarm, 1 song, 1 not this species" in text
    assert "1 withdrawn" in text and "Anna 3" in text
    row = next(line for line in text.splitlines() if line.startswith("│ merel 2026Q4"))
    assert [cell.strip() for cell in row.split("│")[2:6]] == ["3", "1", "1", "1"]


def test_messages_say_what_to_do(station, tmp_path, monkeypatch):
    done = CliRunner().invoke(app, ["feedback", "export", "-o", str(tmp_path / "x"), "--since", "yesterday"])
    assert done.exit_code == 1 and "--since yesterday is no day; write it as 2026-11-01" in done.output
    done = CliRunner().invoke(app, ["feedback", "export", "-o", str(tmp_path / "x"), "--clips", "/nowhere"])
    assert "--clips /nowhere is no folder" in done.output
    (tmp_path / "file").write_text("")
    for out in ("file", "file/corrected"):
        text = " ".join(run("export", "-o", tmp_path / out, code=1).split())
        assert "cannot be a folder, because" in text
    monkeypatch.setenv("BIRDNET_NL_DATABASE", str(tmp_path / "none.db"))
    done = CliRunner().invoke(app, ["feedback", "status"])
    assert done.exit_code == 1 and "does not exist; start birdnet-nl watch first" in done.output.replace("\n", " ")
