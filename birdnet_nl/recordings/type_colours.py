"""Colours of vocalization types, the same in every plot and page."""

import zlib
from collections.abc import Iterable

from birdnet_nl.recordings.labels import MULTILABEL, OTHER

TYPE_COLOURS = {
    "song": "#2a9d5c", "call": "#3977b5", "alarm": "#d1495b", "flight_call": "#6fb7d6",
    "nocturnal_flight_call": "#34507a", "begging": "#e0a030", "drumming": "#8a5a2b", "subsong": "#8fcf9f",
    "duet": "#b45fa8", "distress": "#f08060",
}  # fmt: skip
KIND_COLOURS = TYPE_COLOURS | {MULTILABEL: "#c8963e", OTHER: "#8d8d94"}
OTHER_COLOURS = ("#8d6cab", "#4aa3a2", "#b5651d", "#a8a032", "#5b5f97", "#c06c84")  # of types of one's own


def type_colour(name: str) -> str:
    """Return the colour of a type, or of recordings of several or other types."""
    return KIND_COLOURS.get(name) or OTHER_COLOURS[zlib.crc32(name.encode()) % len(OTHER_COLOURS)]


def type_colours(names: Iterable[str]) -> dict[str, str]:
    """Return the colours of types that are shown together: different ones, for up to six types of one's own."""
    colours: dict[str, str] = {}
    for name in names:
        colour = type_colour(name)
        if name not in KIND_COLOURS and colour in colours.values():
            free = [other for other in OTHER_COLOURS if other not in colours.values()]
            colour = free[0] if free else colour
        colours[name] = colour
    return colours
