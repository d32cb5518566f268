"""Training on crops drawn anew each epoch instead of fixed segments: types and recordings evenly, active ones first."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from birdnet_nl.audio.activity import activity_of, window_activity
from birdnet_nl.audio.cache import CachedMel
from birdnet_nl.audio.mel import MelParams
from birdnet_nl.data.dataset import Batch, gather_mels

Place = tuple[int, int]  # index of a recording, first frame
MULTILABEL = -1  # in place of a type


@dataclass(frozen=True)
class CropParams:
    """How crops are drawn.

    Attributes:
        per_epoch: crops in an epoch.
        choices: a crop is the most active of so many drawn from its recording, …
        active_share: … in this share of the draws; otherwise the first, so that quiet stretches are seen too.
        bag: crops drawn from a recording at once, which answer together for it (`training/bags.py`).
        several_share: of the recordings drawn are of several types (`several_types.py`); 0 leaves these out.
    """

    per_epoch: int
    choices: int
    active_share: float
    bag: int
    multilabel_share: float

    def __post_init__(self) -> None:
        for name in ("per_epoch", "choices", "bag"):
            if getattr(self, name) < 1:
                raise ValueError(f"data.crops.{name}={getattr(self, name)} must be at least 1")
        for name in ("active_share", "several_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"data.crops.{name}={getattr(self, name)} must lie between 0 and 1")
        if self.multilabel_share == 1:
            raise ValueError("data.crops.several_share=1 leaves no recording of one type; choose less, such as 0.2")


def training_shares(
    types: Sequence[str], type_of: Mapping[str, int], multilabel: Mapping[str, Sequence[str]]
) -> dict[str, list[float]]:
    """The share of each of `types` in every training recording, by id.

    `type_of` gives the place in `types` of those of one type, `multilabel` the names that the others were given.
    """
    named = {id: [types[kind]] for id, kind in type_of.items()} | dict(multilabel)
    return {id: [(name in names) / len(names) for name in types] for id, names in named.items()}


class CropDataset(Dataset):
    """Crops of whole recordings by place; a batch is the same as that of `SegmentDataset`.

    Attributes:
        types: of each recording, int64 [recordings]; `MULTILABEL` where it is of several.
        shares: of each type in each recording, float32 [recordings, types].
        activity: of every possible crop of each recording, see `audio/activity.py`.
    """

    def __init__(
        self,
        recording_ids: Sequence[str],
        mels: dict[str, CachedMel],
        shares: Mapping[str, Sequence[float]],
        params: MelParams,
        segment_s: float,
    ) -> None:
        self.recording_ids = list(recording_ids)
        self.shares = torch.tensor([list(shares[id]) for id in recording_ids], dtype=torch.float32)
        largest, kinds = self.shares.max(dim=1)
        self.types = torch.where(largest == 1, kinds, MULTILABEL)
        self.paths = [mels[id].path for id in recording_ids]
        self.shape = (params.n_mels, params.segment_frames(segment_s))
        self.padding_db = params.padding_db
        self.activity = [window_activity(activity_of(mels[id], params), self.shape[1]) for id in recording_ids]

    def __getitems__(self, places: list[Place]) -> Batch:
        recordings, starts, types = self.places(places)
        paths = [self.paths[recording] for recording in recordings.tolist()]
        return gather_mels(paths, starts.tolist(), self.shape, self.padding_db), types, recordings

    def places(self, places: list[Place]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Recording, first frame and type of crops, each int64 [places]."""
        recordings, starts = torch.tensor(list(zip(*places, strict=True)), dtype=torch.int64)
        return recordings, starts, self.types[recordings]


class CropSampler(Sampler[list[Place]]):
    """Batches of places, other ones each epoch, the same for the same seed; whole batches only.

    Each type is drawn equally often, within it each recording, whatever their length. The crops of a bag follow each
    other; a batch holds as many whole bags as `batch_size` has room for.
    """

    def __init__(self, dataset: CropDataset, settings: CropParams, batch_size: int, seed: int) -> None:
        self.activity = dataset.activity
        kinds = [kind for kind in dataset.types.unique().tolist() if kind != MULTILABEL]
        self.of_type = [np.flatnonzero(dataset.types.numpy() == kind) for kind in kinds]
        self.of_several = np.flatnonzero(dataset.types.numpy() == MULTILABEL)
        self.settings, self.batch_size, self.seed = settings, batch_size // settings.bag * settings.bag, seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning, so that a resumed training draws what it would have drawn."""
        self.epoch = epoch

    def __len__(self) -> int:
        return max(1, round(self.settings.per_epoch / self.batch_size))

    def __iter__(self) -> Iterator[list[Place]]:
        rng = np.random.default_rng(np.random.SeedSequence([self.seed, 0xC809, self.epoch]))
        count = len(self) * self.batch_size // self.settings.bag
        multilabel = round(count * self.settings.multilabel_share) if len(self.of_several) else 0
        kinds = np.concatenate([np.arange(count - multilabel) % len(self.of_type), np.full(multilabel, MULTILABEL)])
        queues = [_endlessly(recordings, rng) for recordings in (*self.of_type, self.of_several)]
        recordings = [next(queues[kind]) for kind in rng.permutation(kinds)]
        places = [self._place(recording, rng) for recording in recordings for _ in range(self.settings.bag)]
        for start in range(0, len(places), self.batch_size):
            yield places[start : start + self.batch_size]

    def _place(self, recording: int, rng: np.random.Generator) -> Place:
        activity = self.activity[recording]
        starts = rng.integers(len(activity), size=self.settings.choices)
        loud = rng.random() < self.settings.active_share
        return recording, int(starts[activity[starts].argmax()] if loud else starts[0])


def _endlessly(recordings: np.ndarray, rng: np.random.Generator) -> Iterator[int]:
    """Every recording once in random order, then again."""
    while True:
        yield from rng.permutation(recordings).tolist()
