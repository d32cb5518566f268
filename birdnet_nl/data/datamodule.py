"""The LightningDataModule: finds, splits and cuts recordings; see also `loaders.py` and `inventory.py`."""

from collections.abc import Callable, Sequence
from pathlib import Path

import joblib
import lightning as L

from birdnet_nl.audio.mel import MelParams
from birdnet_nl.data.crops import CropDataset, CropParams, CropSampler, training_shares
from birdnet_nl.data.cutting import cut_splits
from birdnet_nl.data.dataset import FeatureDataset, SegmentDataset
from birdnet_nl.data.deduplicate import assert_disjoint
from birdnet_nl.data.inherited_splits import InheritedSplits
from birdnet_nl.data.loaders import Loaders
from birdnet_nl.data.multilabel import MultilabelRecordings, find_multilabel
from birdnet_nl.data.prepare import PreparedRecordings, mel_maker, prepare_recordings
from birdnet_nl.data.resident import check_resident
from birdnet_nl.data.segments import check_max_segments, cut_segments
from birdnet_nl.data.several_features import MultilabelBatch, multilabel_batch_of
from birdnet_nl.data.sources import DemoSettings, choose_sources, read_source, with_own_ids
from birdnet_nl.data.splits import check_fold
from birdnet_nl.data.summary import Inventory
from birdnet_nl.data.validation import (
    check_batches,
    check_lengths,
    check_several_weight,
    check_shares,
    check_split_by,
    check_types,
)
from birdnet_nl.embeddings.base import EmbeddingModel
from birdnet_nl.embeddings.extraction import check_demo, check_windows, embed_recordings
from birdnet_nl.recordings.recording import VOCALIZATION_TYPES, Recording
from birdnet_nl.species.pool import pooled_species
from birdnet_nl.species.table import Species
from birdnet_nl.util.console import progress_bar


class SpeciesDataModule(Inventory, Loaders, L.LightningDataModule):
    """Recordings of one species, or of a pool of species, as segments in batches.

    `prepare()` must come first: it finds and decodes the recordings and assigns the splits, and everything that is left
    out can be read from `self.prepared`. The splits depend on the recordings and `seed` only.

    Args:
        species: the species, or what stands for the pool (`species/pool.py`).
        source, root, demo: where recordings come from (`recordings/source.py`).
        pool: the species that are trained on together, as names or as `all`; None for `species` alone.
        types: the vocalization types to tell apart, where the recordings suffice.
        flight_call: `call`, or `leave_out`.
        segment_s, segment_hop_s: length of a segment and distance from one to the next.
        shares: wanted share of recordings in train, val and test.
        min_recordings: a type with fewer is left out.
        folds, fold: cross-validation in so many parts, and which one is tested; None for a single split by `shares`.
        split_by: `recording`, or `segment` for the original's leak.
        max_segments_per_type: of the training split, drawn evenly over recordings; null keeps all.
        crops: train on crops drawn anew each epoch instead of segments; then `max_segments_per_type` says nothing.
        shuffle_types: a control: deals the types out at random over the recordings, so that nothing can be learned.
        batch_size, num_workers, pin_memory, persistent_workers: as of torch's DataLoader; `num_workers="auto"` tries
            0 to 2 on the first batches.
        resident: hold the mels on the device that trains (`data/resident.py`); `auto`, true or false.
        decode_workers: threads that decode and compute mels; None for one per core.
        features: the pretrained network whose features of the segments are served instead of their mels, the whole of
            a split as one batch; None for mels. The mels are made all the same: copies are found with them.
        features_dir: where features are kept.
        several_weight: with `features`, of a recording of several types in training, as half of each of two types,
            against one of one type; 0 leaves these out. With crops, `crops.multilabel_share` is about them.
        inherited: splits of an earlier run that this one builds on; None to split anew.
    """

    def __init__(
        self,
        species: Species,
        mel: MelParams,
        source: str,
        root: str | None,
        demo: DemoSettings,
        pool: str | Sequence[str] | None,
        cache_dir: str,
        remote_dir: str,
        types: Sequence[str],
        flight_call: str,
        segment_s: float,
        segment_hop_s: float,
        shares: dict[str, float],
        min_recordings: int,
        folds: int | None,
        fold: int | None,
        split_by: str,
        max_segments_per_type: int | None,
        crops: CropParams | None,
        shuffle_types: bool,
        seed: int,
        batch_size: int,
        num_workers: int | str,
        pin_memory: bool,
        persistent_workers: bool,
        resident: str | bool,
        decode_workers: int | None,
        features: EmbeddingModel | None,
        features_dir: str,
        multilabel_weight: float,
        inherited: InheritedSplits | None = None,
    ) -> None:
        super().__init__()
        check_types(types)
        check_lengths(segment_s, segment_hop_s)
        check_shares(shares, min_recordings)
        check_max_segments(max_segments_per_type)
        check_fold(folds, fold)
        check_split_by(split_by, folds, crops)
        check_batches(batch_size, num_workers, crops)
        check_resident(resident)
        check_several_weight(multilabel_weight)
        if features is not None:
            check_windows(features, segment_s, source)
        self.species, self.mel = species, mel
        self.demo, self.cache_dir, self.remote_dir = demo, Path(cache_dir), Path(remote_dir)
        self.features, self.features_dir, self.inherited = features, Path(features_dir), inherited
        self.types, self.flight_call = [name for name in VOCALIZATION_TYPES if name in types], flight_call
        self.segment_s, self.segment_hop_s = segment_s, segment_hop_s
        self.shares, self.min_recordings = shares, min_recordings
        self.max_segments_per_type, self.shuffle_types, self.seed = max_segments_per_type, shuffle_types, seed
        self.batch_size, self.num_workers = batch_size, num_workers
        self.pin_memory, self.persistent_workers = pin_memory, persistent_workers
        self.resident = resident
        self.decode_workers = decode_workers or joblib.cpu_count()
        self.multilabel_weight = multilabel_weight
        self.folds, self.fold, self.split_by, self.crops = folds, fold, split_by, crops
        members = [species] if pool is None else pooled_species(pool)
        self.choices = choose_sources(source, root, members, group=isinstance(pool, str))
        if features is not None:
            check_demo(features, self.synthetic)
        self.prepared: PreparedRecordings | None = None
        self.multilabel = MultilabelRecordings()
        self.datasets: dict[str, SegmentDataset] = {}
        self.feature_datasets: dict[str, FeatureDataset] = {}
        self.multilabel_batch: MultilabelBatch | None = None

    @property
    def synthetic(self) -> bool:
        return any(choice.synthetic for choice in self.choices.values())

    @property
    def pool(self) -> list[str] | None:
        """Slugs of the species trained on together, or None for a single one."""
        return [species.slug for species in self.choices] if self.species not in self.choices else None

    def prepare(self, before_features: Callable[[], None] = lambda: None) -> PreparedRecordings:
        """Find, decode, split and cut; with a progress bar. Raises `DataError` when that leaves nothing to train on.

        `before_features` is called when it is settled what may be learned from, and before any feature is extracted.
        """
        found = self._find()
        with progress_bar() as bar:
            task = bar.add_task(
                "decoding and computing mels", total=sum(r.vocalization_type in self.types for r in found)
            )
            make_mels = mel_maker(
                self._spectrograms,
                self.mel,
                self.cache_dir,
                self.segment_s,
                self.decode_workers,
                lambda: bar.advance(task),
            )
            self.prepared = prepare_recordings(
                found=found,
                types=self.types,
                make_mels=make_mels,
                mel=self.mel,
                shares=self.shares,
                min_recordings=self.min_recordings,
                seed=self.seed,
                subject=self.species.slug,
                folds=self.folds,
                fold=self.fold,
                inherited=self.inherited,
            )
            if self._learns_several:
                self.multilabel = find_multilabel(found, self.prepared, make_mels, self.mel, self.flight_call)
        self._cut()
        if self.features is not None:
            before_features()
            self._extract()
        return self.prepared

    @property
    def _learns_several(self) -> bool:
        if self.shuffle_types:  # their types would be true
            return False
        if self.features is not None:
            return self.multilabel_weight > 0
        return self.crops is not None and self.crops.multilabel_share > 0

    def _extract(self) -> None:
        mels = self.prepared.mels | self.multilabel.mels
        windows = {id: len(self._starts(mel.frames)) for id, mel in mels.items()}
        recordings = [*self.prepared.recordings, *self.multilabel.recordings]
        where = (self.features_dir, self.decode_workers)
        features = embed_recordings(recordings, mels, windows, self.features, self.segment_hop_s, *where)
        frames_per_window = self.segment_hop_s * self.mel.frames_per_s
        self.feature_datasets = {
            split: FeatureDataset(dataset, features, frames_per_window) for split, dataset in self.datasets.items()
        }
        self.multilabel_batch = multilabel_batch_of(self.multilabel, features, self.prepared.types)

    def _find(self) -> list[Recording]:
        """The recordings of every species."""
        found = [
            recording
            for species, choice in self.choices.items()
            for recording in read_source(choice, species, self.demo, self.remote_dir, self.flight_call)
        ]
        return with_own_ids(found)

    @property
    def _spectrograms(self) -> bool:
        return any(choice.spectrograms for choice in self.choices.values())

    def _starts(self, frames: int) -> list[float]:
        """Start times in seconds of the segments of a recording with so many frames."""
        if self._spectrograms:  # one file after the other
            per_segment = self.mel.segment_frames(self.segment_s)
            return [frame / self.mel.frames_per_s for frame in range(0, frames, per_segment)]
        return cut_segments(frames / self.mel.frames_per_s, self.segment_s, self.segment_hop_s)

    def _cut(self) -> None:
        prepared = self.prepared
        cut = cut_splits(
            prepared,
            self._starts,
            self.shares,
            None if self.crops else self.max_segments_per_type,
            self.shuffle_types,
            self.split_by,
            self.seed,
        )
        for split, segments in cut.of_split.items():
            self.datasets[split] = SegmentDataset(segments, prepared.mels, cut.type_of, self.mel, self.segment_s)
        if self.split_by == "recording":
            ids_of_split = {split: dataset.recording_ids for split, dataset in self.datasets.items()}
            assert_disjoint(prepared.recordings, prepared.mels, prepared.near_duplicates, ids_of_split)
        if self.crops is not None:
            ids = self.datasets["train"].recording_ids
            shares = training_shares(prepared.types, {id: cut.type_of[id] for id in ids}, self.multilabel.types)
            crops = CropDataset(list(shares), prepared.mels | self.multilabel.mels, shares, self.mel, self.segment_s)
            self.crop_sampler = CropSampler(crops, self.crops, self.batch_size, self.seed)
            self.crop_dataset = crops
