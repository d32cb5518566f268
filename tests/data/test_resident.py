"""Mels held on the device give the very batches that are otherwise read from the cache."""

import numpy as np
import pytest
import torch

from birdnet_nl.audio.cache import CachedMel
from birdnet_nl.data import resident
from birdnet_nl.data.crops import CropDataset, CropParams, CropSampler, training_shares
from birdnet_nl.data.dataset import SegmentDataset
from birdnet_nl.data.loading import SegmentBatches
from birdnet_nl.data.resident import ResidentLoader, check_resident, resident_bytes, stays_on
from birdnet_nl.data.segments import Segment

CPU, GPU = torch.device("cpu"), torch.device("cuda")
TYPE_OF = {"XC1": 0, "XC2": 1, "XC3": 2}


@pytest.fixture
def mels(tmp_path, small_mel):
    rng = np.random.default_rng(0)
    cached = {}
    for id, frames in zip(TYPE_OF, (100, 33, 10), strict=True):  # the last is shorter than a segment of 32 frames
        np.save(tmp_path / f"{id}.npy", rng.uniform(-90, 0, (small_mel.n_mels, frames)).astype(np.float16))
        cached[id] = CachedMel(tmp_path / f"{id}.npy", frames, id)
    return cached


@pytest.fixture
def segments(mels, small_mel):
    places = [Segment("XC1", 0.0), Segment("XC2", 0.0), Segment("XC1", 1.0), Segment("XC3", 0.0), Segment("XC1", 1.25)]
    return SegmentDataset(places, mels, TYPE_OF, small_mel, 0.5)


@pytest.fixture
def crops(mels, small_mel):
    shares = training_shares(["song", "call", "alarm"], TYPE_OF, {})
    return CropDataset(list(TYPE_OF), mels, shares, small_mel, 0.5)


def assert_same_batches(dataset, sampler):
    batches = list(ResidentLoader(dataset, sampler, CPU))
    expected = [dataset.__getitems__(batch) for batch in sampler]
    assert len(batches) == len(expected) > 1
    for held, read in zip(batches, expected, strict=True):
        for one, other in zip(held, read, strict=True):
            assert one.dtype == other.dtype and one.is_contiguous()
            torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_segments_come_as_from_the_cache(segments):
    assert_same_batches(segments, SegmentBatches(len(segments), 2))


def test_crops_come_as_from_the_cache(crops):
    sampler = CropSampler(
        crops, CropParams(per_epoch=24, choices=2, active_share=0.5, bag=2, multilabel_share=0.0), batch_size=8, seed=3
    )
    assert_same_batches(crops, sampler)


def test_auto_holds_them_on_a_gpu_where_they_fit(segments, monkeypatch):
    free = resident_bytes(segments) / resident.SHARE_OF_FREE_MEMORY
    assert resident_bytes(segments) == 16 * (100 + 33 + 10) * 2
    for there, fits in ((free + 8, True), (free - 8, False)):
        monkeypatch.setattr(resident.torch.cuda, "mem_get_info", lambda device, there=there: (there, 1e12))
        assert stays_on(GPU, "auto", segments) is fits
    assert not stays_on(CPU, "auto", segments)
    assert stays_on(CPU, True, segments) and not stays_on(GPU, False, segments)


@pytest.mark.parametrize("wanted", ["yes", 1, None])
def test_other_values_are_refused(wanted):
    with pytest.raises(ValueError, match="must be auto"):
        check_resident(wanted)
