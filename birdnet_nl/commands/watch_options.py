"""Options that all commands `birdnet-nl watch …` have in common, and what they mean."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import datetime
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from birdnet_nl.util.errors import SelectionError, SetupError
from birdnet_nl.util.files import user_path

if TYPE_CHECKING:
    from birdnet_nl.stations.outbox import Channel

WHAT, WINDOW, MQTT, WEBHOOK, SUPERVISOR = "What to predict", "Which seconds", "MQTT", "Webhook", "Supervisors"

RECEIVERS = {"mqtt_host": "mqtt_", "webhook": "webhook_"}  # option that names a receiver -> prefix of its other options


@dataclass(frozen=True)
class CommonOptions:
    """Values of the options of `birdnet-nl watch`; the annotations are what `--help` shows."""

    model: Annotated[
        str | None,
        typer.Option(
            "--model", "-m", envvar="BIRDNET_NL_MODEL", rich_help_panel=WHAT,
            show_default="the version in models/active",
            help="A version, a pack, a run, or a .onnx or .ckpt file. A version promoted later is used at once.",
        ),
    ] = None  # fmt: skip
    database: Annotated[
        Path | None,
        typer.Option(
            envvar="BIRDNET_NL_DATABASE", rich_help_panel=WHAT, help="Database of the results, on a local disk.",
            show_default="~/.local/share/birdnet_nl/detections.db",
        ),
    ] = None  # fmt: skip
    once: Annotated[
        bool, typer.Option("--once", rich_help_panel=WHAT, help="Predict what is there and end, for cron.")
    ] = False
    again: Annotated[
        str,
        typer.Option(
            metavar="since=DATE", rich_help_panel=WHAT, show_default=False,
            help="Predict detections since a date (since=2026-11-01) again whose result is of another model.",
        ),
    ] = ""  # fmt: skip
    window_s: Annotated[
        str,
        typer.Option(
            metavar="START,END", rich_help_panel=WINDOW, show_default="the detection",
            help="Seconds of every clip that are predicted, such as 1.5,4.5.",
        ),
    ] = ""  # fmt: skip
    context_s: Annotated[
        float, typer.Option(rich_help_panel=WINDOW, help="Seconds added before and after the detection.")
    ] = 0.0
    mqtt_host: Annotated[
        str, typer.Option(rich_help_panel=MQTT, show_default=False, help="Broker that gets each result.")
    ] = ""
    mqtt_port: Annotated[
        int | None, typer.Option(rich_help_panel=MQTT, show_default="1883, with TLS 8883", help="Port of the broker.")
    ] = None
    mqtt_user: Annotated[str, typer.Option(rich_help_panel=MQTT, show_default=False, help="Name of the account.")] = ""
    mqtt_password_file: Annotated[
        Path | None,
        typer.Option(rich_help_panel=MQTT, show_default=False, help="Or set BIRDNET_NL_MQTT_PASSWORD."),
    ] = None
    mqtt_tls: Annotated[bool, typer.Option("--mqtt-tls", rich_help_panel=MQTT, help="Encrypt the connection.")] = False
    mqtt_ca: Annotated[
        Path | None, typer.Option(rich_help_panel=MQTT, show_default=False, help="Certificates of a private authority.")
    ] = None
    mqtt_certificate: Annotated[
        Path | None, typer.Option(rich_help_panel=MQTT, show_default=False, help="Certificate of this client.")
    ] = None
    mqtt_key: Annotated[
        Path | None, typer.Option(rich_help_panel=MQTT, show_default=False, help="Key of this client.")
    ] = None
    mqtt_insecure: Annotated[
        bool, typer.Option("--mqtt-insecure", rich_help_panel=MQTT, help="Accept any certificate of the broker.")
    ] = False
    mqtt_topic: Annotated[str, typer.Option(rich_help_panel=MQTT, help="Results go to TOPIC/<station>/result.")] = (
        "birdnet_nl"
    )
    mqtt_discovery: Annotated[
        str, typer.Option(rich_help_panel=MQTT, help="Prefix of Home Assistant's discovery; empty for none.")
    ] = "homeassistant"
    alarm_minutes: Annotated[
        float, typer.Option(rich_help_panel=MQTT, help="Time after which Home Assistant's alarm switches off.")
    ] = 5.0
    language: Annotated[
        str, typer.Option(metavar="en|nl", rich_help_panel=MQTT, help="Names of species in Home Assistant.")
    ] = "en"
    webhook: Annotated[
        str,
        typer.Option(
            envvar="BIRDNET_NL_WEBHOOK", rich_help_panel=WEBHOOK, show_default=False,
            help="URL that gets each result as JSON.",
        ),
    ] = ""  # fmt: skip
    webhook_token_file: Annotated[
        Path | None,
        typer.Option(rich_help_panel=WEBHOOK, show_default=False, help="Or set BIRDNET_NL_WEBHOOK_TOKEN."),
    ] = None
    webhook_ca: Annotated[
        Path | None, typer.Option(rich_help_panel=WEBHOOK, show_default=False, help="Certificates of an authority.")
    ] = None
    health: Annotated[
        Path | None,
        typer.Option(
            rich_help_panel=SUPERVISOR, show_default="<database>.health.json",
            help="JSON file with status, time of the last success, number of detections in each state, last error.",
        ),
    ] = None  # fmt: skip

    def channels(self, station: str) -> "list[Channel]":
        """Return the receivers of results; raises `SetupError` where their options do not fit."""
        from birdnet_nl.stations import mqtt, webhook
        from birdnet_nl.stations.secrets import read_secret

        self._check_receivers()
        channels: list[Channel] = []
        if self.mqtt_host:
            password = read_secret(mqtt.PASSWORD_VARIABLE, _path(self.mqtt_password_file), "--mqtt-password-file")
            params = mqtt.MqttParams(
                host=self.mqtt_host,
                port=self.mqtt_port,
                user=self.mqtt_user,
                password=password if self.mqtt_user or self.mqtt_password_file else "",
                tls=self.mqtt_tls,
                ca_file=_text(self.mqtt_ca),
                client_certificate=_text(self.mqtt_certificate),
                client_key=_text(self.mqtt_key),
                insecure=self.mqtt_insecure,
                prefix=self.mqtt_topic,
                discovery_prefix=self.mqtt_discovery,
                language=self.language,
                alarm_minutes=self.alarm_minutes,
            )
            channels.append(mqtt.MqttChannel(params, station))
        if self.webhook:
            token = read_secret(webhook.TOKEN_VARIABLE, _path(self.webhook_token_file), "--webhook-token-file")
            params = webhook.WebhookParams(self.webhook, token, ca_file=_text(self.webhook_ca))
            channels.append(webhook.WebhookChannel(params))
        return channels

    def _check_receivers(self) -> None:
        """Raise `SetupError` for options of a receiver that is not given, which would get nothing without a word."""
        for receiver, names in RECEIVERS.items():
            given = [field for field in fields(self) if field.name.startswith(names) and field.name != receiver]
            changed = [field.name for field in given if getattr(self, field.name) != field.default]
            if changed and not getattr(self, receiver):
                option = f"--{receiver.replace('_', '-')}"
                raise SetupError(f"--{changed[0].replace('_', '-')} does nothing without {option}; give both, or none")


def _path(path: Path | None) -> Path | None:
    return None if path is None else user_path(path)


def _text(path: Path | None) -> str:
    return "" if path is None else str(user_path(path))


def parse_again(text: str) -> datetime | None:
    """Return the time of `since=2026-11-01` or `since=2026-11-01T06:00`; None for an empty text."""
    if not text:
        return None
    try:
        return datetime.fromisoformat(text.removeprefix("since=")).replace(tzinfo=None)
    except ValueError:
        raise SelectionError(f"--again {text} names no date; give one such as --again since=2026-11-01") from None


def parse_window(text: str) -> tuple[float, float] | None:
    """Return the seconds of `1.5,4.5`; None for an empty text."""
    if not text:
        return None
    try:
        start_s, end_s = (float(part) for part in text.split(","))
    except ValueError:
        raise SelectionError(
            f"--window-s {text} is no part of a clip; give its start and end, such as 1.5,4.5"
        ) from None
    return start_s, end_s


def with_common_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of `CommonOptions`, in place of its last parameter `options`."""
    hints = get_type_hints(CommonOptions, include_extras=True)
    common = [
        inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=hints[field.name]
        )
        for field in fields(CommonOptions)
    ]
    own = [parameter for parameter in inspect.signature(command).parameters.values() if parameter.name != "options"]

    @wraps(command)
    def wrapped(**values: Any) -> None:
        names = {field.name for field in fields(CommonOptions)}
        options = CommonOptions(**{name: value for name, value in values.items() if name in names})
        command(**{name: value for name, value in values.items() if name not in names}, options=options)

    own = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
    wrapped.__signature__ = inspect.Signature([*own, *common])
    wrapped.__annotations__ = {parameter.name: parameter.annotation for parameter in [*own, *common]}
    return wrapped
