"""Real MQTT broker on loopback, a subscriber to it, and a connection between that can be cut."""

import contextlib
import json
import shutil
import socket
import subprocess
import threading
import time

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


def free_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


class Broker:
    """A mosquitto process; `lines` are added to its configuration."""

    def __init__(self, folder, *lines):
        self.folder = folder
        self.lines = lines or ("allow_anonymous true",)
        self.port = free_port()
        self.process = None
        self.start()

    def start(self):
        file = self.folder / "mosquitto.conf"
        file.write_text(
            "\n".join([f"listener {self.port} 127.0.0.1", "user root", "persistence false", *self.lines, ""])
        )
        self.process = subprocess.Popen(
            [MOSQUITTO, "-c", str(file)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.02)
        raise AssertionError("mosquitto does not start")

    def stop(self):
        self.process.kill()
        self.process.wait()


class Subscriber:
    """Client that notes (topic, payload, retained) of all topics."""

    def __init__(self, port, user="", password="", context=None):
        self.messages = []
        self.subscribed = threading.Event()
        self.client = Client(CallbackAPIVersion.VERSION2)
        if user:
            self.client.username_pw_set(user, password)
        if context:
            self.client.tls_set_context(context)
        self.client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
        self.client.on_subscribe = lambda *_: self.subscribed.set()
        self.client.on_message = lambda _client, _data, message: self.messages.append(
            (message.topic, message.payload.decode(), message.retain)
        )
        self.client.connect("127.0.0.1" if context is None else "localhost", port)
        self.client.loop_start()
        assert self.subscribed.wait(5)

    def payloads(self, topic):
        """Return the payloads of one topic, decoded where they are JSON."""
        texts = [payload for name, payload, _ in list(self.messages) if name == topic]
        return [json.loads(text) if text.startswith("{") else text for text in texts]

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


class Cable:
    """TCP connection to a port that can be cut: at once, or after a number of bytes of the client."""

    def __init__(self, target):
        self.target = target
        self.left = None  # bytes until the next cut
        self.cuts = 0
        self.is_cut = False
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        self.sockets = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.server.accept()
                if self.is_cut:
                    client.close()
                    continue
                try:
                    broker = socket.create_connection(("127.0.0.1", self.target), 2)
                except OSError:
                    client.close()
                    continue
                self.sockets += [client, broker]
                threading.Thread(target=self._copy, args=(client, broker, True), daemon=True).start()
                threading.Thread(target=self._copy, args=(broker, client, False), daemon=True).start()

    def _copy(self, source, sink, is_client):
        with contextlib.suppress(OSError):
            while data := source.recv(4096):
                if is_client and self.left is not None:
                    data, self.left = data[: self.left], self.left - len(data)
                sink.sendall(data)
                if is_client and self.left is not None and self.left <= 0:
                    self.left = None
                    self.cut()
                    return
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def cut(self):
        self.cuts += 1
        sockets, self.sockets = self.sockets, []
        for end in sockets:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
                end.close()

    def close(self):
        self.server.close()
        self.cut()
