"""Channel that writes predictions to the station itself, as comments (BirdNET-Go), where the user asked for it."""

from datetime import datetime

from birdnet_nl.stations.detection import StationDetection
from birdnet_nl.stations.message import Message
from birdnet_nl.stations.outbox import GivenUpError, UnreachableError
from birdnet_nl.stations.station import AudioGoneError, Station, StationUnavailableError

SIGNATURE = "birdnet_nl"


class CommentChannel:
    """Channel to the station that reported the detections."""

    name = "station"

    def __init__(self, station: Station) -> None:
        self.station = station

    def connect(self) -> None:
        """Do nothing: the station connects for each comment."""

    def deliver(self, message: Message) -> None:
        content = message.content
        detection = StationDetection(
            key=message.key,
            recorded_at=message.recorded_at or datetime(1970, 1, 1),
            scientific_name=content["scientific_name"],
            common_name=content["common_name"],
            confidence=content["confidence"] or 0.0,
            clip=message.clip,
            source=content["source"],
        )
        try:
            self.station.report(detection, comment_text(message))
        except StationUnavailableError as error:
            raise UnreachableError(str(error), error.retry_after_s) from error
        except AudioGoneError as error:
            raise GivenUpError(str(error)) from error

    def close(self) -> None:
        """Do nothing: the station is closed by who opened it."""


def comment_text(message: Message) -> str:
    """Return a prediction as one line: `birdnet_nl: alarm 93 % (song 7 %), merel 2026.1`."""
    content = message.content
    others = sorted(content["probabilities"].items(), key=lambda item: -(item[1] or 0))
    rest = ", ".join(f"{name} {_percent(value)}" for name, value in others if name != message.type)
    uncertain = "" if message.is_certain else "uncertain, "
    return (
        f"{SIGNATURE}: {uncertain}{message.type} {_percent(content['probability'])}"
        f"{f' ({rest})' if rest else ''}, {content['model']}"
    )


def _percent(value: float | None) -> str:
    return "?" if value is None else f"{100 * value:.0f} %"
