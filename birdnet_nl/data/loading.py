"""Data loading: batches in a known order, workers that may die, and mels held on the GPU."""

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from rich.markup import escape
from torch.utils.data import DataLoader, Dataset, Sampler

from birdnet_nl.data.crops import CropDataset
from birdnet_nl.data.dataset import Batch, SegmentDataset, damaged_mel
from birdnet_nl.data.workers import WORKER_TIMEOUT_S, WorkerBatches, WorkerError, WorkerState, lack_of_shared_memory
from birdnet_nl.util.console import warn
from birdnet_nl.util.float16 import is_finite
from birdnet_nl.util.words import counted

log = logging.getLogger(__name__)

AUTO = "auto"
FREE_MEMORY_SHARE = 0.4  # of the GPU, for one split; the rest is for the network, its activations and other splits


class SegmentBatches(Sampler[list[int]]):
    """Batches of indices 0…count-1: in order, or with `seed` shuffled each epoch, equal for equal epochs."""

    def __init__(self, count: int, batch_size: int, seed: int | None = None) -> None:
        self.count, self.batch_size, self.seed = count, batch_size, seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch; called by Lightning, so that a resumed training continues with the same order."""
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
    """Batches of one pass; a DataLoader with persistent workers keeps its sampler, so the content changes instead."""

    def __init__(self) -> None:
        self.batches: Sequence[Any] = ()

    def __iter__(self) -> Iterator[Any]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


class ResilientLoader:
    """DataLoader of whole batches that continues without workers when these cannot deliver.

    Workers die or hang where shared memory is too small (containers, a NAS) or memory runs out. That ends neither the
    pass nor the run: the remaining batches are loaded in this process, and one sentence says so. What the workers wrote
    is in the log of the run.

    Args:
        workers: shared by the loaders of a run, so that the others do not wait for workers that cannot deliver.
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_sampler: Sampler,
        num_workers: int,
        pin_memory: bool,
        persistent_workers: bool,
        workers: WorkerState | None = None,
    ) -> None:
        self.dataset, self.batch_sampler, self._num_workers = dataset, batch_sampler, num_workers
        self.pin_memory, self.persistent_workers = pin_memory, persistent_workers
        self.workers = workers or WorkerState()
        self.order = _Order()
        self._loader: DataLoader | None = None

    @property
    def num_workers(self) -> int:
        return self._num_workers if self.workers.can_deliver else 0

    def __len__(self) -> int:
        return len(self.batch_sampler)

    def __iter__(self) -> Iterator[Batch]:
        batches = list(self.batch_sampler)
        given = 0
        self._check_shared_memory(batches)
        while given < len(batches) and self.num_workers:
            self.order.batches = batches[given:]
            try:
                for batch in WorkerBatches(self._make(), self.workers):
                    yield batch
                    given += 1
            except WorkerError as failure:
                self._loader = None
                if failure.in_dataset:  # raise the error again, without the words of torch around it
                    self._load(batches[given])
                self._give_up(str(failure))
        for indices in batches[given:]:
            yield self._load(indices)

    def _check_shared_memory(self, batches: Sequence[Any]) -> None:
        """Use no workers where their first batches would not fit into the shared memory."""
        if batches and self.num_workers and self._loader is None:
            reason = lack_of_shared_memory(self.dataset.__getitems__(batches[0]), self.num_workers)
            if reason:
                self._give_up(reason)

    def _give_up(self, reason: str) -> None:
        if self.workers.can_deliver:
            workers = counted(self._num_workers, "worker")
            warn(f"loading continues in this process, without the {workers}: {escape(reason)}")
        self.workers.can_deliver = False

    def _load(self, indices: Any) -> Batch:
        batch = self.dataset.__getitems__(indices)
        return tuple(tensor.pin_memory() for tensor in batch) if self.pin_memory else batch

    def _make(self) -> DataLoader:
        if self._loader is None:
            self._loader = DataLoader(
                self.dataset,
                batch_sampler=self.order,
                generator=torch.Generator(),  # else a pass would draw a number from the generator of the run
                num_workers=self.num_workers,
                collate_fn=_identity,
                pin_memory=self.pin_memory,
                persistent_workers=self.persistent_workers,
                timeout=WORKER_TIMEOUT_S,
                worker_init_fn=self.workers.redirect_stderr,
            )
        return self._loader


def _identity(batch: Batch) -> Batch:
    return batch


def check_resident(resident: object) -> None:
    """Raise `ValueError` unless `resident` is a possible value of `data.resident`."""
    if resident != AUTO and not isinstance(resident, bool):
        raise ValueError(f"data.resident={resident} must be auto (on a GPU, where the mels fit), true or false")


def is_resident(device: torch.device, resident: str | bool, dataset: SegmentDataset | CropDataset) -> bool:
    """Whether to hold the mels of `dataset` on `device`; with `auto` on a GPU with enough free memory."""
    if resident != AUTO:
        return bool(resident)
    if device.type != "cuda":
        return False  # they are mapped into memory from the cache already
    size = resident_bytes(dataset)
    free, _ = torch.cuda.mem_get_info(device)
    if size > FREE_MEMORY_SHARE * free:
        log.info("mels of %.1f GB do not fit on the GPU beside the network; batches are copied to it", size / 1e9)
        return False
    return True


def resident_bytes(dataset: SegmentDataset | CropDataset) -> int:
    """Size in bytes of all mels of `dataset` in float16."""
    frames = sum(np.load(path, mmap_mode="r").shape[1] for path in dataset.paths)
    return dataset.shape[0] * frames * 2


class ResidentLoader:
    """Loader that holds all mels of a split on `device` and gathers batches there, equal to those of a DataLoader.

    Attributes:
        mels: all recordings one after the other, float16 [mels, all frames].
        first, frames: first frame and number of frames of each recording, int64 [recordings].
    """

    def __init__(
        self, dataset: SegmentDataset | CropDataset, batch_sampler: Sampler[list[Any]], device: torch.device
    ) -> None:
        self.dataset, self.batch_sampler, self.device = dataset, batch_sampler, device
        parts = [np.load(path, mmap_mode="r") for path in dataset.paths]
        lengths = [part.shape[1] for part in parts]
        self.frames = torch.tensor(lengths, dtype=torch.int64, device=device)
        self.first = self.frames.cumsum(0) - self.frames
        self.mels = torch.empty(dataset.shape[0], sum(lengths), dtype=torch.float16, device=device)
        for index, (part, first, length) in enumerate(zip(parts, self.first.tolist(), lengths, strict=True)):
            if not is_finite(part.astype(np.float16, copy=False)):
                raise damaged_mel(dataset.recording_ids[index], dataset.paths[index])
            self.mels[:, first : first + length] = torch.from_numpy(np.array(part))

    def __len__(self) -> int:
        return len(self.batch_sampler)

    def __iter__(self) -> Iterator[Batch]:
        for batch in self.batch_sampler:
            recordings, starts, types = (part.to(self.device, non_blocking=True) for part in self.dataset.places(batch))
            yield self.gather(recordings, starts), types, recordings

    def gather(self, recordings: torch.Tensor, starts: torch.Tensor) -> torch.Tensor:
        """Gather stretches of `recordings` [batch] from the frames `starts` [batch]: float16 [batch, mels, frames]."""
        places = starts[:, None] + torch.arange(self.dataset.shape[1], device=self.device)  # [batch, frames]
        inside = places < self.frames[recordings, None]
        index = torch.where(inside, places + self.first[recordings, None], 0)
        mels = self.mels[:, index].transpose(0, 1)  # [mels, batch, frames] -> [batch, mels, frames]
        return torch.where(inside[:, None], mels, self.dataset.padding_db).contiguous()


class Loaders:
    """Base class of the DataModule with the loaders that Lightning asks for; its attributes are set there.

    Embeddings are served with each split as one batch, crops in the order of their sampler, and segments shuffled for
    training and in order otherwise.
    """

    def train_dataloader(self) -> ResilientLoader | ResidentLoader:
        if self.embedded is not None:
            return self._ordered_loader("train")
        if self.crop_dataset is not None:
            return self._loader(self.crop_dataset, self.crop_sampler, self.num_workers)
        dataset = self.train_segments or self.datasets["train"]
        return self._loader(dataset, SegmentBatches(len(dataset), self.batch_size, self.seed), self.num_workers)

    def val_dataloader(self) -> ResilientLoader | ResidentLoader:
        return self._ordered_loader("val")

    def test_dataloader(self) -> ResilientLoader | ResidentLoader:
        return self._ordered_loader("test")

    def _ordered_loader(self, split: str) -> ResilientLoader | ResidentLoader:
        if self.embedded is not None:
            dataset = self.embedded.datasets[split]
            return self._loader(dataset, SegmentBatches(len(dataset), len(dataset)), 0)
        dataset = self.datasets[split]
        return self._loader(dataset, SegmentBatches(len(dataset), self.batch_size), self.num_workers)

    def _loader(self, dataset: Dataset, batches: Sampler, num_workers: int) -> ResilientLoader | ResidentLoader:
        device = self.trainer.strategy.root_device if self.trainer is not None else torch.device("cpu")
        if self.embedded is None and is_resident(device, self.resident, dataset):
            return ResidentLoader(dataset, batches, device)
        pin_memory = self.pin_memory and torch.cuda.is_available()  # without a GPU there is nothing to copy to
        return ResilientLoader(
            dataset,
            batches,
            num_workers,
            pin_memory,
            self.persistent_workers,
            self.__dict__.setdefault("workers", WorkerState()),
        )
