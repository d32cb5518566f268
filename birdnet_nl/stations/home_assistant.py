"""Home Assistant over MQTT: discovery of a sensor for each species and a binary sensor for alarms, and their states."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.metadata import version
from typing import Any

from birdnet_nl.species.table import normalise_name
from birdnet_nl.stations.message import Message

ALARM = "alarm"
UNCERTAIN = "uncertain"  # state of a sensor whose latest prediction is below the threshold of its model


@dataclass(frozen=True)
class Publication:
    """One MQTT message: the broker keeps a retained one for later subscribers."""

    topic: str
    payload: str
    retain: bool


@dataclass(frozen=True)
class HomeAssistant:
    """Discovery and states of one station.

    Attributes:
        discovery_prefix: as in Home Assistant's MQTT settings.
        base: topic below which states are published, `birdnet_nl/<station>`.
        language: of the names of species: en or nl.
        alarm_s: time after which the binary sensor switches off, and age up to which an alarm switches it on.
    """

    station: str
    base: str
    discovery_prefix: str = "homeassistant"
    language: str = "en"
    alarm_s: float = 300

    @property
    def node(self) -> str:
        """Identifier of the device; Home Assistant allows letters, digits, `_` and `-`."""
        return f"birdnet_nl_{normalise_name(self.station) or 'station'}"

    @property
    def status_topic(self) -> str:
        return f"{self.base}/status"

    def alarm_discovery(self) -> Publication:
        """Return the configuration of the binary sensor for alarms."""
        return self._discovery(
            "binary_sensor",
            ALARM,
            {
                "name": "Alarm",
                "icon": "mdi:bird",
                "state_topic": f"{self.base}/alarm",
                "value_template": "{{ value_json.state }}",
                "off_delay": round(self.alarm_s),
            },
        )

    def species_discovery(self, message: Message) -> Publication:
        """Return the configuration of the sensor of a species."""
        return self._discovery(
            "sensor",
            message.species,
            {
                "name": message.content["dutch" if self.language == "nl" else "english"] or message.species,
                "icon": "mdi:bird",
                "state_topic": self._species_topic(message),
                "value_template": "{{ value_json.state }}",
            },
        )

    def states(self, message: Message, now: datetime) -> list[Publication]:
        """Return what a result changes: the sensor of its species and the alarm; nothing for one of the backlog.

        `now` is the local time, to be compared with the time of the station.
        """
        publications = []
        state = message.type if message.is_certain else UNCERTAIN
        if message.is_latest:
            publications.append(_state(self._species_topic(message), state, message, retain=True))
        age = abs(now - message.recorded_at) if message.recorded_at else timedelta.max
        if state == ALARM and age <= timedelta(seconds=self.alarm_s):
            publications.append(_state(f"{self.base}/alarm", "ON", message, retain=False))
        return publications

    def _species_topic(self, message: Message) -> str:
        return f"{self.base}/species/{message.species}"

    def _discovery(self, component: str, name: str, config: dict[str, Any]) -> Publication:
        config = {
            **config,
            "unique_id": f"{self.node}_{name}",
            "json_attributes_topic": config["state_topic"],
            "availability_topic": self.status_topic,
            "device": {
                "identifiers": [self.node],
                "name": f"birdnet_nl {self.station}",
                "manufacturer": "birdnet_nl",
                "model": "Vocalization types",
                "sw_version": version("birdnet-nl"),
            },
            "origin": {"name": "birdnet_nl", "sw_version": version("birdnet-nl")},
        }
        topic = f"{self.discovery_prefix}/{component}/{self.node}/{name}/config"
        return Publication(topic, json.dumps(config, ensure_ascii=False), retain=True)


def _state(topic: str, state: str, message: Message, retain: bool) -> Publication:
    payload = json.dumps({"state": state, **message.content}, ensure_ascii=False, allow_nan=False)
    return Publication(topic, payload, retain)
