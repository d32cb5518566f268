"""Training on crops drawn anew each epoch instead of fixed segments: types and recordings evenly, loud ones first."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from birdnet_nl.audio.cache import CachedMel
from birdnet_nl.audio.mel import MelParams
from birdnet_nl.data.dataset import Batch, gather_mels

Place = tuple[int, int]  # index of a recording, first frame


@dataclass(frozen=True)
class CropSettings:
    """How crops are drawn.

    Attributes:
        per_epoch: crops in an epoch.
        choices: a crop is the loudest of so many drawn from its recording, …
        loud_share: … in this share of the draws; otherwise the first, so that quiet stretches are seen too.
    """

    per_epoch: int
    choices: int
    loud_share: float

    def __post_init__(self) -> None:
        if self.per_epoch < 1:
            raise ValueError(f"data.crops.per_epoch={self.per_epoch} must be at least 1")
        if self.choices < 1:
            raise ValueError(f"data.crops.choices={self.choices} must be at least 1 (no choice)")
        if not 0 <= self.loud_share <= 1:
            raise ValueError(f"data.crops.loud_share={self.loud_share} must lie between 0 and 1")


class CropDataset(Dataset):
    """Crops of whole recordings by place; a batch is the same as that of `SegmentDataset`.

    Attributes:
        types: of each recording, int64 [recordings].
        loudness: of every possible crop of each recording, see `crop_loudness`.
    """

    def __init__(
        self,
        recording_ids: Sequence[str],
        mels: dict[str, CachedMel],
        type_of: dict[str, int],
        params: MelParams,
        segment_s: float,
    ) -> None:
        self.recording_ids = list(recording_ids)
        self.types = torch.tensor([type_of[id] for id in recording_ids], dtype=torch.int64)
        self.paths = [mels[id].path for id in recording_ids]
        self.shape = (params.n_mels, params.segment_frames(segment_s))
        self.padding_db = params.padding_db
        self.loudness = [crop_loudness(mels[id].load(), self.shape[1]) for id in recording_ids]

    def __getitems__(self, places: list[Place]) -> Batch:
        recordings, starts, types = self.places(places)
        paths = [self.paths[recording] for recording in recordings.tolist()]
        return gather_mels(paths, starts.tolist(), self.shape, self.padding_db), types, recordings

    def places(self, places: list[Place]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Recording, first frame and type of crops, each int64 [places]."""
        recordings, starts = torch.tensor(list(zip(*places, strict=True)), dtype=torch.int64)
        return recordings, starts, self.types[recordings]


def crop_loudness(mel_db: np.ndarray, frames: int) -> np.ndarray:
    """Mean excess in dB over each band's median, of a crop of `frames` at each start: [mels, all] -> [starts].

    A recording shorter than a crop has one start.
    """
    mel_db = np.asarray(mel_db, dtype=np.float32)
    excess = np.maximum(mel_db - np.median(mel_db, axis=1, keepdims=True), 0).mean(axis=0)
    sums = np.concatenate([[0.0], np.cumsum(excess, dtype=np.float64)])
    starts = max(1, len(excess) - frames + 1)
    ends = np.minimum(np.arange(starts) + frames, len(excess))
    return ((sums[ends] - sums[:starts]) / frames).astype(np.float32)


class CropSampler(Sampler[list[Place]]):
    """Batches of places, other ones each epoch, the same for the same seed; whole batches only.

    Each type is drawn equally often, within it each recording, whatever their length.
    """

    def __init__(self, dataset: CropDataset, settings: CropSettings, batch_size: int, seed: int) -> None:
        self.loudness = dataset.loudness
        self.of_type = [np.flatnonzero(dataset.types.numpy() == kind) for kind in dataset.types.unique().tolist()]
        self.settings, self.batch_size, self.seed = settings, batch_size, seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning, so that a resumed training draws what it would have drawn."""
        self.epoch = epoch

    def __len__(self) -> int:
        return max(1, round(self.settings.per_epoch / self.batch_size))

    def __iter__(self) -> Iterator[list[Place]]:
        rng = np.random.default_rng(np.random.SeedSequence([self.seed, 0xC809, self.epoch]))
        count = len(self) * self.batch_size
        kinds = rng.permutation(np.arange(count) % len(self.of_type))
        queues = [_endlessly(recordings, rng) for recordings in self.of_type]
        places = [self._place(next(queues[kind]), rng) for kind in kinds]
        for start in range(0, count, self.batch_size):
            yield places[start : start + self.batch_size]

    def _place(self, recording: int, rng: np.random.Generator) -> Place:
        loudness = self.loudness[recording]
        starts = rng.integers(len(loudness), size=self.settings.choices)
        loud = rng.random() < self.settings.loud_share
        return recording, int(starts[loudness[starts].argmax()] if loud else starts[0])


def _endlessly(recordings: np.ndarray, rng: np.random.Generator) -> Iterator[int]:
    """Every recording once in random order, then again."""
    while True:
        yield from rng.permutation(recordings).tolist()
