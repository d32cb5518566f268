"""Clips of stored stations: found below their folder only."""

import io
import os
from datetime import datetime

import numpy as np
import pytest
import soundfile

from birdnet_nl.stations.birdnet_go import BirdnetGo
from birdnet_nl.stations.clip_access import BirdnetPiAccess, FolderAccess, open_clips
from birdnet_nl.stations.corrected import read_corrected
from birdnet_nl.stations.corrections import add_correction
from birdnet_nl.stations.database import open_database
from birdnet_nl.stations.detection import StationDetection
from birdnet_nl.stations.feedback_export import export_corrections
from birdnet_nl.stations.records import StoredKnown, add_station, store_changes
from birdnet_nl.stations.station import AudioGoneError, StationUnavailableError
from tests.stations.birdnet_go_server import BirdnetGoServer


def detection(clip):
    return StationDetection("key", datetime(2026, 11, 1), "Turdus merula", "Merel", 0.8, clip)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "clips"
    (folder / "day").mkdir(parents=True)
    (folder / "2026-11-01").mkdir()
    for path in (folder / "day" / "a.wav", tmp_path / "secret.wav"):
        path.write_bytes(b"RIFF")
        os.utime(path, (0, 0))
    (folder / "link.wav").symlink_to(tmp_path / "secret.wav")
    return folder


def test_a_clip_below_the_folder_is_found(folder, monkeypatch):
    access = FolderAccess(folder)
    monkeypatch.setattr("birdnet_nl.stations.clip_ready.UNFINISHED_S", 0.0)
    monkeypatch.setattr("birdnet_nl.stations.clip_ready.QUIET_S", 0.0)
    with access.clip(detection("day/a.wav")) as path:
        assert path == folder / "day" / "a.wav"
    assert access.window_s(detection("day/a.wav"), 20.0) == (2.5, 17.5)
    assert access.window_s(detection("day/a.wav"), 4.0) == (0.0, 4.0)


@pytest.mark.parametrize(
    "clip", ["../secret.wav", "link.wav", "", "day", "none.wav", "a\0b", "x" * 5000, "day/../../secret.wav"]
)
def test_other_paths_count_as_missing(folder, clip):
    for access in (FolderAccess(folder), BirdnetPiAccess(folder)):
        with pytest.raises(AudioGoneError), access.clip(detection(clip)):
            pass


def test_an_absolute_path_counts_as_missing(folder):
    with pytest.raises(AudioGoneError), FolderAccess(folder).clip(detection(str(folder.parent / "secret.wav"))):
        pass


def test_a_missing_folder_is_no_fault_of_the_clip(tmp_path):
    with pytest.raises(StationUnavailableError, match="check that its disk is mounted"):
        FolderAccess(tmp_path / "none").clip(detection("a.wav")).__enter__()


def test_the_stored_settings_choose_the_access(tmp_path):
    connection = open_database(tmp_path / "detections.db")
    add_station(connection, "pi", {"kind": "birdnet-pi", "clips": str(tmp_path)})
    add_station(connection, "folder", {"kind": "folder", "clips": str(tmp_path)})
    add_station(connection, "go", {"kind": "birdnet-go", "url": "http://127.0.0.1:9", "pre_capture_s": 2.0})
    add_station(connection, "nothing", {})
    assert isinstance(open_clips(connection, "pi"), BirdnetPiAccess)
    assert isinstance(open_clips(connection, "folder"), FolderAccess)
    go = open_clips(connection, "go")
    assert isinstance(go, BirdnetGo) and go.window_s(detection("7"), 15.0) == (2.0, 5.0)
    go.close()
    assert open_clips(connection, "folder", tmp_path / "copy").folder == tmp_path / "copy"
    for name in ("nothing", "unknown"):
        with pytest.raises(StationUnavailableError, match="give their folder with --clips"):
            open_clips(connection, name)
    connection.execute("UPDATE stations SET settings = 'no JSON' WHERE name = 'pi'")
    with pytest.raises(StationUnavailableError):
        open_clips(connection, "pi")
    connection.close()


def test_clips_of_birdnet_go_are_fetched_and_cut_after_the_pre_capture(tmp_path):
    samples, file = 0.1 * np.random.default_rng(1).standard_normal(15 * 16_000), io.BytesIO()
    soundfile.write(file, samples, 16_000, format="WAV")
    server, connection = BirdnetGoServer(), open_database(tmp_path / "detections.db")
    try:
        server.add(clip=file.getvalue())
        server.add(clip=None)
        go = BirdnetGo(server.url)
        add_station(connection, "birdnet-go", go.settings)
        store_changes(connection, "birdnet-go", go.changes("", StoredKnown(connection, "birdnet-go")))
        go.close()
        for detection in (1, 2):
            add_correction(connection, detection, "song", "Anna")
        out, asked = tmp_path / "corrected", len(server.requests)
        report = export_corrections(read_corrected(connection), out, lambda name: open_clips(connection, name))
        assert report.added == 1 and len(report.gone) + len(report.not_now) == 1
        (copy,) = out.glob("xeno-canto-merel/song/*.flac")
        assert np.abs(soundfile.read(copy)[0] - samples[24_000:120_000]).max() < 1e-3  # 1.5 s to 7.5 s
        assert {method for method, *_ in server.requests[asked:]} == {"GET"}
    finally:
        server.stop()
        connection.close()
