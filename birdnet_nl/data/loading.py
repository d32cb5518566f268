"""Batches for training and judging: in a known order, by as many workers as pay, and without them when they die."""

import logging
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import joblib
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from birdnet_nl.data.dataset import Batch
from birdnet_nl.util.console import warn

log = logging.getLogger(__name__)

AUTO = "auto"
MAX_TRIED_WORKERS = 2
TIMED_BATCHES = 6
WORTH_A_WORKER = 0.8  # a worker must bring the time per batch below this share: it takes a core from the training


class SegmentBatches(Sampler[list[int]]):
    """Batches of indices 0…count-1: in order, or with `seed` shuffled anew each epoch, the same for the same epoch."""

    def __init__(self, count: int, batch_size: int, seed: int | None = None) -> None:
        self.count, self.batch_size, self.seed = count, batch_size, seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning, so that a resumed training sees the order it would have seen."""
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-self.count // self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        order = np.arange(self.count)
        if self.seed is not None:
            order = np.random.default_rng(np.random.SeedSequence([self.seed, 0xBA7C, self.epoch])).permutation(order)
        for start in range(0, self.count, self.batch_size):
            yield order[start : start + self.batch_size].tolist()


class _Order(Sampler[Any]):
    """The batches of one pass; a DataLoader whose workers persist keeps its sampler, so its content changes."""

    def __init__(self) -> None:
        self.batches: Sequence[Any] = ()

    def __iter__(self) -> Iterator[Any]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


class ResilientLoader:
    """Whole batches of `dataset` in the order of `batch_sampler`, by workers as long as these live.

    A worker that dies (shared memory too small, as in containers and on a NAS; killed for want of memory) ends neither
    the pass nor the run: the rest is loaded in this process, and one sentence says so.
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_sampler: Sampler,
        num_workers: int,
        pin_memory: bool,
        persistent_workers: bool,
    ) -> None:
        self.dataset, self.batch_sampler, self.num_workers = dataset, batch_sampler, num_workers
        self.pin_memory, self.persistent_workers = pin_memory, persistent_workers
        self.order = _Order()
        self._loader: DataLoader | None = None

    def __len__(self) -> int:
        return len(self.batch_sampler)

    def __iter__(self) -> Iterator[Batch]:
        batches = list(self.batch_sampler)
        given = 0
        while given < len(batches):
            self.order.batches = batches[given:]
            try:
                iterator = iter(self._made())
                if self.num_workers:
                    _unset_death_signal()
                for batch in iterator:
                    yield batch
                    given += 1
                return
            except (RuntimeError, OSError, EOFError) as error:
                if not self.num_workers or not _is_of_a_worker(error):
                    raise
                reason = (str(error).splitlines() or [type(error).__name__])[0]
                warn(f"loading goes on in this process, without the {self.num_workers} workers: {reason}")
                self.num_workers, self._loader = 0, None

    def _made(self) -> DataLoader:
        if self._loader is None:
            self._loader = DataLoader(
                self.dataset,
                batch_sampler=self.order,
                generator=torch.Generator(),  # else a pass would draw a number from the run's own
                num_workers=self.num_workers,
                collate_fn=_as_batch,
                pin_memory=self.pin_memory,
                persistent_workers=self.persistent_workers and self.num_workers > 0,
            )
        return self._loader


def _as_batch(batch: Batch) -> Batch:
    """The datasets hand over whole batches, so there is nothing left to collate."""
    return batch


def _unset_death_signal() -> None:
    """Let the death of a worker show where its batch is waited for.

    torch's handler of SIGCHLD raises an error wherever the program happens to be, in the middle of a training step too.
    """
    handler = signal.getsignal(signal.SIGCHLD)
    if getattr(handler, "__module__", "") == "torch.utils.data._utils.signal_handling":
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def _is_of_a_worker(error: Exception) -> bool:
    """Whether a worker process died or could not hand over its batch, rather than the dataset failing by itself."""
    if isinstance(error, ConnectionError | EOFError):  # it died while it handed over a batch
        return True
    signs = ("DataLoader worker", "shared memory", "Cannot allocate memory", "No space left", "bus error", "shm")
    return any(sign in str(error) for sign in signs)


def choose_workers(make_loader: Callable[[int], ResilientLoader]) -> int:
    """The number of workers, 0 to 2 and not above the cores, that gives the first batches fastest.

    `make_loader` makes a loader with so many workers. More workers must be clearly faster to be chosen.
    """
    best, best_s = 0, _seconds_per_batch(make_loader(0))
    for workers in range(1, min(MAX_TRIED_WORKERS, joblib.cpu_count()) + 1):
        loader = make_loader(workers)
        seconds = _seconds_per_batch(loader)
        if loader.num_workers == workers and seconds < WORTH_A_WORKER * best_s:
            best, best_s = workers, seconds
    log.info("data.num_workers=auto chose %d (%.1f ms a batch)", best, 1000 * best_s)
    return best


def _seconds_per_batch(loader: ResilientLoader) -> float:
    """Median over the first batches but the very first, which also starts the workers."""
    stamps = [time.perf_counter()]
    for index, _ in enumerate(loader):
        stamps.append(time.perf_counter())
        if index == TIMED_BATCHES:
            break
    waits = np.diff(stamps)
    return float(np.median(waits[1:] if len(waits) > 1 else waits))
