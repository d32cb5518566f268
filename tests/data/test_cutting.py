"""Segments of each split: by recording, or dealt out at random as the original's were."""

from pathlib import Path

import pytest

from birdnet_nl.audio.cache import CachedMel
from birdnet_nl.data.cutting import CutSegments, cut_splits
from birdnet_nl.data.prepare import PreparedRecordings
from birdnet_nl.recordings.recording import Recording

SHARES = {"train": 0.6, "val": 0.2, "test": 0.2}
TYPES = ["song", "call"]


@pytest.fixture
def cut():
    """Cuts twenty recordings of ten frames each, a segment per frame, with what the arguments change."""
    recordings = [Recording(str(n), Path(f"{n}.mp3"), "merel", TYPES[n % 2], TYPES[n % 2]) for n in range(20)]
    splits = {r.id: "train" if n < 12 else "val" if n < 16 else "test" for n, r in enumerate(recordings)}
    mels = {r.id: CachedMel(Path(f"{r.id}.npy"), 10, r.id) for r in recordings}
    prepared = PreparedRecordings(recordings, TYPES, splits, mels)

    def made(**changes) -> CutSegments:
        settings = {
            "starts_of": lambda frames: [float(n) for n in range(frames)], "shares": SHARES,
            "max_segments_per_type": None, "shuffle_types": False, "split_by": "recording", "seed": 1,
        }  # fmt: skip
        return cut_splits(prepared, **{**settings, **changes})

    return made


def recordings_in(cut: CutSegments, split: str) -> set[str]:
    return {segment.recording_id for segment in cut.of_split[split]}


def test_by_recording_no_recording_is_on_two_sides(cut):
    parts = cut()
    assert [len(parts.of_split[split]) for split in SHARES] == [120, 40, 40]
    assert recordings_in(parts, "train").isdisjoint(recordings_in(parts, "val") | recordings_in(parts, "test"))


def test_by_segment_nearly_every_recording_is_on_both_sides(cut):
    parts = cut(split_by="segment")
    everything = [segment for segments in parts.of_split.values() for segment in segments]
    assert len(everything) == len(set(everything)) == 200
    for kind in (0, 1):
        of_type = [sum(parts.type_of[s.recording_id] == kind for s in parts.of_split[split]) for split in SHARES]
        assert of_type == [60, 20, 20]
    assert len(recordings_in(parts, "train") & recordings_in(parts, "test")) > 10


@pytest.mark.parametrize("split_by", ["recording", "segment"])
def test_shuffled_types_are_the_same_number_of_each(cut, split_by):
    honest, shuffled = cut(split_by=split_by), cut(split_by=split_by, shuffle_types=True)
    assert honest.type_of != shuffled.type_of
    assert sorted(honest.type_of.values()) == sorted(shuffled.type_of.values())


def test_by_recording_each_split_keeps_its_types_when_they_are_shuffled(cut):
    honest, shuffled = cut(), cut(shuffle_types=True)
    for split in SHARES:
        of = [sorted(parts.type_of[id] for id in recordings_in(parts, split)) for parts in (honest, shuffled)]
        assert of[0] == of[1]


def test_the_limit_is_of_training_alone(cut):
    for split_by in ("recording", "segment"):
        assert [len(segments) for segments in cut(max_segments_per_type=7, split_by=split_by).of_split.values()] == [
            14, 40, 40,
        ]  # fmt: skip


def test_the_seed_decides(cut):
    assert cut(split_by="segment") == cut(split_by="segment") != cut(split_by="segment", seed=2)
