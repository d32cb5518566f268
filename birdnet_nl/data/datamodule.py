"""The LightningDataModule: which recordings, how they are cut, and how batches are fed."""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import joblib
import lightning as L
import numpy as np
import torch
from torch.utils.data import DataLoader

from birdnet_nl.audio.cache import cache_mels
from birdnet_nl.audio.mel import MelParams
from birdnet_nl.audio.spectrograms import cache_spectrograms
from birdnet_nl.console import progress_bar
from birdnet_nl.data.dataset import Batch, SegmentDataset
from birdnet_nl.data.prepare import MakeMels, PreparedRecordings, prepare_recordings
from birdnet_nl.data.segments import Segment, cut_segments, limit_per_type, refuse_no_segments
from birdnet_nl.data.splits import SPLITS
from birdnet_nl.recordings.recording import VOCALIZATION_TYPES
from birdnet_nl.recordings.source import DemoSettings, choose_source, read_source
from birdnet_nl.species.table import Species

SHORTEST_SEGMENT_S = 0.2  # shorter ones leave a network nothing to pool


def _as_batch(batch: Batch) -> Batch:
    """`SegmentDataset` hands over whole batches, so there is nothing left to collate."""
    return batch


class SpeciesDataModule(L.LightningDataModule):
    """Recordings of one species as segments in batches.

    `prepare()` must come first: it finds and decodes the recordings and assigns the splits, and everything that is left
    out can be read from `self.prepared`. The splits depend on the recordings and `seed` only.

    Args:
        source, root, demo: where recordings come from (`recordings/source.py`).
        types: the vocalization types to tell apart, where the recordings suffice.
        flight_call: `call`, or `leave_out`.
        segment_s, segment_hop_s: length of a segment and distance from one to the next.
        shares: wanted share of recordings in train, val and test.
        least_recordings: a type with fewer is left out.
        max_segments_per_type: of the training split, drawn evenly over recordings; null keeps all.
        shuffle_types: a control: deals the types out at random over the recordings, so that nothing can be learned.
        batch_size, num_workers, pin_memory, persistent_workers: as of torch's DataLoader.
        decode_workers: threads that decode and compute mels; None for one per core.
    """

    def __init__(
        self,
        species: Species,
        mel: MelParams,
        source: str,
        root: str | None,
        demo: DemoSettings,
        cache_dir: str,
        types: Sequence[str],
        flight_call: str,
        segment_s: float,
        segment_hop_s: float,
        shares: dict[str, float],
        least_recordings: int,
        max_segments_per_type: int | None,
        shuffle_types: bool,
        seed: int,
        batch_size: int,
        num_workers: int,
        pin_memory: bool,
        persistent_workers: bool,
        decode_workers: int | None,
    ) -> None:
        super().__init__()
        if isinstance(types, str):
            raise ValueError(f"data.types={types} must be a list such as [song,call]")
        if segment_s < SHORTEST_SEGMENT_S:
            raise ValueError(f"data.segment_s={segment_s} must be at least {SHORTEST_SEGMENT_S} seconds")
        unknown = [name for name in types if name not in VOCALIZATION_TYPES]
        if unknown or len(set(types)) < 2:
            raise ValueError(f"data.types={list(types)} must name at least two of {', '.join(VOCALIZATION_TYPES)}")
        if not 0 < segment_hop_s <= segment_s:
            raise ValueError(
                f"data.segment_hop_s={segment_hop_s} must lie above 0 and at most data.segment_s={segment_s}"
            )
        if set(shares) != set(SPLITS) or min(shares.values()) <= 0 or abs(sum(shares.values()) - 1) > 1e-6:
            raise ValueError(f"data.shares={shares} must give train, val and test a share above 0, together 1")
        refuse_no_segments(max_segments_per_type)
        if batch_size < 1:
            raise ValueError(f"data.batch_size={batch_size} must be at least 1")
        if num_workers < 0:
            raise ValueError(f"data.num_workers={num_workers} must be 0 (load in this process) or more")
        if least_recordings < len(SPLITS):
            raise ValueError(
                f"data.least_recordings={least_recordings} must be at least {len(SPLITS)}: one for each split"
            )
        self.species, self.mel = species, mel
        self.demo, self.cache_dir = demo, Path(cache_dir)
        self.types, self.flight_call = [name for name in VOCALIZATION_TYPES if name in types], flight_call
        self.segment_s, self.segment_hop_s = segment_s, segment_hop_s
        self.shares, self.least_recordings = shares, least_recordings
        self.max_segments_per_type, self.shuffle_types, self.seed = max_segments_per_type, shuffle_types, seed
        self.batch_size, self.num_workers = batch_size, num_workers
        self.pin_memory, self.persistent_workers = pin_memory, persistent_workers
        self.decode_workers = decode_workers or joblib.cpu_count()
        self.choice = choose_source(source, root, species)
        self.prepared: PreparedRecordings | None = None
        self.datasets: dict[str, SegmentDataset] = {}

    @property
    def synthetic(self) -> bool:
        return self.choice.synthetic

    def prepare(self) -> PreparedRecordings:
        """Find, decode, split and cut; with a progress bar. Raises `DataError` when that leaves nothing to train on."""
        found = read_source(self.choice, self.species, self.demo, self.flight_call)
        with progress_bar() as bar:
            task = bar.add_task(
                "decoding and computing mels", total=sum(r.vocalization_type in self.types for r in found)
            )
            self.prepared = prepare_recordings(
                found=found,
                types=self.types,
                make_mels=self._make_mels(lambda: bar.advance(task)),
                shares=self.shares,
                least_recordings=self.least_recordings,
                seed=self.seed,
            )
        self._cut()
        return self.prepared

    def _make_mels(self, on_progress: Callable[[], None]) -> MakeMels:
        if self.choice.spectrograms:
            return partial(
                cache_spectrograms,
                params=self.mel,
                cache_dir=self.cache_dir,
                segment_s=self.segment_s,
                on_progress=on_progress,
            )
        return partial(
            cache_mels,
            params=self.mel,
            cache_dir=self.cache_dir,
            workers=self.decode_workers,
            on_progress=on_progress,
        )

    def _starts(self, frames: int) -> list[float]:
        """Start times in seconds of the segments of a recording with so many frames."""
        if self.choice.spectrograms:  # one file after the other
            per_segment = self.mel.segment_frames(self.segment_s)
            return [frame / self.mel.frames_per_s for frame in range(0, frames, per_segment)]
        return cut_segments(frames / self.mel.frames_per_s, self.segment_s, self.segment_hop_s)

    def _cut(self) -> None:
        prepared = self.prepared
        rng = np.random.default_rng(np.random.SeedSequence([self.seed, 0xC07]))
        type_of = {r.id: prepared.types.index(r.vocalization_type) for r in prepared.recordings}
        if self.shuffle_types:  # within each split, so that none loses a type
            for split in SPLITS:
                ids = [id for id in type_of if prepared.splits[id] == split]
                type_of |= dict(zip(ids, rng.permutation([type_of[id] for id in ids]).tolist(), strict=True))
        for split in SPLITS:
            segments = [
                Segment(recording.id, start_s)
                for recording in prepared.recordings
                if prepared.splits[recording.id] == split
                for start_s in self._starts(prepared.mels[recording.id].frames)
            ]
            if split == "train":
                segments = limit_per_type(segments, type_of, self.max_segments_per_type, rng)
            self.datasets[split] = SegmentDataset(segments, prepared.mels, type_of, self.mel, self.segment_s)

    def segment_counts(self) -> dict[str, Counter]:
        """Segments of each type in each split."""
        return {
            split: Counter(self.prepared.types[kind] for kind in dataset.types.tolist())
            for split, dataset in self.datasets.items()
        }

    def class_weights(self) -> torch.Tensor:
        """total / (types × count) from the training split alone, float32 [types]."""
        counts = torch.bincount(self.datasets["train"].types, minlength=len(self.prepared.types)).float()
        return counts.sum() / (len(counts) * counts.clamp(min=1))

    def train_dataloader(self) -> DataLoader:
        return self._loader("train", shuffle=True)

    def val_dataloader(self) -> DataLoader:
        return self._loader("val")

    def test_dataloader(self) -> DataLoader:
        return self._loader("test")

    def _loader(self, split: str, shuffle: bool = False) -> DataLoader:
        return DataLoader(
            self.datasets[split],
            batch_size=self.batch_size,
            shuffle=shuffle,
            generator=torch.Generator().manual_seed(self.seed),
            num_workers=self.num_workers,
            collate_fn=_as_batch,
            pin_memory=self.pin_memory and torch.cuda.is_available(),  # without a GPU there is nothing to copy to
            persistent_workers=self.persistent_workers and self.num_workers > 0,
        )
