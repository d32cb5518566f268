"""Random crops for training: drawn evenly over types and recordings, with a preference for active stretches."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import MappingProxyType

import joblib
import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from birdnet_nl.audio.activity import activity_of, window_activity
from birdnet_nl.audio.cache import CachedMel
from birdnet_nl.audio.mel import MelParams
from birdnet_nl.audio.threads import single_threaded_torch
from birdnet_nl.data.dataset import Batch, check_mels, gather_mels

Place = tuple[int, int]  # index of a recording, first frame
MULTILABEL = -1  # type index of a recording of several types


@dataclass(frozen=True)
class CropParams:
    """Parameters of the random crops.

    Attributes:
        enabled: train on crops; otherwise on the fixed segments.
        per_epoch: crops per epoch.
        batch_size: crops per batch.
        choices: crops drawn from a recording to take the most active one from, …
        active_share: … in this share of the draws; otherwise the first is taken, so that quiet stretches occur too.
        multilabel_share: share of multi-label recordings among the recordings drawn; 0 leaves them out.
    """

    enabled: bool
    per_epoch: int
    batch_size: int
    choices: int
    active_share: float
    multilabel_share: float

    def __post_init__(self) -> None:
        if not isinstance(self.enabled, bool):
            raise ValueError(f"data.crops.enabled={self.enabled} must be true or false")
        for name in ("per_epoch", "batch_size", "choices"):
            if getattr(self, name) < 1:
                raise ValueError(f"data.crops.{name}={getattr(self, name)} must be at least 1")
        for name in ("active_share", "multilabel_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"data.crops.{name}={getattr(self, name)} must be between 0 and 1")
        if self.multilabel_share == 1:
            raise ValueError("data.crops.multilabel_share=1 leaves no recording of one type; choose less, such as 0.2")


def training_shares(
    types: Sequence[str], type_of: Mapping[str, int], multilabel: Mapping[str, Sequence[str]]
) -> dict[str, list[float]]:
    """Return the share of each of `types` in every training recording, by id.

    `type_of` gives the index in `types` of recordings of one type, `multilabel` the type names of the others.
    """
    names_of = {id: [types[index]] for id, index in type_of.items()} | dict(multilabel)
    return {id: [(name in names) / len(names) for name in types] for id, names in names_of.items()}


class CropDataset(Dataset):
    """Crops of whole recordings by place; batches have the format of `SegmentDataset`.

    Attributes:
        types: type index of each recording, `MULTILABEL` for several types, int64 [recordings].
        shares: share of each type in each recording, float32 [recordings, types].
        weights: of each recording in the draws, above 0 and at most 1, float32 [recordings].
        activity: mean activity of every possible crop, float32 [first frames] for each recording; see
            `audio/activity.py`.
        window_types: type of every possible crop, int64 [first frames], by index of an annotated recording; crops
            without a type are not drawn.
    """

    def __init__(
        self,
        recording_ids: Sequence[str],
        mels: dict[str, CachedMel],
        shares: Mapping[str, Sequence[float]],
        params: MelParams,
        segment_s: float,
        window_types: Mapping[str, np.ndarray] | None = None,
        weights: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        self.recording_ids = list(recording_ids)
        self.weights = np.array([weights.get(id, 1.0) for id in recording_ids], dtype=np.float32)
        self.shares = torch.tensor([list(shares[id]) for id in recording_ids], dtype=torch.float32)
        max_share, indices = self.shares.max(dim=1)
        self.types = torch.where(max_share == 1, indices, MULTILABEL)
        self.paths = [mels[id].path for id in recording_ids]
        self.shape = (params.n_mels, params.segment_frames(segment_s))
        self.padding_db = params.padding_db
        with single_threaded_torch(), ThreadPoolExecutor(joblib.cpu_count(), thread_name_prefix="activity") as pool:
            frames = self.shape[1]
            windows = pool.map(lambda id: window_activity(activity_of(mels[id], params), frames), recording_ids)
            self.activity = list(windows)
        self.window_types: dict[int, np.ndarray] = {
            index: window_types[id] for index, id in enumerate(recording_ids) if id in (window_types or {})
        }

    def __getitems__(self, places: list[Place]) -> Batch:
        recordings, starts, types = self.places(places)
        paths = [self.paths[recording] for recording in recordings.tolist()]
        mel_db = gather_mels(paths, starts.tolist(), self.shape, self.padding_db)
        check_mels(mel_db, recordings, self)
        return mel_db, types, recordings

    def places(self, places: list[Place]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return recording, first frame and type of crops, each int64 [places]."""
        recordings, starts = torch.tensor(list(zip(*places, strict=True)), dtype=torch.int64)
        types = self.types[recordings]
        for row, (recording, start) in enumerate(places):
            if recording in self.window_types:
                types[row] = int(self.window_types[recording][start])
        return recordings, starts, types


class CropSampler(Sampler[list[Place]]):
    """Batches of places, all of `batch_size`; a function of seed and epoch.

    Each type is drawn equally often, and within it each recording, whatever their length; one of a smaller weight in
    that share of the passes over its type.
    """

    def __init__(self, dataset: CropDataset, params: CropParams, batch_size: int, seed: int) -> None:
        self.activity, self.weights = dataset.activity, dataset.weights
        types, self.window_types = dataset.types.numpy(), dataset.window_types
        whole = np.array([index not in self.window_types for index in range(len(types))])
        found = {index: np.unique(windows) for index, windows in self.window_types.items()}
        in_use = np.unique(np.concatenate([types[whole], *found.values()]))
        self.type_indices = [int(index) for index in in_use if index != MULTILABEL]
        self.of_type = [
            np.array([at for at in range(len(types)) if index in found.get(at, types[at : at + 1])])
            for index in self.type_indices
        ]
        self.multilabel = np.flatnonzero((types == MULTILABEL) & whole)
        self.params, self.batch_size, self.seed = params, batch_size, seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch; Lightning calls this, so that a resumed training draws the same crops."""
        self.epoch = epoch

    def __len__(self) -> int:
        return max(1, round(self.params.per_epoch / self.batch_size))

    def __iter__(self) -> Iterator[list[Place]]:
        rng = np.random.default_rng(np.random.SeedSequence([self.seed, 0xC809, self.epoch]))
        count = len(self) * self.batch_size
        multilabel = round(count * self.params.multilabel_share) if len(self.multilabel) else 0
        types = np.concatenate([np.arange(count - multilabel) % len(self.of_type), np.full(multilabel, MULTILABEL)])
        of_types = (*self.of_type, self.multilabel)  # MULTILABEL is the last
        queues = [_cycle(recordings, self.weights[recordings], rng) for recordings in of_types]
        order = rng.permutation(types)
        recordings = [next(queues[index]) for index in order]
        places = [
            self._draw_place(recording, self.type_indices[index], rng)
            for recording, index in zip(recordings, order, strict=True)
        ]
        for start in range(0, count, self.batch_size):
            yield places[start : start + self.batch_size]

    def _draw_place(self, recording: int, type_index: int, rng: np.random.Generator) -> Place:
        activity = self.activity[recording]
        if recording in self.window_types:
            possible = np.flatnonzero(self.window_types[recording] == type_index)
            starts = possible[rng.integers(len(possible), size=self.params.choices)]
        else:
            starts = rng.integers(len(activity), size=self.params.choices)
        most_active = rng.random() < self.params.active_share
        return recording, int(starts[activity[starts].argmax()] if most_active else starts[0])


def _cycle(recordings: np.ndarray, weights: np.ndarray, rng: np.random.Generator) -> Iterator[int]:
    """Yield every recording once in random order, then again in another order, without end.

    A recording of a weight below 1 takes part in that share of the passes.
    """
    while True:
        chosen = recordings if (weights == 1).all() else recordings[rng.random(len(weights)) < weights]
        yield from rng.permutation(chosen).tolist()
