"""Summary of a prepared DataModule: recordings and segments by split and type, class weights, metadata."""

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from birdnet_nl.audio.cache import UnusableFile
from birdnet_nl.audio.mel import MelParams
from birdnet_nl.data.crops import CropDataset
from birdnet_nl.data.dataset import SegmentDataset
from birdnet_nl.data.extra import ExtraRecordings
from birdnet_nl.data.multilabel import MultilabelRecordings
from birdnet_nl.data.prepare import PreparedRecordings
from birdnet_nl.embeddings.base import EmbeddingModel
from birdnet_nl.recordings.file_summary import FileSummary, summarize_files, type_reason
from birdnet_nl.recordings.folder import FolderContent
from birdnet_nl.recordings.recording import Recording
from birdnet_nl.recordings.type_set import TypeSet
from birdnet_nl.species.stored import store_pool
from birdnet_nl.species.table import Species
from birdnet_nl.synthetic.generator import GENERATOR


class DataSummary:
    """Base class of the DataModule, which prepares what is counted here.

    Attributes:
        multilabel: recordings of several types that are used for training.
        contents: every file in the folders of each species.
        extra: recordings of `data.extra_roots`.
        beyond_share: training recordings that `data.training_share` left out, with the reason.
        extra_weights: weight of each of them by id, where they do not weigh as much as those of the run.
        datasets: segments by split.
        crop_dataset: crops of the training split; None where segments are used.
        train_segments: segments to train on where annotations give the type of some; None without annotations.
    """

    species: Species
    mel: MelParams
    embeddings: EmbeddingModel | None
    prepared: PreparedRecordings | None
    multilabel: MultilabelRecordings
    datasets: dict[str, SegmentDataset]
    crop_dataset: CropDataset | None
    train_segments: SegmentDataset | None
    segment_s: float
    segment_hop_s: float
    shuffle_types: bool
    synthetic_recordings: int
    contents: list[FolderContent]
    types: list[str]
    type_set: TypeSet
    extra: ExtraRecordings
    beyond_share: dict[Path, str]
    extra_weights: dict[str, float]

    @property
    def all_splits(self) -> dict[str, str]:
        """Split of each recording by id; recordings of several types are for training only."""
        return self.prepared.splits | {recording.id: "train" for recording in self.multilabel.recordings}

    @property
    def unusable(self) -> list[UnusableFile]:
        """Files without a mel, and duplicates, also of recordings of several types."""
        return [*self.prepared.unusable, *self.multilabel.unusable]

    @property
    def warnings(self) -> dict[Path, str]:
        """Used files of which only a part is used, or that were changed to be used, and what."""
        return self.prepared.warnings | self.multilabel.warnings

    @property
    def training_recordings(self) -> list[Recording]:
        """Recordings in the order of the recording indices of training batches."""
        by_id = {recording.id: recording for recording in (*self.prepared.recordings, *self.multilabel.recordings)}
        dataset = self.crop_dataset or self.train_segments or self.datasets["train"]
        return [by_id[id] for id in dataset.recording_ids]

    @property
    def training_shares(self) -> torch.Tensor | None:
        """Share of each type in each training recording, float32 [recordings, types]; None where each has one type."""
        return self.crop_dataset.shares if self.crop_dataset is not None and self.multilabel.recordings else None

    @property
    def training_weights(self) -> torch.Tensor | None:
        """Relative weight of each recording of the training split, float32 [recordings]; None where all are equal."""
        if not self.extra_weights:
            return None
        return torch.tensor([self.extra_weights.get(id, 1.0) for id in self.datasets["train"].recording_ids])

    def recording_counts(self) -> dict[str, Counter]:
        """Recordings of each type that have a segment in each split."""
        type_of = {recording.id: recording.vocalization_type for recording in self.prepared.recordings}
        return {split: Counter(type_of[id] for id in dataset.recording_ids) for split, dataset in self.datasets.items()}

    def segment_counts(self) -> dict[str, Counter]:
        """Segments of each type in each split."""
        types = self.prepared.types
        return {
            split: Counter(types[index] for index in dataset.types.tolist()) for split, dataset in self.datasets.items()
        }

    def class_weights(self, of_recordings: bool = False) -> torch.Tensor:
        """total / (types × count) in the training split, float32 [types]; ones where types are drawn evenly (crops).

        Segments are counted, or with `of_recordings` recordings, by their weight.
        """
        if self.crop_dataset is not None:
            return torch.ones(len(self.prepared.types))
        train = self.datasets["train"] if of_recordings else self.train_segments or self.datasets["train"]
        items = train.types_of_recordings if of_recordings else train.types
        weights = self.training_weights if of_recordings else None
        counts = torch.bincount(items, weights, minlength=len(self.prepared.types)).float()
        return counts.sum() / (len(counts) * counts.clamp(min=1))

    def file_summary(self) -> FileSummary:
        """Counts of all files below the species' folders: used, left out with the reason, not audio."""
        used = {recording.path for recording in (*self.prepared.recordings, *self.multilabel.recordings)}
        reasons = {file.path: file.reason for file in self.unusable} | self.extra.left_out | self.beyond_share
        contents = [*self.contents, *self.extra.contents]
        for recording in (recording for content in contents for recording in content.recordings):
            if recording.path not in used:
                reasons.setdefault(recording.path, type_reason(recording, self.types, self.type_set))
        return summarize_files(contents, reasons)

    def describe_synthetic(self) -> dict[str, Any] | None:
        """Generator and number of the synthetic recordings that are used for training beside the real ones."""
        if self.embedded is None or self.embedded.synthetic is None:
            return None
        return {"generator": GENERATOR, "recordings": self.embedded.synthetic_recordings}

    def metadata(self) -> dict[str, Any]:
        """Plain values that prediction needs and that a checkpoint stores."""
        return {
            "species": asdict(self.species),
            "types": list(self.prepared.types),
            "sounds": self.type_set.as_dict(),
            "mel": asdict(self.mel),
            "segment_s": self.segment_s,
            "segment_hop_s": self.segment_hop_s,
            "synthetic": self.synthetic,
            "pool": self.pool,
            "pool_species": store_pool(self.choices if self.pool else None),
            "shuffled_types": self.shuffle_types,
            "data_fingerprint": self.prepared.fingerprint,
            "embeddings": self.embeddings.describe() if self.embeddings else None,
            "embedding_state": self.embeddings.state() if self.embeddings else None,
        }
