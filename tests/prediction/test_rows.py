"""Rows of segments, merged stretches, windows of detections and recordings."""

from pathlib import Path

import numpy as np
import pytest

from birdnet_nl.inference.model import FilePrediction
from birdnet_nl.prediction.rows import Row, RowOptions, recording_row, segment_rows, window_row
from birdnet_nl.prediction.stored import ModelFacts, StoredPrediction
from birdnet_nl.species.table import get_species

FACTS = ModelFacts(("song", "call"), False, 32_000, 3.0, 0.6, False)
KOOLMEES = get_species("koolmees")


def make(song, hop_s=3.0, silent=(), duration_s=None, threshold=0.6):
    """A prediction with these probabilities of song."""
    song = np.array(song, np.float32)
    starts_s = np.arange(len(song)) * hop_s
    is_silent = np.array([index in silent for index in range(len(song))])
    probabilities = np.stack([song, 1 - song], axis=1)
    duration_s = starts_s[-1] + 3.0 if duration_s is None else duration_s
    facts = ModelFacts(("song", "call"), False, 32_000, 3.0, threshold, False)
    prediction = FilePrediction(starts_s, probabilities, probabilities.mean(0), is_silent, duration_s)
    return StoredPrediction("koolmees", facts, prediction)


def rows(stored, **options):
    found = segment_rows(Path("/a.wav"), KOOLMEES, stored, "m", RowOptions(**options))
    return [(row.start_s, row.end_s, row.vocalization_type, row.type_confidence) for row in found]


def test_each_segment_is_a_row_that_ends_with_the_recording():
    assert rows(make([0.75, 0.25], duration_s=5.0)) == [(0, 3, "song", 0.75), (3, 5.0, "call", 0.75)]
    assert rows(make([0.75], duration_s=1.2)) == [(0, 1.2, "song", 0.75)]


def test_silence_is_a_row_of_its_own_without_a_prediction():
    assert rows(make([0.75, 0.5], silent=[1])) == [(0, 3, "song", 0.75), (3, 6, "silent", None)]
    assert rows(make([0.75, 0.5], silent=[1]), min_confidence=0.01) == [(0, 3, "song", 0.75)]
    row = recording_row(Path("/a.wav"), KOOLMEES, make([0.5], silent=[0]), "m", RowOptions())
    assert (row.vocalization_type, row.uncertain) == ("silent", None)


def test_uncertain_rows_are_kept_dropped_or_marked():
    stored = make([0.75, 0.5625])
    assert [row[2] for row in rows(stored)] == ["song", "song"]
    assert [row[2] for row in rows(stored, uncertain="drop")] == ["song"]
    assert [row[2] for row in rows(stored, uncertain="mark")] == ["song", "uncertain"]
    assert rows(make([0.75], threshold=None), uncertain="drop") == []  # no threshold: every prediction is uncertain


def test_consecutive_segments_of_a_type_are_merged_with_the_mean_probability():
    stored = make([0.75, 0.875, 0.25, 0.75], hop_s=1.5)
    assert rows(stored, merge=True) == [(0, 4.5, "song", 0.8125), (3, 6, "call", 0.75), (4.5, 7.5, "song", 0.75)]


def test_a_segment_that_was_filtered_separates_what_is_merged():
    assert rows(make([0.75, 0.5625, 0.75]), merge=True, min_confidence=0.6) == [
        (0, 3, "song", 0.75),
        (6, 9, "song", 0.75),
    ]


def test_the_most_probable_rows_stay_in_the_order_of_time():
    assert [row[0] for row in rows(make([0.75, 0.5, 0.875, 0.625]), top=2)] == [0, 6]


def test_words_and_names_are_dutch_where_asked():
    options = RowOptions(language="nl")
    assert options.common_name(KOOLMEES) == "Koolmees" and options.word("call") == "roep"


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        ((0.0, 3.0), 1.0),  # one segment
        ((2.0, 5.0), 1 / 3),  # a second of the first, two of the second
        ((4.0, 4.0), 0.0),  # a moment
        ((3.0, 3.0), 0.0),  # the first moment of a segment
        ((0.0, 60.0), 0.5),  # longer than the recording
    ],
)
def test_a_window_gets_the_mean_of_its_segments_weighted_by_overlap(window, expected):
    row = window_row(Row("a", *window, KOOLMEES, ""), *window, make([1.0, 0.0]), RowOptions())
    assert row.probabilities["song"] == pytest.approx(expected)


def test_overlapping_segments_are_weighted_too():
    stored = make([1.0, 0.0, 1.0], hop_s=1.5)  # 0-3, 1.5-4.5, 3-6
    row = window_row(Row("a", 0, 3, KOOLMEES, ""), 0, 3, stored, RowOptions())
    assert row.probabilities["song"] == pytest.approx(3 / 4.5)


def test_a_window_outside_of_the_recording_has_no_audio_and_one_in_silence_is_silent():
    row = Row("a", 0, 3, KOOLMEES, "", confidence=0.9)
    for window in ((70.0, 73.0), (-9.0, -6.0), (6.0, 9.0)):
        assert window_row(row, *window, make([1.0, 0.0]), RowOptions()).vocalization_type == "no audio"
    assert window_row(row, 3.0, 6.0, make([1.0, 0.0], silent=[1]), RowOptions()).vocalization_type == "silent"
    assert window_row(row, 2.0, 5.0, make([1.0, 0.0], silent=[1]), RowOptions()).probabilities["song"] == 1.0


def test_a_window_in_the_rest_after_the_last_segment_gets_the_last_segment():
    stored = make([1.0, 0.0], duration_s=8.0)  # segments end at 6 s
    assert window_row(Row("a", 6.5, 8, KOOLMEES, ""), 6.5, 8.0, stored, RowOptions()).probabilities["song"] == 0.0


def test_a_detection_without_times_gets_the_middle_of_the_clip():
    stored = make([1.0, 0.0, 1.0], hop_s=1.5)  # a clip of 6 s: the middle is 1.5-4.5
    row = window_row(Row("a", 0, 0, KOOLMEES, ""), None, None, stored, RowOptions())
    assert row.probabilities["song"] == pytest.approx(0.5)  # 1.5 s of the first, 3 of the second, 1.5 of the third


def test_the_confidence_of_the_recogniser_stays():
    row = window_row(Row("a", 0, 3, KOOLMEES, "", confidence=0.3), 0, 3, make([1.0]), RowOptions())
    assert (row.confidence, row.type_confidence) == (0.3, 1.0)
