"""From a detection of BirdNET-Go to a message at a real broker and a comment, through the program that watches."""

import io
import threading
import time

import numpy as np
import pytest
import soundfile
from fake_model import load_fake

from birdnet_nl.stations import watch
from birdnet_nl.stations.birdnet_go import BirdnetGo
from birdnet_nl.stations.birdnet_go_login import Login
from birdnet_nl.stations.comments import CommentChannel
from birdnet_nl.stations.database import open_database
from birdnet_nl.stations.instance_lock import InstanceLock
from birdnet_nl.stations.models_of_station import StationModels
from birdnet_nl.stations.mqtt import MqttChannel, MqttParams
from birdnet_nl.stations.outbox import Limits, Outbox
from birdnet_nl.stations.watch import Watch, WatchOptions
from tests.stations.birdnet_go_server import BirdnetGoServer
from tests.stations.mosquitto import MOSQUITTO, Broker, Subscriber
from tests.stations.outbox_tables import wait_until

pytestmark = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed (apt install mosquitto)")
RESULT = "birdnet_nl/birdnet-go/result"
QUICK = Limits(first_wait_s=0.05, longest_wait_s=0.2, idle_s=0.2)


def clip(inside="alarm"):
    """Return 15 s of sound as BirdNET-Go cuts it: the detection from 3 to 6 s, louder song around it."""
    rate_hz, pitches_hz = 8000, {"song": 900.0, "call": 1800.0, "alarm": 3000.0}
    time_s = np.arange(15 * rate_hz) / rate_hz
    is_inside = (time_s >= 3) & (time_s < 6)
    samples = np.sin(2 * np.pi * np.where(is_inside, pitches_hz[inside], pitches_hz["song"]) * time_s)
    file = io.BytesIO()
    soundfile.write(file, (np.where(is_inside, 0.3, 0.9) * samples).astype(np.float32), rate_hz, format="WAV")
    return file.getvalue()


class Program:
    """`birdnet-nl watch birdnet-go --comment --mqtt-host …` in threads of this process."""

    def __init__(self, database, server, models, broker):
        self.database = database
        self.station = BirdnetGo(
            server.url, login=Login(password="s3cret"), comments=True, timeout_s=2, first_wait_s=0.05
        )
        channels = [MqttChannel(MqttParams("127.0.0.1", broker.port, timeout_s=3), self.station.name)]
        channels.append(CommentChannel(self.station))
        options = WatchOptions(self.station.settings, [channel.name for channel in channels])
        self.outbox = Outbox(database, QUICK)
        self.lock = InstanceLock(database)
        self.watch = Watch(self.station, models, database, options, self.lock, self.outbox.notify, self.outbox.problems)
        self.is_ending = False
        one_round = self.watch._round
        self.watch._round = lambda: self.is_ending or one_round()
        self.watch.open()
        self.outbox.start(channels)
        self.thread = threading.Thread(target=self.watch.run)
        self.thread.start()

    def states(self):
        connection = open_database(self.database)
        rows = connection.execute("SELECT clip, state FROM detections").fetchall()
        connection.close()
        return {row["clip"]: row["state"] for row in rows}

    def close(self):
        self.is_ending = True
        self.watch.arrived.set()
        self.thread.join(5)
        self.outbox.close()
        self.station.close()


@pytest.fixture
def server():
    server = BirdnetGoServer(password="s3cret")
    yield server
    server.stop()


@pytest.fixture
def broker(tmp_path):
    broker = Broker(tmp_path)
    yield broker
    broker.stop()


@pytest.fixture
def program(tmp_path, server, broker, write_models, monkeypatch):
    monkeypatch.setattr(watch, "IDLE_S", 0.5)
    models = StationModels(write_models("a", "merel"), load_fake)
    program = Program(tmp_path / "results" / "detections.db", server, models, broker)
    yield program
    program.close()


def test_a_detection_becomes_a_message_and_a_comment_within_a_second_and_a_half(server, broker, program):
    subscriber = Subscriber(broker.port)
    wait_until(lambda: bool(server.streams))
    time.sleep(0.3)
    began = time.monotonic()
    id = server.add(clip=clip())
    (result,) = wait_until(lambda: subscriber.payloads(RESULT))
    assert time.monotonic() - began < 1.5
    assert (result["species"], result["type"], result["certain"]) == ("merel", "alarm", True)
    assert (result["start_s"], result["end_s"], result["clip"]) == (3.0, 6.0, str(id))
    wait_until(lambda: server.detections[id].get("comments"))
    (comment,) = server.detections[id]["comments"]
    assert comment["entry"].startswith("birdnet_nl: alarm 8")
    subscriber.close()


def test_every_detection_ends_in_a_state_through_restarts_of_station_and_broker(server, broker, program):
    """Clips that are late, gone or broken, a station and a broker that restart, and nothing is lost or sent twice."""
    wait_until(lambda: bool(server.streams))
    good = [server.add(clip=clip("song")) for _ in range(5)]
    late = server.add(clip=1)
    gone = server.add(clip=None)
    broken = server.add(clip=b"RIFF nothing")
    other = server.add("Parus major", "Koolmees", clip=clip())
    broker.stop()
    server.stop()
    good += [server.add(clip=clip("call")) for _ in range(5)]
    server.clips[late] = clip()
    time.sleep(0.3)
    server.start()
    expected = {str(id): "done" for id in [*good, late]}
    expected |= {str(gone): "audio gone", str(broken): "failed", str(other): "no model"}
    wait_until(lambda: program.states() == expected, timeout_s=20)
    broker.start()
    subscriber = Subscriber(broker.port)  # messages before it are not retained: the station's comments are counted
    wait_until(lambda: not program.outbox.problems(), timeout_s=20)
    wait_until(lambda: sum(len(row.get("comments", [])) for row in server.detections.values()) == len(good) + 1)
    assert all(len(server.detections[id]["comments"]) == 1 for id in [*good, late])
    subscriber.close()
