"""Data loading: batches in a known order, complete when a worker dies, and equal when held on the device."""

import os
import time

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from birdnet_nl.audio.cache import CachedMel
from birdnet_nl.data import loading
from birdnet_nl.data.crops import CropDataset, CropParams, CropSampler, training_shares
from birdnet_nl.data.dataset import SegmentDataset
from birdnet_nl.data.loading import (
    ResidentLoader,
    ResilientLoader,
    SegmentBatches,
    check_resident,
    is_resident,
    resident_bytes,
)
from birdnet_nl.data.segments import Segment

CPU, GPU = torch.device("cpu"), torch.device("cuda")
TYPE_OF = {"XC1": 0, "XC2": 1, "XC3": 2}


class Numbers(Dataset):
    """Returns its indices; `deadly` ends the worker that loads it, and `slow` makes it sleep."""

    def __init__(self, deadly: int | None = None, error: Exception | None = None, slow: int | None = None) -> None:
        self.deadly, self.error, self.slow, self.parent = deadly, error, slow, os.getpid()

    def __getitems__(self, indices: list[int]) -> torch.Tensor:
        if self.deadly in indices and os.getpid() != self.parent:
            os._exit(1)
        if self.slow in indices and os.getpid() != self.parent:
            time.sleep(30)
        if self.error is not None:
            raise self.error
        return torch.tensor(indices)


@pytest.fixture
def short_timeout(monkeypatch):
    """Workers are given up after one second without a batch."""
    monkeypatch.setattr(loading, "WORKER_TIMEOUT_S", 1.0)


def loader(dataset: Dataset, workers: int = 0, seed: int | None = None, persistent: bool = False) -> ResilientLoader:
    return ResilientLoader(
        dataset, SegmentBatches(23, 4, seed), workers, pin_memory=False, persistent_workers=persistent
    )


def numbers(batches) -> list[list[int]]:
    return [batch.tolist() for batch in batches]


def test_without_a_seed_everything_comes_in_order():
    assert numbers(loader(Numbers())) == [list(range(start, min(start + 4, 23))) for start in range(0, 23, 4)]


def test_with_a_seed_each_epoch_has_its_own_order_of_everything():
    batches = SegmentBatches(23, 4, seed=1)
    first = list(batches)
    assert sorted(index for batch in first for index in batch) == list(range(23)) and len(first) == len(batches) == 6
    batches.set_epoch(1)
    second = list(batches)
    batches.set_epoch(0)
    assert first == list(batches) != second
    assert first != list(SegmentBatches(23, 4, seed=2))


@pytest.mark.parametrize("persistent", [False, True])
def test_workers_give_the_same_batches_epoch_after_epoch(persistent):
    alone, helped = loader(Numbers(), seed=1), loader(Numbers(), 2, seed=1, persistent=persistent)
    for epoch in range(3):
        alone.batch_sampler.set_epoch(epoch)
        helped.batch_sampler.set_epoch(epoch)
        assert numbers(alone) == numbers(helped)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_worker_that_dies_costs_no_batch_and_one_sentence(workers, capsys, short_timeout):
    dying = loader(Numbers(deadly=13), workers)
    assert numbers(dying) == numbers(loader(Numbers()))
    assert dying.num_workers == 0
    assert "loading continues in this process" in capsys.readouterr().err.replace("\n", " ")
    assert numbers(dying) == numbers(loader(Numbers()))  # and the next epoch


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_of_the_data_itself_is_not_hidden(workers):
    with pytest.raises(ValueError, match="broken mel"):
        numbers(loader(Numbers(error=ValueError("broken mel")), workers))


def test_a_worker_that_delivers_nothing_is_given_up_after_the_timeout(short_timeout, capsys):
    stuck = loader(Numbers(slow=13), 1)
    assert numbers(stuck) == numbers(loader(Numbers()))
    assert "loading continues in this process, without the 1 workers" in capsys.readouterr().err.replace("\n", " ")


def test_a_worker_that_dies_during_a_training_step_does_not_interrupt_it(short_timeout):
    seen = []
    for batch in loader(Numbers(deadly=13), 1):
        deadline = time.monotonic() + 0.1
        while time.monotonic() < deadline:  # a step, in which the worker loads ahead and dies
            sum(range(1000))
        seen.append(batch.tolist())
    assert seen == numbers(loader(Numbers()))


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
    starts = [("XC1", 0.0), ("XC2", 0.0), ("XC1", 1.0), ("XC3", 0.0), ("XC1", 1.25)]
    return SegmentDataset([Segment(*start) for start in starts], mels, TYPE_OF, small_mel, 0.5)


@pytest.fixture
def crops(mels, small_mel):
    shares = training_shares(["song", "call", "alarm"], TYPE_OF, {})
    return CropDataset(list(TYPE_OF), mels, shares, small_mel, 0.5)


def assert_same_batches(dataset, sampler):
    batches = list(ResidentLoader(dataset, sampler, CPU))
    expected = [dataset.__getitems__(batch) for batch in sampler]
    assert len(batches) == len(expected) > 1
    for held, read in zip(batches, expected, strict=True):
        for tensor, reference in zip(held, read, strict=True):
            assert tensor.dtype == reference.dtype and tensor.is_contiguous()
            torch.testing.assert_close(tensor, reference, rtol=0, atol=0)


def test_resident_segments_equal_those_of_the_cache(segments):
    assert_same_batches(segments, SegmentBatches(len(segments), 2))


def test_resident_crops_equal_those_of_the_cache(crops):
    params = CropParams(enabled=True, per_epoch=24, batch_size=8, choices=2, active_share=0.5, multilabel_share=0.0)
    assert_same_batches(crops, CropSampler(crops, params, batch_size=8, seed=3))


def test_auto_holds_mels_on_a_gpu_where_they_fit(segments, monkeypatch):
    free = resident_bytes(segments) / loading.FREE_MEMORY_SHARE
    assert resident_bytes(segments) == 16 * (100 + 33 + 10) * 2
    for available, fits in ((free + 8, True), (free - 8, False)):
        monkeypatch.setattr(loading.torch.cuda, "mem_get_info", lambda device, value=available: (value, 1e12))
        assert is_resident(GPU, "auto", segments) is fits
    assert not is_resident(CPU, "auto", segments)
    assert is_resident(CPU, True, segments) and not is_resident(GPU, False, segments)


@pytest.mark.parametrize("resident", ["yes", 1, None])
def test_other_values_of_resident_are_refused(resident):
    with pytest.raises(ValueError, match="must be auto"):
        check_resident(resident)
