"""Plots of the recordings of a species: types by quality, duration, recordist, month and place."""

import io
import math
import re
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence
from itertools import pairwise

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from birdnet_nl.data.overview import InspectedRecording
from birdnet_nl.evaluation.plots import INK, PALE
from birdnet_nl.recordings.labels import MULTILABEL, OTHER, UNKNOWN
from birdnet_nl.recordings.type_colours import KIND_COLOURS, type_colours

QUALITIES = ("A", "B", "C", "D", "E", "none")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
DURATION_EDGES_S = (0.3, 1, 3, 5, 10, 20, 30, 60, 120, 300, 3600)
MAX_RECORDISTS = 12
MAP_SHAPE = 2.6  # width to height
CITIES = (  # name, latitude, longitude: orientation on a map without coasts
    ("Amsterdam", 52.4, 4.9), ("London", 51.5, -0.1), ("Paris", 48.9, 2.4), ("Berlin", 52.5, 13.4),
    ("Oslo", 59.9, 10.8), ("Madrid", 40.4, -3.7), ("Rome", 41.9, 12.5), ("Warsaw", 52.2, 21.0),
    ("Helsinki", 60.2, 24.9), ("Lisbon", 38.7, -9.1), ("Dublin", 53.3, -6.3), ("Athens", 38.0, 23.7),
    ("Moscow", 55.8, 37.6), ("Istanbul", 41.0, 29.0), ("Cairo", 30.0, 31.2), ("Reykjavik", 64.1, -21.9),
    ("Tromsø", 69.6, 19.0), ("Kyiv", 50.5, 30.5), ("Casablanca", 33.6, -7.6), ("New York", 40.7, -74.0),
    ("Delhi", 28.6, 77.2), ("Tokyo", 35.7, 139.7), ("Beijing", 39.9, 116.4), ("Dakar", 14.7, -17.5),
    ("Nairobi", -1.3, 36.8), ("Cape Town", -33.9, 18.4), ("Sydney", -33.9, 151.2), ("Lima", -12.0, -77.0),
    ("Groningen", 53.2, 6.6), ("Maastricht", 50.8, 5.7),
)  # fmt: skip


def kind_of(inspected: InspectedRecording) -> str:
    """Return the type of a recording, `several` or `other`; unknown types count as `other`."""
    return OTHER if inspected.kind == UNKNOWN else inspected.kind


def kind_colours(recordings: Sequence[InspectedRecording]) -> dict[str, str]:
    """Return the colours of the kinds that occur: types as in every plot, types of one's own, several, other."""
    kinds = {kind_of(item) for item in recordings}
    types = [kind for kind in KIND_COLOURS if kind in kinds - {MULTILABEL, OTHER}]
    own = sorted(kinds - set(KIND_COLOURS))
    return type_colours([*types, *own, *(kind for kind in (MULTILABEL, OTHER) if kind in kinds)])


def draw_qualities(recordings: Sequence[InspectedRecording]) -> Figure | None:
    """Draw bars per quality, stacked by type; None when no recording has a rating."""
    if not any(item.recording.quality for item in recordings):
        return None
    return _bars(recordings, lambda item: item.recording.quality or "none", QUALITIES, QUALITIES, "quality")


def draw_durations(recordings: Sequence[InspectedRecording]) -> Figure | None:
    """Draw bars per range of durations, stacked by type; None when no duration is known."""
    known = [item for item in recordings if item.facts.duration_s > 0]
    if not known:
        return None
    edges = DURATION_EDGES_S
    places = range(len(edges) - 1)
    names = [f"{low:g}–{high:g}" for low, high in pairwise(edges)]
    names[0], names[-1] = f"< {edges[1]}", f"> {edges[-2]}"
    figure = _bars(
        known, lambda item: int(np.clip(np.searchsorted(edges, item.facts.duration_s, "right") - 1, 0, places[-1])),
        places, names, "duration in seconds",
    )  # fmt: skip
    figure.axes[0].tick_params(axis="x", labelsize=7)
    return figure


def draw_months(recordings: Sequence[InspectedRecording]) -> Figure | None:
    """Draw bars per month, stacked by type; None when no date is known."""
    known = [item for item in recordings if item.recording.month]
    return _bars(known, lambda item: item.recording.month, range(1, 13), MONTHS, "month") if known else None


def draw_recordists(recordings: Sequence[InspectedRecording]) -> Figure | None:
    """Draw bars per recordist, most recordings first, stacked by type; None when no recordist is known."""
    counts = Counter(item.recording.recordist for item in recordings if item.recording.recordist)
    if not counts:
        return None
    names = [name for name, _ in counts.most_common(MAX_RECORDISTS)]
    figure, axes = _axes(height=0.9 + 0.21 * len(names))
    left = np.zeros(len(names))
    for kind, colour in kind_colours(recordings).items():
        of_kind = Counter(item.recording.recordist for item in recordings if kind_of(item) == kind)
        values = np.array([of_kind[name] for name in names])
        if values.any():
            axes.barh(range(len(names)), values, 0.72, left=left, color=colour, label=kind)
        left += values
    axes.set_yticks(range(len(names)), [_display_name(name) for name in names])
    axes.invert_yaxis()
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    others = len(counts) - len(names)
    axes.set_xlabel("recordings" + (f" (and {others} more recordists)" if others else ""), color=INK, fontsize=8)
    return figure


def draw_places(recordings: Sequence[InspectedRecording]) -> Figure | None:
    """Draw a map of the places, with cities for orientation; None when no place is known."""
    known = [item for item in recordings if item.recording.latitude is not None]
    if not known:
        return None
    latitudes = np.array([item.recording.latitude for item in known])
    longitudes = np.array([item.recording.longitude for item in known])
    figure, axes = _axes(height=4.6, width=11.6)
    axes.grid(color=PALE, linewidth=0.4, alpha=0.6)
    for kind, colour in kind_colours(recordings).items():
        of_kind = [index for index, item in enumerate(known) if kind_of(item) == kind]
        if of_kind:
            axes.scatter(
                longitudes[of_kind], latitudes[of_kind], s=22, color=colour, alpha=0.75, linewidths=0, label=kind,
                zorder=3,
            )  # fmt: skip
    degree_ratio = 1 / math.cos(math.radians(min(75, abs(float(latitudes.mean())))))
    height, width = np.ptp(latitudes) + 6, np.ptp(longitudes) + 8  # in degrees, with a margin
    height = max(height, width / degree_ratio / MAP_SHAPE)
    width = height * degree_ratio * MAP_SHAPE
    east, north = longitudes.min() + longitudes.max(), latitudes.min() + latitudes.max()  # twice the centre
    axes.set(xlim=((east - width) / 2, (east + width) / 2), ylim=((north - height) / 2, (north + height) / 2))
    axes.set_aspect(degree_ratio)
    for name, latitude, longitude in CITIES:
        cross = {"color": INK, "markersize": 4, "markeredgewidth": 0.7, "alpha": 0.7}
        axes.plot(longitude, latitude, "+", scalex=False, scaley=False, **cross)
        axes.annotate(
            name, (longitude, latitude), (3, 2), textcoords="offset points", annotation_clip=True, fontsize=6.5,
            color=INK, alpha=0.75,
        ).set_in_layout(False)  # fmt: skip
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{abs(value):g}°{'W' if value < 0 else 'E'}"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{abs(value):g}°{'S' if value < 0 else 'N'}"))
    axes.spines[:].set_visible(False)
    return figure


def to_svg(figure: Figure) -> str:
    """Render for an HTML page: text stays text, and `INK` becomes the text colour of the page."""
    text = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "birdnet_nl"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # the browser's fonts are used
        figure.savefig(text, format="svg", transparent=True)
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' xmlns(:\w+)?="[^"]*"', "", svg)
    return svg.replace(INK, "currentColor")


def _display_name(name: str) -> str:
    """Shorten, and remove control characters and dollar signs, which would start a formula."""
    name = "".join(char for char in name if char.isprintable()).replace("$", r"\$")
    return name if len(name) < 26 else f"{name[:24]}…"


def _axes(height: float, width: float = 5.6) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(PALE)
    axes.tick_params(colors=INK, labelsize=8, length=0)
    return figure, axes


def _bars(
    recordings: Sequence[InspectedRecording],
    value_of: Callable[[InspectedRecording], Hashable],
    values: Sequence[Hashable],
    names: Sequence[str],
    label: str,
) -> Figure:
    """Draw a bar for each value, stacked by type."""
    counts: dict[str, Counter] = defaultdict(Counter)
    for item in recordings:
        counts[kind_of(item)][value_of(item)] += 1
    figure, axes = _axes(height=2.6)
    axes.grid(axis="y", color=PALE, linewidth=0.4, alpha=0.6)
    axes.set_axisbelow(True)
    bottom = np.zeros(len(values))
    for kind, colour in kind_colours(recordings).items():
        heights = np.array([counts[kind][value] for value in values])
        if heights.any():
            axes.bar(range(len(values)), heights, 0.72, bottom=bottom, color=colour, label=kind)
        bottom += heights
    axes.set_xticks(range(len(values)), names)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
    axes.set_xlabel(label, color=INK, fontsize=8)
    return figure
