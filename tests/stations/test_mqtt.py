"""MQTT with a real broker: nothing lost, order kept, last will, TLS and passwords, Home Assistant."""

import logging
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from datetime import datetime, timedelta

import pytest

from birdnet_nl.stations.database import open_database
from birdnet_nl.stations.mqtt import MqttChannel, MqttParams
from birdnet_nl.stations.outbox import DeliveryError, Limits, Outbox, UnreachableError
from birdnet_nl.util.errors import SetupError
from tests.stations.mosquitto import MOSQUITTO, Broker, Cable, Subscriber, free_port
from tests.stations.outbox_tables import add_result, wait_until, waiting
from tests.stations.test_outbox import message_of

needs_broker = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed (apt install mosquitto)")
QUICK = Limits(first_wait_s=0.05, longest_wait_s=0.1, idle_s=0.1)
RESULT, STATUS = "birdnet_nl/tuin/result", "birdnet_nl/tuin/status"


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "detections.db"
    open_database(path).close()
    return path


@pytest.fixture
def closing():
    """List of objects that are closed after the test, the latest first."""
    opened = []
    yield opened
    for item in reversed(opened):
        (item.stop if isinstance(item, Broker) else item.close)()


@pytest.fixture
def broker(tmp_path, closing):
    closing.append(Broker(tmp_path))
    return closing[-1]


@pytest.fixture
def subscriber(broker, closing):
    closing.append(Subscriber(broker.port))
    return closing[-1]


@pytest.fixture
def start(database, closing):
    def start_outbox(port, limits=QUICK, **params):
        outbox = Outbox(database, limits)
        outbox.start([MqttChannel(MqttParams("127.0.0.1", port, timeout_s=5, **params), "tuin")])
        closing.append(outbox)
        return outbox

    return start_outbox


def now(minutes_ago=0):
    return (datetime.now() - timedelta(minutes=minutes_ago)).isoformat(timespec="seconds")


@needs_broker
def test_each_result_is_one_json_message_and_the_status_follows(database, start, subscriber, broker):
    detection = add_result(database, channels=("mqtt",))
    content = message_of(database, detection).content
    outbox = start(broker.port)
    wait_until(lambda: subscriber.payloads(RESULT))
    assert subscriber.payloads(RESULT) == [content]
    wait_until(lambda: waiting(database, "mqtt") == [])
    assert subscriber.payloads(STATUS) == ["online"]
    outbox.close()
    wait_until(lambda: subscriber.payloads(STATUS) == ["online", "offline"])


@needs_broker
def test_the_last_will_reports_a_killed_program(subscriber, broker):
    code = (
        "import time; from birdnet_nl.stations.mqtt import *;"
        f"MqttChannel(MqttParams('127.0.0.1', {broker.port}), 'tuin').connect();"
        "print('ok', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ok\n"
    wait_until(lambda: subscriber.payloads(STATUS) == ["online"])
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_until(lambda: subscriber.payloads(STATUS) == ["online", "offline"])


@needs_broker
def test_nothing_is_lost_while_the_broker_is_down_and_the_order_is_kept(database, start, tmp_path, closing):
    broker = Broker(tmp_path)
    broker.stop()
    ids = [add_result(database, channels=("mqtt",)) for _ in range(20)]
    outbox = start(broker.port)
    wait_until(lambda: "cannot be reached" in outbox.problems().get("mqtt", ""))
    assert waiting(database, "mqtt") == ids
    start_s = time.monotonic()
    broker.start()
    closing.append(broker)
    closing.append(Subscriber(broker.port))
    wait_until(lambda: waiting(database, "mqtt") == [])
    assert time.monotonic() - start_s < 8
    wait_until(lambda: outbox.problems() == {})


@needs_broker
def test_no_result_is_lost_when_the_connection_breaks_again_and_again(database, start, subscriber, broker, closing):
    cable = Cable(broker.port)
    closing.append(cable)
    ids = [add_result(database, channels=("mqtt",)) for _ in range(30)]
    cable.left = 6000
    start(cable.port)
    for _ in range(4):
        wait_until(lambda: cable.left is None)
        cable.left = 7000
    cable.left = None
    wait_until(lambda: waiting(database, "mqtt") == [])
    delivered = [payload["id"] for payload in subscriber.payloads(RESULT)]
    assert cable.cuts >= 4
    assert list(dict.fromkeys(delivered)) == ids, "each once, in order; repetitions follow at once"
    assert len(delivered) <= len(ids) + cable.cuts
    assert subscriber.payloads(STATUS)[-1] == "online"


@needs_broker
def test_an_idle_connection_that_breaks_is_made_again(start, subscriber, broker, closing):
    cable = Cable(broker.port)
    closing.append(cable)
    start(cable.port)
    wait_until(lambda: subscriber.payloads(STATUS) == ["online"])
    cable.cut()
    wait_until(lambda: subscriber.payloads(STATUS) == ["online", "offline", "online"])


@needs_broker
def test_a_row_is_deleted_after_the_confirmation_only(database, closing):
    """A broker that takes messages without confirming them."""
    server = socket.create_server(("127.0.0.1", 0))
    closing.append(server)
    got = []

    def serve():
        while True:
            try:
                client, _ = server.accept()
            except OSError:
                return
            client.recv(4096)
            client.sendall(bytes([0x20, 2, 0, 0]))  # CONNACK, accepted
            data = client.recv(65536)
            got.append(data)

    threading.Thread(target=serve, daemon=True).start()
    detection = add_result(database, channels=("mqtt",))
    params = MqttParams("127.0.0.1", server.getsockname()[1], timeout_s=0.3)
    channel = MqttChannel(params, "tuin")
    with pytest.raises(DeliveryError, match="did not confirm birdnet_nl/tuin/status"):
        channel.connect()
    outbox = Outbox(database, QUICK)
    outbox.start([channel])
    wait_until(lambda: len(got) >= 3)
    outbox.close()
    assert waiting(database, "mqtt") == [detection]


def test_what_is_no_broker_is_reported(closing):
    server = socket.create_server(("127.0.0.1", 0))  # accepts, says nothing
    closing.append(server)
    params = MqttParams("127.0.0.1", server.getsockname()[1], timeout_s=0.3)
    with pytest.raises(UnreachableError, match="does not answer as an MQTT broker"):
        MqttChannel(params, "tuin").connect()
    with pytest.raises(UnreachableError, match="cannot be reached"):
        MqttChannel(MqttParams("127.0.0.1", free_port()), "tuin").connect()
    with pytest.raises(UnreachableError, match="cannot be reached"):
        MqttChannel(MqttParams("nowhere.invalid"), "tuin").connect()


@needs_broker
@pytest.mark.skipif(shutil.which("mosquitto_passwd") is None, reason="mosquitto_passwd is not installed")
def test_a_login_is_used_and_its_refusal_reported_without_the_password(tmp_path, database, start, closing, caplog):
    caplog.set_level(logging.DEBUG)
    passwords = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(passwords), "anna", "s3cret"], check=True, capture_output=True)
    broker = Broker(tmp_path, "allow_anonymous false", f"password_file {passwords}")
    closing += [broker, Subscriber(broker.port, "anna", "s3cret")]
    subscriber = closing[-1]
    with pytest.raises(UnreachableError, match=r"refuses user anna \(Not authorized\).*BIRDNET_NL_MQTT_PASSWORD"):
        MqttChannel(MqttParams("127.0.0.1", broker.port, "anna", "wr0ng"), "tuin").connect()
    with pytest.raises(UnreachableError, match="refuses a connection without a user"):
        MqttChannel(MqttParams("127.0.0.1", broker.port), "tuin").connect()
    add_result(database, channels=("mqtt",))
    start(broker.port, user="anna", password="s3cret")
    wait_until(lambda: len(subscriber.payloads(RESULT)) == 1)
    assert "s3cret" not in caplog.text and "wr0ng" not in caplog.text
    assert "s3cret" not in repr(MqttParams("h", user="anna", password="s3cret"))


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """Folder with an authority, a server's certificate for localhost, a client's, and another authority."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    for name in ("ca", "other"):
        openssl("req", "-x509", *new, "-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}")
    for name, host in (("server", "localhost"), ("client", "birdnet")):
        openssl(
            "req", "-x509", *new, "-CA", "ca.pem", "-CAkey", "ca.key", "-keyout", f"{name}.key", "-out", f"{name}.pem",
            "-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}", "-addext", "basicConstraints=CA:FALSE",
        )  # fmt: skip
    return folder


@needs_broker
def test_tls_checks_the_broker_and_proves_the_client(tmp_path, certificates, database, closing):
    def path(name):
        return str(certificates / name)

    broker = Broker(
        tmp_path, "allow_anonymous true", f"cafile {path('ca.pem')}", f"certfile {path('server.pem')}",
        f"keyfile {path('server.key')}", "require_certificate true",
    )  # fmt: skip
    closing.append(broker)
    client = {"client_certificate": path("client.pem"), "client_key": path("client.key")}
    context = ssl.create_default_context(cafile=path("ca.pem"))
    context.load_cert_chain(path("client.pem"), path("client.key"))
    subscriber = Subscriber(broker.port, context=context)
    closing.append(subscriber)
    message = message_of(database, add_result(database))

    def channel(host="localhost", **params):
        return MqttChannel(MqttParams(host, broker.port, tls=True, timeout_s=3, **params), "tuin")

    good = channel(ca_file=path("ca.pem"), **client)
    closing.append(good)
    good.deliver(message)
    wait_until(lambda: len(subscriber.payloads(RESULT)) == 1)
    with pytest.raises(UnreachableError, match=r"is not accepted .*see --mqtt-ca"):
        channel(ca_file=path("other.pem"), **client).connect()
    with pytest.raises(UnreachableError, match=r"is not accepted .*IP address mismatch"):
        channel("127.0.0.1", ca_file=path("ca.pem"), **client).connect()
    with pytest.raises(UnreachableError):
        channel(ca_file=path("ca.pem")).connect()  # without the certificate of a client
    insecure = channel("127.0.0.1", insecure=True, **client)
    closing.append(insecure)
    insecure.connect()


@needs_broker
def test_home_assistant_finds_a_sensor_for_each_species_and_one_for_alarms(database, start, subscriber, broker):
    add_result(database, channels=("mqtt",), recorded_at=now(), type="alarm")
    add_result(database, channels=("mqtt",), recorded_at=now(), type="song", species="koolmees")
    start(broker.port, language="nl")
    wait_until(lambda: len(subscriber.payloads(RESULT)) == 2)
    (sensor,) = subscriber.payloads("homeassistant/sensor/birdnet_nl_tuin/merel/config")
    assert sensor["name"] == "Merel" and sensor["unique_id"] == "birdnet_nl_tuin_merel"
    assert sensor["state_topic"] == sensor["json_attributes_topic"] == "birdnet_nl/tuin/species/merel"
    assert sensor["availability_topic"] == STATUS and sensor["device"]["identifiers"] == ["birdnet_nl_tuin"]
    (alarm,) = subscriber.payloads("homeassistant/binary_sensor/birdnet_nl_tuin/alarm/config")
    assert alarm["off_delay"] == 300 and alarm["state_topic"] == "birdnet_nl/tuin/alarm"
    assert [payload["state"] for payload in subscriber.payloads("birdnet_nl/tuin/species/merel")] == ["alarm"]
    assert [payload["state"] for payload in subscriber.payloads("birdnet_nl/tuin/species/koolmees")] == ["song"]
    (on,) = subscriber.payloads("birdnet_nl/tuin/alarm")
    assert on["state"] == "ON" and on["dutch"] == "Merel"


@needs_broker
def test_who_connects_later_gets_configurations_and_states_but_no_old_alarm(database, start, broker, closing):
    add_result(database, channels=("mqtt",), recorded_at=now())
    start(broker.port)
    wait_until(lambda: waiting(database, "mqtt") == [])
    closing.append(Subscriber(broker.port))
    later = closing[-1]
    wait_until(lambda: len(later.messages) >= 4)
    time.sleep(0.2)
    assert {topic for topic, _, is_retained in later.messages if is_retained} == {
        STATUS,
        "birdnet_nl/tuin/species/merel",
        "homeassistant/sensor/birdnet_nl_tuin/merel/config",
        "homeassistant/binary_sensor/birdnet_nl_tuin/alarm/config",
    }


def states(database, **result):
    message = message_of(database, add_result(database, **result))
    return [
        (publication.topic, publication.payload.split('"')[3])
        for publication in MqttChannel(MqttParams("localhost"), "tuin").home_assistant.states(message, datetime.now())
    ]


def test_the_backlog_changes_no_state_and_raises_no_alarm(database):
    assert states(database, recorded_at=now(60)) == [("birdnet_nl/tuin/species/merel", "alarm")]
    assert states(database, recorded_at=now(120)) == []
    assert states(database, recorded_at=now(4))[1] == ("birdnet_nl/tuin/alarm", "ON")


def test_an_uncertain_alarm_is_no_alarm(database):
    assert states(database, recorded_at=now(), is_uncertain=True) == [("birdnet_nl/tuin/species/merel", "uncertain")]


@pytest.mark.parametrize(
    ("station", "topic"),
    [("birdnet-pi", "birdnet-pi"), ("achter+tuin/#", "achter_tuin"), ("$SYS", "SYS"), ("+", "station"), ("Ål", "Ål")],
)
def test_a_station_of_any_name_gets_a_valid_topic(station, topic):
    channel = MqttChannel(MqttParams("localhost"), station)
    assert channel.base == f"birdnet_nl/{topic}"
    assert channel.home_assistant.node.replace("_", "").isalnum() and channel.home_assistant.node.isascii()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"host": ""}, "--mqtt-host '' is no host name"),
        ({"host": "mqtt://broker"}, "is no host name"),
        ({"host": "b", "port": 70000}, "--mqtt-port 70000 is no port"),
        ({"host": "b", "password": "s3cret"}, "needs a user name; give --mqtt-user"),
        ({"host": "b", "insecure": True}, "give --mqtt-tls too"),
        ({"host": "b", "tls": True, "ca_file": "/absent.pem"}, "--mqtt-ca /absent.pem does not exist"),
        ({"host": "b", "tls": True, "client_key": "/absent.pem"}, "needs --mqtt-certificate"),
        ({"host": "b", "prefix": "a/#"}, "--mqtt-topic a/# is no topic"),
        ({"host": "b", "prefix": ""}, "--mqtt-topic is empty"),
        ({"host": "b", "discovery_prefix": "/ha"}, "--mqtt-discovery /ha is no topic"),
        ({"host": "b", "alarm_minutes": 0}, "an alarm of 0 minutes is not possible"),
        ({"host": "b", "alarm_minutes": float("nan")}, "an alarm of nan minutes is not possible"),
        ({"host": "b", "language": "de"}, "--language de is not possible; choose en or nl"),
    ],
)
def test_parameters_are_checked(params, message):
    with pytest.raises(SetupError, match=message) as caught:
        MqttParams(**params)
    assert "s3cret" not in str(caught.value)


def test_a_file_that_is_no_certificate_is_reported(tmp_path):
    file = tmp_path / "ca.pem"
    file.write_text("no certificate")
    with pytest.raises(SetupError, match="certificates of MQTT cannot be read"):
        MqttChannel(MqttParams("localhost", tls=True, ca_file=str(file)), "tuin")


def test_a_password_over_an_open_connection_is_pointed_out(caplog):
    MqttChannel(MqttParams("192.0.2.7", user="anna", password="s3cret"), "tuin")
    assert "is sent without encryption; give --mqtt-tls" in caplog.text and "s3cret" not in caplog.text
