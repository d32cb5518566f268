"""Watching a BirdNET-Pi: what happens in its database and its clips ends in the right states in ours."""

import sqlite3
import threading
import time
from datetime import datetime

import pytest
from birdnet_pi_station import FakeBirdnetPi
from fake_model import load_fake

from birdnet_nl.stations import back_off
from birdnet_nl.stations.birdnet_pi import BirdnetPiStation
from birdnet_nl.stations.birdnet_pi_files import find_files
from birdnet_nl.stations.detection import State
from birdnet_nl.stations.instance_lock import InstanceLock
from birdnet_nl.stations.models_of_station import StationModels
from birdnet_nl.stations.watch import Watch, WatchOptions

QUERY = (
    "SELECT detections.key, species, state, coalesce(type, ''), deleted_at IS NOT NULL FROM detections "
    "LEFT JOIN results ON results.id = detections.result"
)


@pytest.fixture
def pi(tmp_path):
    return FakeBirdnetPi(tmp_path / "home")


@pytest.fixture
def watched(tmp_path, pi, write_models, monkeypatch):
    """A BirdNET-Pi that is watched in another thread; the value reads our database."""
    monkeypatch.setattr(back_off, "FIRST_RETRY_S", 0.1)
    station = BirdnetPiStation(find_files(pi.database, pi.clips))
    models = StationModels(write_models("a", "koolmees", "merel"), load_fake)
    stopping, database = threading.Event(), tmp_path / "d.db"
    made = Watch(station, models, database, WatchOptions(station.settings), InstanceLock(database))
    one_round = made._round
    made._round = lambda: stopping.is_set() or one_round()
    thread = threading.Thread(target=made.run)
    thread.start()

    def read():
        connection = sqlite3.connect(database)
        try:
            return {key: tuple(values) for key, *values in connection.execute(QUERY)}
        finally:
            connection.close()

    yield read
    stopping.set()
    made.arrived.set()
    thread.join(5)
    station.close()
    assert not thread.is_alive()


def wait_for(read, expected, timeout_s=8.0):
    """Wait until our database holds these values of the rows, in any order."""
    end, found = time.monotonic() + timeout_s, None
    while time.monotonic() < end:
        try:
            found = sorted(read().values())
        except sqlite3.Error:
            found = None
        if found == sorted(expected):
            return
        time.sleep(0.05)
    assert found == sorted(expected)


@pytest.mark.slow
def test_everything_that_happens_on_a_station_is_followed(tmp_path, pi, watched, write_clip):
    sound = write_clip(tmp_path / "sound.wav", "call", around="song")
    rows = [pi.insert(number, suffix="wav") for number in range(3)]  # koolmees, merel, zilvermeeuw
    for row in rows:
        pi.write_clip(row, sound)
    great_tit, blackbird = ("koolmees", State.DONE, "call", 0), ("merel", State.DONE, "call", 0)
    gull = ("zilvermeeuw", State.NO_MODEL, "", 0)
    wait_for(watched, [great_tit, blackbird, gull])

    pi.identify(rows[1][11], "Parus major", "Koolmees")  # again, with another name
    wait_for(watched, [great_tit, great_tit, gull])

    late = pi.insert(0, start=datetime.now(), suffix="wav")  # koolmees, without a clip yet
    time.sleep(0.5)
    pi.write_clip(late, sound)
    wait_for(watched, [great_tit] * 3 + [gull])

    broken = pi.insert(9, suffix="wav")
    pi.clip_of(broken).write_bytes(b"no sound" * 100)
    failed = ("koolmees", State.FAILED, "", 0)
    wait_for(watched, [great_tit] * 3 + [gull, failed])

    assert pi.change("DELETE FROM detections WHERE File_Name = ?", rows[0][11]) == 1
    wait_for(watched, [great_tit] * 2 + [gull, failed, ("koolmees", State.DONE, "call", 1)])
    assert len(pi.rows()) == 4 and not list(pi.database.parent.glob("birds.db-*"))


@pytest.mark.slow
def test_a_database_that_is_replaced_five_times_gives_every_detection_once(tmp_path, pi, watched, write_clip):
    sound = write_clip(tmp_path / "sound.wav", "song")
    for number in range(5):
        pi.write_clip(pi.insert(3 * number, suffix="wav"), sound)
        copy = tmp_path / f"copy{number}.db"
        copy.write_bytes(pi.database.read_bytes())
        pi.database.unlink()
        time.sleep(0.2)
        copy.replace(pi.database)
        wait_for(watched, [("koolmees", State.DONE, "song", 0)] * (number + 1))
