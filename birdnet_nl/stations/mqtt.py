"""MQTT: each result is published with QoS 1, and delivered when the broker has confirmed it."""

import hashlib
import logging
import platform
import re
import ssl
import threading
import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from birdnet_nl.stations.home_assistant import HomeAssistant, Publication
from birdnet_nl.stations.message import Message
from birdnet_nl.stations.outbox import DeliveryError, UnreachableError
from birdnet_nl.util.errors import SetupError, require_extra

if TYPE_CHECKING:
    from paho.mqtt.client import Client

PASSWORD_VARIABLE = "BIRDNET_NL_MQTT_PASSWORD"
ONLINE, OFFLINE = "online", "offline"  # what Home Assistant expects
LOCAL = ("localhost", "127.0.0.1", "::1")
NO_TOPIC = re.compile(r"[\x00-\x20\x7f+#/$]+")  # separators and wildcards of MQTT, blanks and control characters
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MqttParams:
    """Broker and topics.

    Attributes:
        port: None for 8883 with TLS, else 1883.
        ca_file: certificates of a private authority; those of the system by default.
        insecure: whether a certificate of another name or an unknown authority is accepted.
        prefix: results go to `<prefix>/<station>/result`.
        discovery_prefix: of Home Assistant; empty for no discovery.
        alarm_minutes: time after which the binary sensor for alarms switches off.
    """

    host: str
    port: int | None = None
    user: str = ""
    password: str = field(default="", repr=False)
    tls: bool = False
    ca_file: str = ""
    client_certificate: str = ""
    client_key: str = ""
    insecure: bool = False
    prefix: str = "birdnet_nl"
    discovery_prefix: str = "homeassistant"
    language: str = "en"
    alarm_minutes: float = 5
    timeout_s: float = 20

    def __post_init__(self) -> None:
        if not self.host or re.search(r"[\s/@]", self.host):
            raise SetupError(f"--mqtt-host {self.host!r} is no host name; give one such as homeassistant.local")
        if self.port is not None and not 0 < self.port < 65536:
            raise SetupError(f"--mqtt-port {self.port} is no port; give a number from 1 to 65535")
        if self.password and not self.user:
            raise SetupError(f"a password for MQTT ({PASSWORD_VARIABLE}) needs a user name; give --mqtt-user")
        if self.client_key and not self.client_certificate:
            raise SetupError("--mqtt-key needs --mqtt-certificate, the certificate of this client")
        options = {"ca": self.ca_file, "certificate": self.client_certificate, "key": self.client_key}
        for name, file in options.items():
            if file and not Path(file).is_file():
                raise SetupError(f"--mqtt-{name} {file} does not exist; give a file with PEM text")
        if not self.tls and (self.insecure or any(options.values())):
            raise SetupError("certificates of MQTT need an encrypted connection; give --mqtt-tls too")
        for name, topic in (("--mqtt-topic", self.prefix), ("--mqtt-discovery", self.discovery_prefix)):
            if re.search(r"[+#\x00]", topic) or topic.startswith(("/", "$")) or topic.endswith("/"):
                raise SetupError(f"{name} {topic} is no topic; leave out +, #, and / at its ends")
        if not self.prefix:
            raise SetupError("--mqtt-topic is empty; give one such as birdnet_nl")
        if self.language not in ("en", "nl"):
            raise SetupError(f"--language {self.language} is not possible; choose en or nl")
        if not 0 < self.alarm_minutes < 1e5:
            raise SetupError(f"an alarm of {self.alarm_minutes:g} minutes is not possible; give --alarm-minutes 5")

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port or (8883 if self.tls else 1883)}"


class MqttChannel:
    """Channel to an MQTT broker, which is told `offline` by its last will when the connection breaks."""

    name = "mqtt"

    def __init__(self, params: MqttParams, station: str) -> None:
        require_extra("paho", "stations")
        self.params = params
        self.base = f"{params.prefix}/{NO_TOPIC.sub('_', station).strip('_') or 'station'}"
        self.home_assistant = HomeAssistant(
            station, self.base, params.discovery_prefix, params.language, 60 * params.alarm_minutes
        )
        self._context = self._tls_context() if params.tls else None
        self._client: Client | None = None
        self._lost = threading.Event()
        self._announced: set[str] = set()  # topics of discovery that were published in this connection
        if params.password and not params.tls and params.host not in LOCAL:
            log.warning("mqtt: the password for %s is sent without encryption; give --mqtt-tls", params.address)

    def connect(self) -> None:
        """Connect, and publish `online`; an existing connection stays."""
        if self._client is not None and not self._lost.is_set():
            return
        self._drop()
        self._lost = threading.Event()
        self._announced.clear()
        self._client = self._connected_client(self._lost)
        self._publish(Publication(f"{self.base}/status", ONLINE, retain=True))
        if self.params.discovery_prefix:
            self._publish(self.home_assistant.alarm_discovery())
        log.info("mqtt: connected to %s", self.params.address)

    def deliver(self, message: Message) -> None:
        """Publish what Home Assistant shows, then the result, which is last so that it is not sent twice for others."""
        self.connect()
        if self.params.discovery_prefix and message.species:
            discovery = self.home_assistant.species_discovery(message)
            if discovery.topic not in self._announced:
                self._publish(discovery)
                self._announced.add(discovery.topic)
            for publication in self.home_assistant.states(message, datetime.now()):
                self._publish(publication)
        self._publish(Publication(f"{self.base}/result", message.json, retain=False))

    def close(self) -> None:
        if self._client is not None and not self._lost.is_set():
            try:
                self._publish(Publication(f"{self.base}/status", OFFLINE, retain=True), timeout_s=3)
            except DeliveryError as error:
                log.info("%s", error)
        self._drop()

    def _publish(self, publication: Publication, timeout_s: float | None = None) -> None:
        """Publish with QoS 1 and wait for the confirmation; raises DeliveryError without one."""
        assert self._client is not None
        info = self._client.publish(publication.topic, publication.payload, qos=1, retain=publication.retain)
        deadline = time.monotonic() + (timeout_s or self.params.timeout_s)
        try:
            while not info.is_published() and not self._lost.is_set() and time.monotonic() < deadline:
                info.wait_for_publish(0.2)
        except (RuntimeError, ValueError):  # the connection is gone, or the queue is full
            self._lost.set()
        if info.is_published():
            return
        was_lost = self._lost.is_set()
        self._drop()  # with the message that paho would send again
        if was_lost:
            raise UnreachableError(f"the connection to {self.params.address} broke")
        raise DeliveryError(f"{self.params.address} did not confirm {publication.topic} in {self.params.timeout_s:g} s")

    def _connected_client(self, lost: threading.Event) -> "Client":
        """Return a client after the broker accepted it; it does not connect again by itself, `connect` does."""
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        answers: list[Any] = []
        answered = threading.Event()

        def on_connect(_client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
            answers.append(reason)
            answered.set()

        def on_disconnect(*_: Any) -> None:
            lost.set()
            answered.set()

        client = Client(CallbackAPIVersion.VERSION2, client_id=self._client_id(), reconnect_on_failure=False)
        client.connect_timeout = self.params.timeout_s
        client.on_connect, client.on_disconnect = on_connect, on_disconnect
        client.will_set(f"{self.base}/status", OFFLINE, qos=1, retain=True)
        if self.params.user:
            client.username_pw_set(self.params.user, self.params.password or None)
        if self._context is not None:
            client.tls_set_context(self._context)
            client.tls_insecure_set(self.params.insecure)
        address = self.params.address
        try:
            client.connect(self.params.host, int(address.rpartition(":")[2]), keepalive=30)
        except ssl.SSLError as error:
            reason = getattr(error, "verify_message", "") or getattr(error, "reason", "") or "TLS failed"
            raise UnreachableError(f"the certificate of {address} is not accepted ({reason}); see --mqtt-ca") from error
        except OSError as error:
            raise UnreachableError(f"{address} cannot be reached ({error.strerror or error})") from error
        client.loop_start()
        answered.wait(self.params.timeout_s)
        if answers and not answers[0].is_failure:
            return client
        client.disconnect()
        client.loop_stop()
        if answers:
            login = f"user {self.params.user}" if self.params.user else "a connection without a user"
            raise UnreachableError(
                f"{address} refuses {login} ({answers[0]}); check --mqtt-user and {PASSWORD_VARIABLE} or "
                "--mqtt-password-file"
            )
        raise UnreachableError(f"{address} does not answer as an MQTT broker")

    def _client_id(self) -> str:
        """Return the same id in each run: the broker then closes a broken connection, whose last will comes first."""
        return "birdnet_nl_" + hashlib.sha256(f"{platform.node()}/{self.base}".encode()).hexdigest()[:12]

    def _tls_context(self) -> ssl.SSLContext:
        params = self.params
        try:
            context = ssl.create_default_context(cafile=params.ca_file or None)
            if params.client_certificate:
                context.load_cert_chain(params.client_certificate, params.client_key or None, password="")
        except OSError as error:  # ssl.SSLError too
            raise SetupError(
                f"the certificates of MQTT cannot be read ({getattr(error, 'reason', '') or error}); check --mqtt-ca, "
                "--mqtt-certificate and --mqtt-key (PEM, no passphrase)"
            ) from error
        if params.insecure:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            log.warning("mqtt: the certificate of %s is not checked (--mqtt-insecure)", params.address)
        return context

    def _drop(self) -> None:
        if self._client is not None:
            self._client.disconnect()
            self._client.loop_stop()
            self._client = None
