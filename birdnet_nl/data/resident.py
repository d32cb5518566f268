"""All mels of a split held on the device that trains, so that no batch has to be carried there."""

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch.utils.data import Sampler

from birdnet_nl.data.crops import CropDataset
from birdnet_nl.data.dataset import Batch, SegmentDataset

log = logging.getLogger(__name__)

AUTO = "auto"
SHARE_OF_FREE_MEMORY = 0.4  # of the GPU, for one split; the rest is for the network, its activations and other splits


def check_resident(wanted: object) -> None:
    """Raise `ValueError` unless `wanted` is a possible value of `data.resident`."""
    if wanted != AUTO and not isinstance(wanted, bool):
        raise ValueError(f"data.resident={wanted} must be auto (on a GPU, where the mels fit), true or false")


def stays_on(device: torch.device, wanted: str | bool, dataset: SegmentDataset | CropDataset) -> bool:
    """Whether the mels of `dataset` are to be held on `device`; with `auto` on a GPU with enough free memory."""
    if wanted != AUTO:
        return bool(wanted)
    if device.type != "cuda":
        return False  # they lie in memory already, mapped from the cache
    size = resident_bytes(dataset)
    free, _ = torch.cuda.mem_get_info(device)
    if size > SHARE_OF_FREE_MEMORY * free:
        log.info("mels of %.1f GB do not fit on the GPU beside the network; batches are copied to it", size / 1e9)
        return False
    return True


def resident_bytes(dataset: SegmentDataset | CropDataset) -> int:
    frames = sum(np.load(path, mmap_mode="r").shape[1] for path in dataset.paths)
    return dataset.shape[0] * frames * 2  # float16


class ResidentLoader:
    """The batches of `dataset` in the order of `batch_sampler`, gathered on `device`: the same as a DataLoader's.

    Attributes:
        mels: of all recordings one after the other, float16 [mels, all frames].
        first, frames: where each recording begins there and how long it is, int64 [recordings].
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
        for part, first, length in zip(parts, self.first.tolist(), lengths, strict=True):
            self.mels[:, first : first + length] = torch.from_numpy(np.array(part))

    def __len__(self) -> int:
        return len(self.batch_sampler)

    def __iter__(self) -> Iterator[Batch]:
        for batch in self.batch_sampler:
            recordings, starts, types = (part.to(self.device, non_blocking=True) for part in self.dataset.places(batch))
            yield self.gather(recordings, starts), types, recordings

    def gather(self, recordings: torch.Tensor, starts: torch.Tensor) -> torch.Tensor:
        """Stretches from frame `starts` [batch] of `recordings` [batch] on: float16 [batch, mels, frames] in dB."""
        places = starts[:, None] + torch.arange(self.dataset.shape[1], device=self.device)  # [batch, frames]
        inside = places < self.frames[recordings, None]
        index = torch.where(inside, places + self.first[recordings, None], 0)
        mels = self.mels[:, index].transpose(0, 1)  # [mels, batch, frames] -> [batch, mels, frames]
        return torch.where(inside[:, None], mels, self.dataset.padding_db).contiguous()
