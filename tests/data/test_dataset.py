"""A segment is a view into the mel of its recording; a batch is its items."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from birdnet_nl.audio.cache import CachedMel
from birdnet_nl.data.dataset import SegmentDataset, activity_of_segments
from birdnet_nl.data.segments import Segment
from birdnet_nl.util.errors import DataError

SEGMENT_S = 0.5
FRAMES = 32  # of half a second with `small_mel`


@pytest.fixture
def mels(tmp_path):
    """Three mels of random values: 100 frames, 33 frames, and 10 frames, which is shorter than a segment."""
    rng = np.random.default_rng(0)
    cached = {}
    for id, frames in {"XC1": 100, "XC2": 33, "XC3": 10}.items():
        np.save(tmp_path / f"{id}.npy", rng.uniform(-90, 0, (16, frames)).astype(np.float16))
        cached[id] = CachedMel(tmp_path / f"{id}.npy", frames, id)
    return cached


@pytest.fixture
def dataset(mels, small_mel):
    segments = [
        Segment("XC1", 0.0),
        Segment("XC1", 0.25),
        Segment("XC1", 1.0),
        Segment("XC2", 0.0),
        Segment("XC3", 0.0),
    ]
    return SegmentDataset(segments, mels, {"XC1": 0, "XC2": 1, "XC3": 2}, small_mel, SEGMENT_S)


def test_segments_are_slices_of_the_whole_mel(dataset, mels, small_mel):
    assert small_mel.segment_frames(SEGMENT_S) == FRAMES and small_mel.frames_per_s == 62.5
    whole = np.load(mels["XC1"].path)
    for index, start in ((0, 0), (1, 16), (2, 62)):  # 0.25 s is frame 15.6, 1.0 s frame 62.5
        np.testing.assert_array_equal(dataset[index][0].numpy(), whole[:, start : start + FRAMES])
    np.testing.assert_array_equal(dataset[3][0].numpy(), np.load(mels["XC2"].path)[:, :FRAMES])


def test_a_short_recording_is_padded_with_silence(dataset, mels, small_mel):
    mel = dataset[4][0].numpy()
    np.testing.assert_array_equal(mel[:, :10], np.load(mels["XC3"].path))
    assert mel.shape == (16, FRAMES) and (mel[:, 10:] == np.float16(small_mel.padding_db)).all()
    assert small_mel.padding_db == -100


def test_types_and_recordings_belong_to_the_segments(dataset):
    assert dataset.recording_ids == ["XC1", "XC2", "XC3"]
    assert [int(dataset[index][1]) for index in range(5)] == [0, 0, 0, 1, 2]
    assert [int(dataset[index][2]) for index in range(5)] == [0, 0, 0, 1, 2]
    assert len(dataset) == 5


def test_a_batch_is_its_items_in_the_order_asked(dataset):
    order = [4, 0, 2, 2, 3]
    mel, types, recordings = dataset.__getitems__(order)
    assert mel.dtype == torch.float16 and types.dtype == recordings.dtype == torch.int64
    assert mel.shape == (5, 16, FRAMES)
    for row, index in enumerate(order):
        item = dataset[index]
        assert torch.equal(mel[row], item[0])
        assert (types[row], recordings[row]) == (item[1], item[2])


def test_a_batch_can_be_changed_without_touching_the_cache(dataset, mels):
    before = mels["XC1"].path.read_bytes()
    dataset.__getitems__([0, 1])[0].zero_()
    assert mels["XC1"].path.read_bytes() == before
    assert dataset[0][0].abs().sum() > 0


def test_a_loader_asks_for_whole_batches(dataset, monkeypatch):
    asked = []
    whole = SegmentDataset.__getitems__
    monkeypatch.setattr(
        SegmentDataset, "__getitems__", lambda self, indices: asked.append(list(indices)) or whole(self, indices)
    )
    batches = list(DataLoader(dataset, batch_size=3, collate_fn=lambda batch: batch))
    assert asked == [[0, 1, 2], [3, 4]]
    assert [len(batch[1]) for batch in batches] == [3, 2]


def test_only_segments_with_a_loud_sound_are_active(tmp_path, small_mel):
    rng = np.random.default_rng(0)
    mels = {}
    for id, frames in (("XC1", 128), ("XC2", 128), ("XC3", 20)):
        mel = rng.normal(-60, 1, (small_mel.n_mels, frames)).astype(np.float16)
        if id == "XC2":
            mel[:, 64:96] += 30
        np.save(tmp_path / f"{id}.npy", mel)
        mels[id] = CachedMel(tmp_path / f"{id}.npy", frames, id)
    start_frames = {"XC2": (0, 32, 64, 96), "XC1": (0, 32), "XC3": (0,)}
    segments = [Segment(id, start / small_mel.frames_per_s) for id, starts in start_frames.items() for start in starts]
    dataset = SegmentDataset(segments, mels, dict.fromkeys(mels, 0), small_mel, SEGMENT_S)
    activity = activity_of_segments(dataset, mels, small_mel)
    assert activity.dtype == torch.float32 and activity.shape == (7,)
    assert activity[2] > 15 and (activity[[0, 3, 4, 5, 6]] < 1).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_damaged_mel_is_named_with_its_recording(mels, dataset, value):
    mel = np.load(mels["XC2"].path)
    mel[3, 5] = value
    path = mels["XC2"].path.with_name("damaged.npy")  # mapped files are kept open
    np.save(path, mel)
    dataset.paths[1] = path
    assert len(dataset.__getitems__([0, 1, 2, 4])[0]) == 4
    with pytest.raises(DataError, match=r"recording XC2 cannot be used: its cached mel .*damaged\.npy has values"):
        dataset.__getitems__([0, 3, 4])
