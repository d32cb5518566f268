"""Where segments lie, and which are drawn when there are too many."""

import math
from collections import Counter

import numpy as np
import pytest

from birdnet_nl.data.segments import Segment, cut_segments, limit_per_type


@pytest.mark.parametrize(
    ("duration_s", "starts"),
    [
        (0.0, [0.0]),
        (0.4, [0.0]),
        (2.999, [0.0]),
        (3.0, [0.0]),
        (4.499, [0.0]),
        (4.5, [0.0, 1.5]),
        (6.0, [0.0, 1.5, 3.0]),
        (10.0, [0.0, 1.5, 3.0, 4.5, 6.0]),
    ],
)
def test_half_overlapping_segments_by_hand(duration_s, starts):
    assert cut_segments(duration_s, 3.0, 1.5) == starts


@pytest.mark.parametrize("segment_hop_s", [0.5, 1.0, 1.5, 3.0])
def test_segments_lie_inside_and_leave_less_than_one_hop_at_the_end(segment_hop_s):
    for duration_s in np.linspace(3.0, 60.0, 331):
        starts = cut_segments(duration_s, 3.0, segment_hop_s)
        assert starts == [index * segment_hop_s for index in range(len(starts))]
        assert starts[-1] + 3.0 <= duration_s + 1e-9
        assert duration_s - (starts[-1] + 3.0) < segment_hop_s


@pytest.fixture
def crowd():
    """Two types; of type 0 one recording of 100 segments and nine of 3, of type 1 five of 4."""
    lengths = {"long": 100} | {f"short{n}": 3 for n in range(9)} | {f"call{n}": 4 for n in range(5)}
    segments = [Segment(id, 1.5 * index) for id, count in lengths.items() for index in range(count)]
    return segments, {id: int(id.startswith("call")) for id in lengths}


def draw(crowd, most, seed=0):
    return limit_per_type(*crowd, most, np.random.default_rng(seed))


def test_null_keeps_all(crowd):
    assert draw(crowd, None) == crowd[0]


def test_no_type_has_more_than_the_limit_and_smaller_types_keep_all(crowd):
    _, type_of = crowd
    for most in (1, 7, 20, 50, 10_000):
        counts = Counter(type_of[segment.recording_id] for segment in draw(crowd, most))
        assert counts == {0: min(most, 127), 1: min(most, 20)}


def test_long_recordings_do_not_crowd_out_short_ones(crowd):
    for seed in range(5):
        counts = Counter(
            segment.recording_id for segment in draw(crowd, 20, seed) if "call" not in segment.recording_id
        )
        assert set(counts.values()) == {2}  # 20 from ten recordings
    counts = Counter(segment.recording_id for segment in draw(crowd, 40) if "call" not in segment.recording_id)
    assert counts == {"long": 13} | {f"short{n}": 3 for n in range(9)}  # the short ones have no more to give


def test_fewer_than_there_are_recordings_takes_one_of_each_drawn(crowd):
    kept = [segment for segment in draw(crowd, 6) if "call" not in segment.recording_id]
    assert len({segment.recording_id for segment in kept}) == 6


def test_the_order_is_kept_and_nothing_occurs_twice(crowd):
    kept = draw(crowd, 30)
    places = [crowd[0].index(segment) for segment in kept]
    assert places == sorted(set(places))


def test_the_draw_follows_the_seed(crowd):
    assert draw(crowd, 20, 1) == draw(crowd, 20, 1)
    assert draw(crowd, 20, 1) != draw(crowd, 20, 2)


def test_every_part_of_a_long_recording_can_be_drawn(crowd):
    starts = {s.start_s for seed in range(60) for s in draw(crowd, 40, seed) if s.recording_id == "long"}
    assert min(starts) < 15 and max(starts) > 135 and len(starts) > 90


@pytest.mark.parametrize("most", [0, -5])
def test_a_limit_that_leaves_nothing_is_refused(crowd, most):
    with pytest.raises(ValueError, match=rf"^data\.max_segments_per_type={most} leaves nothing to train on"):
        draw(crowd, most)


def test_the_arithmetic_has_no_rounding_surprise():
    assert all(len(cut_segments(1.5 * n, 3.0, 1.5)) == max(1, n - 1) for n in range(1, 400))
    assert math.isclose(cut_segments(600.0, 3.0, 1.5)[-1], 597.0)
