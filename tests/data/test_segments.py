"""Segments: start times, the limit per type, and the segments of each split."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from birdnet_nl.audio.cache import CachedMel
from birdnet_nl.data.prepare import PreparedRecordings
from birdnet_nl.data.segments import CutSegments, Segment, cut_segments, cut_splits, limit_per_type
from birdnet_nl.recordings.recording import Recording

SHARES = {"train": 0.6, "val": 0.2, "test": 0.2}
TYPES = ["song", "call"]


@pytest.mark.parametrize(
    ("duration_s", "starts"),
    [
        (0.0, [0.0]), (2.999, [0.0]), (3.0, [0.0]), (4.499, [0.0]), (4.5, [0.0, 1.5]), (6.0, [0.0, 1.5, 3.0]),
        (10.0, [0.0, 1.5, 3.0, 4.5, 6.0]),
    ],
)  # fmt: skip
def test_segments_overlap_by_half(duration_s, starts):
    assert cut_segments(duration_s, 3.0, 1.5) == starts


@pytest.mark.parametrize("segment_hop_s", [0.5, 1.0, 1.5, 3.0])
def test_segments_cover_the_recording_except_for_less_than_one_hop(segment_hop_s):
    for duration_s in np.linspace(3.0, 60.0, 331):
        starts = cut_segments(duration_s, 3.0, segment_hop_s)
        assert starts == [index * segment_hop_s for index in range(len(starts))]
        assert -1e-9 <= duration_s - (starts[-1] + 3.0) < segment_hop_s


def test_the_number_of_segments_has_no_rounding_error():
    assert all(len(cut_segments(1.5 * n, 3.0, 1.5)) == max(1, n - 1) for n in range(1, 401))


@pytest.fixture
def crowd():
    """Segments of two types: of type 0 one recording of 100 and nine of 3, of type 1 five of 4; and the types."""
    lengths = {"long": 100} | {f"short{n}": 3 for n in range(9)} | {f"call{n}": 4 for n in range(5)}
    segments = [Segment(id, 1.5 * index) for id, count in lengths.items() for index in range(count)]
    return segments, {id: int(id.startswith("call")) for id in lengths}


def draw(crowd, max_segments, seed=0):
    return limit_per_type(*crowd, max_segments, np.random.default_rng(seed))


def songs(segments) -> Counter:
    return Counter(segment.recording_id for segment in segments if "call" not in segment.recording_id)


def test_without_a_limit_all_segments_are_kept(crowd):
    assert draw(crowd, None) == crowd[0]


@pytest.mark.parametrize("limit", [1, 7, 20, 50, 10_000])
def test_no_type_exceeds_the_limit_and_smaller_types_keep_all(crowd, limit):
    counts = Counter(crowd[1][segment.recording_id] for segment in draw(crowd, limit))
    assert counts == {0: min(limit, 127), 1: min(limit, 20)}


def test_long_recordings_do_not_crowd_out_short_ones(crowd):
    for seed in range(5):
        assert set(songs(draw(crowd, 20, seed)).values()) == {2}  # 20 segments from ten recordings
    assert songs(draw(crowd, 40)) == {"long": 13} | {f"short{n}": 3 for n in range(9)}  # all of the short ones
    assert set(songs(draw(crowd, 6)).values()) == {1}  # fewer segments than recordings


def test_drawn_segments_keep_their_order_and_follow_the_seed(crowd):
    kept = draw(crowd, 30, seed=1)
    indices = [crowd[0].index(segment) for segment in kept]
    assert indices == sorted(set(indices))
    assert kept == draw(crowd, 30, seed=1) != draw(crowd, 30, seed=2)


def test_every_part_of_a_long_recording_can_be_drawn(crowd):
    starts = {s.start_s for seed in range(60) for s in draw(crowd, 40, seed) if s.recording_id == "long"}
    assert min(starts) < 15 and max(starts) > 135 and len(starts) > 90


@pytest.fixture(scope="module")
def cut():
    """Cuts twenty recordings of ten frames with one segment per frame; the arguments change the settings."""
    recordings = [Recording(str(n), Path(f"{n}.mp3"), "merel", TYPES[n % 2], TYPES[n % 2]) for n in range(20)]
    splits = {r.id: "train" if n < 12 else "val" if n < 16 else "test" for n, r in enumerate(recordings)}
    mels = {r.id: CachedMel(Path(f"{r.id}.npy"), 10, r.id) for r in recordings}
    prepared = PreparedRecordings(recordings, TYPES, splits, mels)

    def cut(**changes) -> CutSegments:
        settings = {
            "starts_of": lambda frames: [float(n) for n in range(frames)], "shares": SHARES,
            "max_segments_per_type": None, "shuffle_types": False, "split_by": "recording", "seed": 1,
        }  # fmt: skip
        return cut_splits(prepared, **{**settings, **changes})

    return cut


def recordings_in(parts: CutSegments, split: str) -> set[str]:
    return {segment.recording_id for segment in parts.of_split[split]}


def test_split_by_recording_keeps_every_recording_in_one_split(cut):
    parts = cut()
    assert [len(parts.of_split[split]) for split in SHARES] == [120, 40, 40]
    assert sum(len(recordings_in(parts, split)) for split in SHARES) == 20


def test_split_by_segment_puts_most_recordings_in_several_splits(cut):
    parts = cut(split_by="segment")
    segments = [segment for of_split in parts.of_split.values() for segment in of_split]
    assert len(segments) == len(set(segments)) == 200
    for type_index in (0, 1):
        of_type = [sum(parts.type_of[s.recording_id] == type_index for s in parts.of_split[split]) for split in SHARES]
        assert of_type == [60, 20, 20]
    assert len(recordings_in(parts, "train") & recordings_in(parts, "test")) > 10
    assert parts == cut(split_by="segment") != cut(split_by="segment", seed=2)


@pytest.mark.parametrize("split_by", ["recording", "segment"])
def test_shuffling_permutes_the_types_of_recordings(cut, split_by):
    original, shuffled = cut(split_by=split_by), cut(split_by=split_by, shuffle_types=True)
    assert original.type_of != shuffled.type_of
    assert sorted(original.type_of.values()) == sorted(shuffled.type_of.values())
    if split_by == "recording":
        for split in SHARES:
            types = [sorted(p.type_of[id] for id in recordings_in(p, split)) for p in (original, shuffled)]
            assert types[0] == types[1]


@pytest.mark.parametrize("split_by", ["recording", "segment"])
def test_the_limit_applies_to_training_only(cut, split_by):
    of_split = cut(max_segments_per_type=7, split_by=split_by).of_split
    assert [len(segments) for segments in of_split.values()] == [14, 40, 40]
