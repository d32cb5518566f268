"""What a DataModule holds once it is prepared: recordings and segments by split and type."""

from collections import Counter

import torch

from birdnet_nl.data.crops import CropDataset, CropParams
from birdnet_nl.data.dataset import SegmentDataset
from birdnet_nl.data.multilabel import MultilabelRecordings
from birdnet_nl.data.prepare import PreparedRecordings
from birdnet_nl.recordings.recording import Recording


class Inventory:
    """Base of the DataModule, which has prepared what is counted here.

    Attributes:
        several: recordings of several types that training learns from.
        datasets: segments by split.
        crops, crop_dataset: see `SpeciesDataModule`.
    """

    prepared: PreparedRecordings | None
    multilabel: MultilabelRecordings
    datasets: dict[str, SegmentDataset]
    crops: CropParams | None
    crop_dataset: CropDataset

    @property
    def all_splits(self) -> dict[str, str]:
        """By recording id; those of several types are for training alone."""
        return self.prepared.splits | {recording.id: "train" for recording in self.multilabel.recordings}

    @property
    def training_recordings(self) -> list[Recording]:
        """In the order of the recording indices of training batches."""
        by_id = {recording.id: recording for recording in (*self.prepared.recordings, *self.multilabel.recordings)}
        dataset = self.datasets["train"] if self.crops is None else self.crop_dataset
        return [by_id[id] for id in dataset.recording_ids]

    def recording_counts(self) -> dict[str, Counter]:
        """Recordings of each type with a segment in each split."""
        kind_of = {recording.id: recording.vocalization_type for recording in self.prepared.recordings}
        return {split: Counter(kind_of[id] for id in dataset.recording_ids) for split, dataset in self.datasets.items()}

    def segment_counts(self) -> dict[str, Counter]:
        """Segments of each type in each split."""
        return {
            split: Counter(self.prepared.types[kind] for kind in dataset.types.tolist())
            for split, dataset in self.datasets.items()
        }

    def class_weights(self, of_recordings: bool = False) -> torch.Tensor:
        """total / (types × count) from the training split alone, float32 [types]; ones where types are drawn evenly.

        Segments are counted, or with `of_recordings` recordings.
        """
        if self.crops is not None:
            return torch.ones(len(self.prepared.types))
        train = self.datasets["train"]
        items = train.types_of_recordings if of_recordings else train.types
        counts = torch.bincount(items, minlength=len(self.prepared.types)).float()
        return counts.sum() / (len(counts) * counts.clamp(min=1))
