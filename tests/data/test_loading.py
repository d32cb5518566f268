"""Data loading: batches in a known order, complete when a worker dies, and equal when held on the device."""

import errno
import os
import signal
import time
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from birdnet_nl.audio.cache import CachedMel
from birdnet_nl.data import loading
from birdnet_nl.data import workers as workers_module
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
from birdnet_nl.data.workers import WorkerState
from birdnet_nl.util.errors import DataError

CPU, GPU = torch.device("cpu"), torch.device("cuda")
TYPE_OF = {"XC1": 0, "XC2": 1, "XC3": 2}


class Numbers(Dataset):
    """Returns its indices; `deadly` ends the worker that loads it, and `slow` makes it sleep.

    `fault` is called in the worker that loads 13.
    """

    def __init__(
        self,
        deadly: int | None = None,
        error: Exception | None = None,
        slow: int | None = None,
        fault: Callable[[], None] | None = None,
    ) -> None:
        self.deadly, self.error, self.slow, self.fault, self.parent = deadly, error, slow, fault, os.getpid()

    def __getitems__(self, indices: list[int]) -> torch.Tensor:
        if self.deadly in indices and os.getpid() != self.parent:
            os._exit(1)
        if self.slow in indices and os.getpid() != self.parent:
            time.sleep(30)
        if self.fault is not None and 13 in indices and os.getpid() != self.parent:
            self.fault()
        if self.error is not None:
            raise self.error
        return torch.tensor(indices)


@pytest.fixture
def short_timeout(monkeypatch):
    """Workers are given up after half a second without a batch."""
    monkeypatch.setattr(loading, "WORKER_TIMEOUT_S", 0.5)
    monkeypatch.setattr(workers_module, "WORKER_TIMEOUT_S", 0.5)
    monkeypatch.setattr(workers_module, "GRACE_S", 0.5)


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
    assert "loading continues in this process, without the 1 worker" in capsys.readouterr().err.replace("\n", " ")


def no_shared_memory() -> None:
    """Fail as torch does while it hands over a batch, in a thread of its own."""
    from multiprocessing.reduction import ForkingPickler

    def dumps(batch):
        raise RuntimeError("unable to write to file </torch_1_2_3>: No space left on device (28)")

    ForkingPickler.dumps = dumps


def half_a_batch() -> None:
    """Die while a batch is handed over: a length is in the pipe, and the rest never comes."""
    import gc
    from multiprocessing.connection import Connection

    for connection in (found for found in gc.get_objects() if isinstance(found, Connection)):
        if connection.writable and not connection.readable:
            os.write(connection.fileno(), b"\x00\x00\x10\x00")
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize(
    "fault",
    [
        lambda: os.kill(os.getpid(), signal.SIGKILL),
        lambda: os.kill(os.getpid(), signal.SIGBUS),
        lambda: os.kill(os.getpid(), signal.SIGSTOP),
        no_shared_memory,
        half_a_batch,
    ],
    ids=["killed", "bus error", "stopped", "no shared memory", "half a batch"],
)
@pytest.mark.parametrize("persistent", [False, True])
def test_workers_that_fail_in_any_way_cost_no_batch_and_one_sentence(fault, persistent, short_timeout, capfd):
    failing = loader(Numbers(fault=fault), 2, persistent=persistent)
    started = time.monotonic()
    assert numbers(failing) == numbers(loader(Numbers()))
    assert time.monotonic() - started < 5
    screen = capfd.readouterr().err.replace("\n", " ")
    assert screen.strip().startswith("loading continues in this process, without the 2 workers: "), screen
    assert "Traceback" not in screen and "ERROR" not in screen
    assert numbers(failing) == numbers(loader(Numbers()))  # and the next epoch


def test_workers_that_cannot_be_started_are_done_without(monkeypatch, capfd):
    def start(self):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("multiprocessing.synchronize.SemLock.__init__", start)
    monkeypatch.setattr("multiprocessing.context.ForkContext.Queue", start, raising=False)
    monkeypatch.setattr("multiprocessing.context.DefaultContext.Queue", start, raising=False)
    assert numbers(loader(Numbers(), 2)) == numbers(loader(Numbers()))
    screen = capfd.readouterr().err
    assert screen.count("loading continues in this process") == 1 and "Traceback" not in screen, screen


def test_workers_are_not_started_where_their_batches_do_not_fit_into_shared_memory(monkeypatch, capfd):
    monkeypatch.setattr(workers_module.os, "statvfs", lambda path: SimpleNamespace(f_bavail=1, f_frsize=100))
    monkeypatch.setattr(loading, "DataLoader", None)
    assert numbers(loader(Numbers(), 2)) == numbers(loader(Numbers()))
    assert "/dev/shm has 0 MB free and they need 0 MB (docker run --shm-size=1g" in capfd.readouterr().err


def test_other_loaders_do_not_wait_for_workers_that_failed(short_timeout, capfd):
    state = WorkerState()
    first, second = (
        ResilientLoader(Numbers(deadly=13), SegmentBatches(23, 4), 1, False, False, state) for _ in range(2)
    )
    assert numbers(first) == numbers(second)
    assert (first.num_workers, second.num_workers) == (0, 0)
    assert capfd.readouterr().err.count("loading continues") == 1


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_of_ours_in_a_worker_is_the_same_sentence(workers, capfd):
    with pytest.raises(DataError, match=r"^recording XC1 cannot be used$"):
        numbers(loader(Numbers(error=DataError("recording XC1 cannot be used")), workers))
    assert not capfd.readouterr().err


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
