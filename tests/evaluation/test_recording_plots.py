"""Plots of recordings show known counts, or are None without data."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from birdnet_nl.audio.inspection import FileFacts
from birdnet_nl.data.overview import InspectedRecording
from birdnet_nl.evaluation import recording_plots as plots
from birdnet_nl.recordings.recording import Recording


def inspected(number: int = 1, kind: str = "song", duration_s: float = 20.0, **known) -> InspectedRecording:
    recording = Recording(
        id=f"XC{number}", path=Path(f"{kind}/XC{number}.mp3"), species="koolmees",
        vocalization_type=kind if kind in ("song", "call", "alarm") else None, type_text=kind, **known,
    )  # fmt: skip
    facts = FileFacts(duration_s=duration_s)
    return InspectedRecording(recording, facts, kind, left_out="", duplicate_of="", split="", segments=1, oddities=())


def heights(figure) -> dict[str, list[float]]:
    """Return the drawn heights of the bars by type."""
    (axes,) = figure.axes
    return {bars.get_label(): [bar.get_height() for bar in bars] for bars in axes.containers}


def test_qualities_are_stacked_by_type():
    recordings = [inspected(quality="A"), inspected(2, "call", quality="A"), inspected(3, quality="C"), inspected(4)]
    assert heights(plots.draw_qualities(recordings)) == {"song": [1, 0, 1, 0, 0, 1], "call": [1, 0, 0, 0, 0, 0]}
    assert plots.draw_qualities([inspected()]) is None


@pytest.mark.parametrize(
    ("duration_s", "place"), [(0.1, 0), (0.99, 0), (1.0, 1), (2.9, 1), (30.0, 6), (299.0, 8), (301.0, 9), (9999.0, 9)]
)
def test_a_duration_falls_into_its_range(duration_s, place):
    (bars,) = heights(plots.draw_durations([inspected(duration_s=duration_s)])).values()
    assert bars.index(1) == place and sum(bars) == 1


def test_unknown_durations_give_no_plot():
    assert plots.draw_durations([inspected(duration_s=0.0)]) is None


def test_months_are_taken_from_the_dates():
    figure = plots.draw_months([inspected(date="2020-04-00"), inspected(2, "alarm", date="2021-12-31"), inspected(3)])
    assert heights(figure) == {"song": [0, 0, 0, 1] + [0] * 8, "alarm": [0] * 11 + [1]}
    assert plots.draw_months([inspected(date="2020-00-00")]) is None


def test_recordists_are_ordered_and_counted():
    recordings = [inspected(n, recordist="Anna") for n in range(3)] + [
        inspected(9, recordist=f"P{n}") for n in range(15)
    ]
    (axes,) = plots.draw_recordists(recordings).axes
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels[0] == "Anna" and len(labels) == plots.MAX_RECORDISTS
    assert "4 more recordists" in axes.get_xlabel()
    assert plots.draw_recordists([inspected()]) is None


def test_special_characters_in_names_are_drawn_as_text():
    for name in ("$x_", "a $ b $ c", "O\x98. Nilsen", "鈴木", "<script>", "A" * 60):
        assert "<script>" not in plots.to_svg(plots.draw_recordists([inspected(recordist=name)]))


def test_a_map_shows_every_place():
    places = [(52.4, 4.9), (51.9, 6.2), (38.0, 23.7), (-33.9, 18.4)]
    recordings = [inspected(n, latitude=a, longitude=b) for n, (a, b) in enumerate(places)]
    (axes,) = plots.draw_places([*recordings, inspected(9)]).axes
    (points,) = axes.collections
    assert points.get_offsets().tolist() == [[b, a] for a, b in places]
    (west, east), (south, north) = axes.get_xlim(), axes.get_ylim()
    assert all(south < a < north and west < b < east for a, b in places)
    assert plots.draw_places([inspected()]) is None


def test_svg_for_a_page_is_plain_and_in_the_text_colour():
    svg = plots.to_svg(plots.draw_qualities([inspected(quality="A"), inspected(2, "several", quality="B")]))
    assert svg.startswith("<svg") and "http" not in svg and "currentColor" in svg and ">quality<" in svg
    ElementTree.fromstring(svg.replace("xlink:", ""))


def test_unknown_types_count_as_other():
    assert plots.kind_of(inspected(kind="unknown")) == "other"


def test_types_of_ones_own_have_colours_of_their_own():
    kinds = ["several", "rattle", "song", "drumming", "whirr", "unknown"]
    colours = plots.kind_colours([inspected(number, kind) for number, kind in enumerate(kinds)])
    assert list(colours) == ["song", "drumming", "rattle", "whirr", "several", "other"]
    assert len(set(colours.values())) == 6
