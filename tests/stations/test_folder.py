"""Folders that receive files: written slowly, moved, renamed, deleted, many at once, before and during the watch."""

import os
import shutil
import threading
import time
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import soundfile

from birdnet_nl.species.table import get_species
from birdnet_nl.stations import folder as folder_module
from birdnet_nl.stations import folder_days, folder_watch, inotify
from birdnet_nl.stations.folder import FolderStation
from birdnet_nl.stations.station import AudioGoneError, AudioNotReadyError, StationUnavailableError
from birdnet_nl.util.errors import DataError
from tests.stations.birdnet_pi_station import Memory

OLD = 1_700_000_000


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    path = tmp_path_factory.mktemp("sounds") / "clip.wav"
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 8000).astype(np.float32), 8000)
    return path


@pytest.fixture
def root(tmp_path):
    path = tmp_path / "clips"
    path.mkdir()
    return path


@pytest.fixture
def open_station(root):
    stations = []

    def opened(**options) -> FolderStation:
        stations.append(FolderStation(root, **options))
        return stations[-1]

    yield opened
    for station in stations:
        station.close()


@pytest.fixture
def station(open_station):
    return open_station()


@pytest.fixture(autouse=True)
def logged(caplog):
    caplog.set_level("INFO", "birdnet_nl")


@pytest.fixture
def memory():
    return Memory()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(folder_watch, "CLOSED_QUIET_S", 0.1)
    monkeypatch.setattr(folder_watch, "OPEN_QUIET_S", 0.3)
    monkeypatch.setattr(folder_watch, "MOVE_S", 0.1)
    monkeypatch.setattr(folder_module, "OPEN_QUIET_S", -1.0)  # files that are there at the start count as complete


def put(path: Path, sound: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(sound, path)
    return path


def read_until(station, memory, condition, timeout_s: float = 5.0) -> None:
    end = time.monotonic() + timeout_s
    memory.read(station)
    while not condition() and time.monotonic() < end:
        station.wait(0.5)
        memory.read(station)
    assert condition(), sorted(memory.detections)


def test_files_that_are_there_and_files_that_come_are_detections(station, memory, root, sound):
    put(root / "Merel" / "20260501_060000.wav", sound)
    put(root / "notes.txt", sound)
    put(root / ".hidden.wav", sound)
    put(root / "@eaDir" / "x.wav", sound)
    memory.read(station)
    assert set(memory.detections) == {"Merel/20260501_060000.wav"}
    put(root / "Merel" / "20260501_070000.wav", sound)
    put(root / "Koolmees" / "sub" / "deep" / "a.wav", sound)  # new folders
    put(root / "top.WAV", sound)
    read_until(station, memory, lambda: len(memory.detections) == 4)
    assert memory.detections["Koolmees/sub/deep/a.wav"].scientific_name == "Parus major"
    with station.clip(memory.detections["top.WAV"]) as path:
        assert path == root / "top.WAV"


NAMES = {
    "Merel/20260501_060000.wav": ("Turdus merula", datetime(2026, 5, 1, 6), 0.0, ""),
    "parus_major_80p_20260501T060000Z.wav": ("Parus major", datetime(2026, 5, 1, 6), 0.8, ""),
    "homo_sapiens_91p_20260501T060000Z.wav": ("", datetime(2026, 5, 1, 6), 0.91, ""),
    "x/Koolmees-85-2026-05-01-birdnet-RTSP_2-06:00:00.wav": ("Parus major", datetime(2026, 5, 1, 6), 0.85, "RTSP_2"),
    "Vink/SM4_20260501_060000.wav": ("Fringilla coelebs", datetime(2026, 5, 1, 6), 0.0, ""),
    "unknown/sound.wav": ("", datetime.fromtimestamp(OLD), 0.0, ""),
    "Great Tit/it's <b>\n.wav": ("Parus major", datetime.fromtimestamp(OLD), 0.0, ""),
    "Merel/\udce9.wav": ("Turdus merula", datetime.fromtimestamp(OLD), 0.0, ""),
}


def test_species_time_and_confidence_come_from_names(station, memory, root, sound):
    for name in NAMES:
        os.utime(put(root / name, sound), (OLD, OLD))
    memory.read(station)
    found = {
        key: (d.scientific_name, d.recorded_at, d.confidence, d.source) for key, d in memory.detections.items()
    }  # fmt: skip
    assert found == NAMES
    assert memory.detections["homo_sapiens_91p_20260501T060000Z.wav"].common_name == "homo sapiens"


def test_audiomoth_names_are_utc_and_become_local(root, sound, open_station, memory, monkeypatch):
    monkeypatch.setenv("TZ", "Europe/Amsterdam")
    time.tzset()
    try:
        put(root / "20260701_060000.WAV", sound)
        memory.read(open_station())
        assert memory.detections["20260701_060000.WAV"].recorded_at == datetime(2026, 7, 1, 8)
    finally:
        monkeypatch.delenv("TZ")
        time.tzset()


def test_a_given_species_is_that_of_all_files(open_station, memory, root, sound):
    put(root / "Merel" / "a.wav", sound)
    memory.read(open_station(species=get_species("koolmees")))
    assert memory.detections["Merel/a.wav"].scientific_name == "Parus major"


def test_a_file_that_is_written_slowly_is_reported_when_it_is_complete(station, memory, root, sound):
    memory.read(station)
    content = sound.read_bytes()
    with (root / "slow.wav").open("wb") as file:
        for start in range(0, len(content), len(content) // 5):
            file.write(content[start : start + len(content) // 5])
            file.flush()
            station.wait(0.15)
            memory.read(station)
            assert not memory.detections
    read_until(station, memory, lambda: len(memory.detections) == 1)


def test_a_file_that_is_opened_again_and_again_is_reported_when_that_ends(station, memory, root, sound, monkeypatch):
    monkeypatch.setattr(folder_watch, "CLOSED_QUIET_S", 0.4)
    memory.read(station)
    content = sound.read_bytes()
    for start in range(0, len(content), len(content) // 4):
        with (root / "parts.wav").open("ab") as file:
            file.write(content[start : start + len(content) // 4])
        station.wait(0.1)
        memory.read(station)
        assert not memory.detections
    read_until(station, memory, lambda: len(memory.detections) == 1)


def test_files_moved_in_renamed_moved_out_and_deleted_are_followed(station, memory, root, sound, tmp_path):
    put(root / "a.wav", sound)
    memory.read(station)
    put(tmp_path / "outside.wav", sound).rename(root / "in.wav")
    put(root / "up.wav.part", sound).rename(root / "up.wav")
    os.link(sound, root / "linked.wav")
    read_until(station, memory, lambda: set(memory.detections) == {"a.wav", "in.wav", "up.wav", "linked.wav"})
    (root / "a.wav").rename(root / "b.wav")
    read_until(station, memory, lambda: "b.wav" in memory.detections)
    assert memory.renamed == {"a.wav": "b.wav"}
    (root / "b.wav").rename(root / "c.wav")
    (root / "c.wav").rename(root / "d.wav")
    (root / "in.wav").rename(tmp_path / "away.wav")
    (root / "up.wav").unlink()
    (root / "linked.wav").rename(root / "linked.txt")
    read_until(station, memory, lambda: set(memory.detections) == {"d.wav"})
    assert memory.renamed["b.wav"] == "d.wav" and set(memory.gone) == {"in.wav", "up.wav", "linked.wav"}


def test_folders_moved_in_renamed_and_moved_out_are_followed(station, memory, root, sound, tmp_path):
    memory.read(station)
    put(tmp_path / "Merel" / "deep" / "a.wav", sound)
    (tmp_path / "Merel").rename(root / "Merel")
    read_until(station, memory, lambda: set(memory.detections) == {"Merel/deep/a.wav"})
    put(root / "Merel" / "deep" / "b.wav", sound)  # the folder that was moved in is watched
    read_until(station, memory, lambda: len(memory.detections) == 2)
    (root / "Merel").rename(root / "Vink")
    read_until(station, memory, lambda: set(memory.detections) == {"Vink/deep/a.wav", "Vink/deep/b.wav"})
    assert memory.renamed == {f"Merel/deep/{name}.wav": f"Vink/deep/{name}.wav" for name in "ab"}
    assert memory.detections["Vink/deep/a.wav"].scientific_name == "Fringilla coelebs"
    put(root / "Vink" / "deep" / "c.wav", sound)
    read_until(station, memory, lambda: len(memory.detections) == 3)
    (root / "Vink").rename(tmp_path / "gone")
    read_until(station, memory, lambda: not memory.detections)
    put(tmp_path / "gone" / "deep" / "d.wav", sound)
    station.wait(0.3)
    memory.read(station)
    assert not memory.detections


def test_changes_while_nothing_ran_are_noticed(open_station, memory, root, sound):
    for name in ("a.wav", "x/20260501_060000.wav", "y/20260502_060000.wav", "z/kept.wav"):
        put(root / name, sound)
    os.utime(root / "a.wav", (OLD, OLD))
    memory.read(open_station())
    (root / "a.wav").rename(root / "renamed.wav")
    (root / "x/20260501_060000.wav").rename(root / "y/20260501_060000.wav")
    (root / "y/20260502_060000.wav").unlink()
    put(root / "new.wav", sound)
    memory.read(open_station())
    assert set(memory.detections) == {"renamed.wav", "y/20260501_060000.wav", "z/kept.wav", "new.wav"}
    assert memory.renamed == {"a.wav": "renamed.wav", "x/20260501_060000.wav": "y/20260501_060000.wav"}
    assert memory.gone == ["y/20260502_060000.wav"]


def test_an_answer_that_was_not_stored_is_given_again(station, memory, root, sound):
    memory.read(station)
    put(root / "a.wav", sound)
    end = time.monotonic() + 5
    while not (lost := station.changes(memory.position, memory)).detections and time.monotonic() < end:
        station.wait(0.3)
    assert station.changes(memory.position, memory) is lost
    memory.read(station)
    assert set(memory.detections) == {"a.wav"}


def test_a_database_that_was_replaced_gets_all_files(station, memory, root, sound):
    put(root / "a.wav", sound)
    put(root / "b.wav", sound)
    memory.read(station)
    assert set(memory.detections) == {"a.wav", "b.wav"}
    empty, older = Memory(), Memory()
    empty.read(station)
    assert set(empty.detections) == {"a.wav", "b.wav"}
    older.position = "of an older copy"
    older.detections = {"a.wav": memory.detections["a.wav"]}
    older.read(station)
    assert set(older.detections) == {"a.wav", "b.wav"}


def test_the_newest_come_first_and_parts_are_small(station, memory, root, sound, monkeypatch):
    monkeypatch.setattr(folder_days, "PART", 20)
    start = datetime(2026, 5, 1, 6)
    for number in range(150):
        put(root / f"{start + timedelta(minutes=number * (1 if number % 2 else 300)):%Y%m%d_%H%M%S}.wav", sound)
    times, position, more = [], "", True
    while more:
        changes = station.changes(position, memory)
        assert len(changes.detections) <= 20
        times += [detection.recorded_at for detection in changes.detections]
        position, more = changes.position, changes.more
    assert times == sorted(times, reverse=True) and len(times) == 150


def test_an_overflow_of_reports_lists_the_folder_again(station, memory, root, sound, monkeypatch):
    memory.read(station)
    real = inotify.Inotify.events

    def overflow(self):
        if list(real(self)):  # lost
            yield inotify.Event(b"", b"", inotify.OVERFLOW, 0)

    monkeypatch.setattr(inotify.Inotify, "events", overflow)
    put(root / "new" / "a.wav", sound)
    read_until(station, memory, lambda: set(memory.detections) == {"new/a.wav"})


def test_more_files_at_once_than_are_remembered_are_found(station, memory, root, sound, monkeypatch):
    monkeypatch.setattr(folder_watch, "MAX_PENDING", 10)
    memory.read(station)
    for number in range(40):
        put(root / f"{number}.wav", sound)
    read_until(station, memory, lambda: len(memory.detections) == 40)


@pytest.mark.parametrize("reason", ["network", "limit"])
def test_without_reports_the_folder_is_listed_now_and_then(
    open_station, memory, root, sound, monkeypatch, caplog, reason
):
    if reason == "network":
        monkeypatch.setattr(folder_module, "remote_file_system", lambda folder: "cifs")
    else:

        def refuse(self, folder, mask):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(inotify.Inotify, "add", refuse)
    monkeypatch.setattr(folder_module, "SLOW_S", 0.2)
    monkeypatch.setattr(folder_module, "SLOW_SHARE", 0.0)
    station = open_station()
    put(root / "a.wav", sound)
    memory.read(station)
    put(root / "x" / "b.wav", sound)
    read_until(station, memory, lambda: set(memory.detections) == {"a.wav", "x/b.wav"})
    (root / "a.wav").unlink()
    read_until(station, memory, lambda: set(memory.detections) == {"x/b.wav"})
    printed = caplog.text
    assert printed.count("or less often, because") == 1
    assert ("network share (cifs)" if reason == "network" else "fs.inotify.max_user_watches") in printed


def test_a_limit_reached_later_falls_back_to_listing(station, memory, root, sound, monkeypatch, caplog):
    memory.read(station)

    def refuse(self, folder, mask):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(inotify.Inotify, "add", refuse)
    put(root / "new" / "a.wav", sound)
    read_until(station, memory, lambda: set(memory.detections) == {"new/a.wav"})
    assert "max_user_watches" in caplog.text


def test_a_folder_that_disappears_or_is_an_empty_mount_point_loses_nothing(station, memory, root, sound, tmp_path):
    put(root / "a.wav", sound)
    memory.read(station)
    root.rename(tmp_path / "moved")
    with pytest.raises(StationUnavailableError, match="does not exist now; check that its disk is mounted"):
        memory.read(station)
    with pytest.raises(StationUnavailableError), station.clip(memory.detections["a.wav"]):
        pass
    root.mkdir()
    with pytest.raises(StationUnavailableError, match="is empty; check that its disk is mounted"):
        memory.read(station)
    root.rmdir()
    (tmp_path / "moved").rename(root)
    put(root / "b.wav", sound)
    read_until(station, memory, lambda: set(memory.detections) == {"a.wav", "b.wav"})
    put(root / "c.wav", sound)
    read_until(station, memory, lambda: "c.wav" in memory.detections)
    assert not memory.gone


def test_clips_are_complete_files_below_the_folder(station, memory, root, sound, tmp_path):
    put(root / "a.wav", sound)
    (root / "link.wav").symlink_to(put(tmp_path / "secret.wav", sound))
    memory.read(station)
    with pytest.raises(AudioGoneError, match="is no file below"), station.clip(memory.detections["link.wav"]):
        pass
    (root / "a.wav").write_bytes(b"")
    with pytest.raises(AudioNotReadyError), station.clip(memory.detections["a.wav"]):
        pass
    (root / "a.wav").unlink()
    with pytest.raises(AudioGoneError), station.clip(memory.detections["a.wav"]):
        pass


def test_long_files_are_read_around_their_middle(station):
    assert station.window_s(None, 6.0) == (0.0, 6.0)
    assert station.window_s(None, 60.0) == (22.5, 37.5)


def test_wake_ends_the_wait(station, memory):
    memory.read(station)
    timer = threading.Timer(0.1, station.wake)
    timer.start()
    start = time.monotonic()
    assert not station.wait(20) and time.monotonic() - start < 5
    timer.join()


def test_a_folder_that_does_not_exist_is_named(tmp_path):
    (tmp_path / "clips").mkdir()
    with pytest.raises(DataError, match=r"there is no folder .*clip .did you mean .*clips\?.; give one that"):
        FolderStation(tmp_path / "clip")


def test_a_link_to_the_folder_above_is_no_endless_walk(station, memory, root, sound):
    put(root / "a.wav", sound)
    (root / "loop").symlink_to(root)
    memory.read(station)
    assert set(memory.detections) == {"a.wav"}
