"""A DataModule's loaders: which dataset, in which order, by how many workers, or held on the device that trains."""

import torch
from torch.utils.data import Dataset, Sampler

from birdnet_nl.data.crops import CropDataset, CropParams, CropSampler
from birdnet_nl.data.dataset import FeatureDataset, SegmentDataset
from birdnet_nl.data.loading import AUTO, ResilientLoader, SegmentBatches, choose_workers
from birdnet_nl.data.resident import ResidentLoader, stays_on

Loader = ResilientLoader | ResidentLoader


class Loaders:
    """Base of the DataModule, whose settings and datasets it feeds from; what Lightning asks for has Lightning's names.

    Attributes:
        feature_datasets: by split; empty where mels are served.
        batch_size, seed, num_workers, pin_memory, persistent_workers, resident, crops: see `SpeciesDataModule`.
    """

    datasets: dict[str, SegmentDataset]
    feature_datasets: dict[str, FeatureDataset]
    crops: CropParams | None
    crop_dataset: CropDataset
    crop_sampler: CropSampler
    batch_size: int
    seed: int
    num_workers: int | str
    pin_memory: bool
    persistent_workers: bool
    resident: str | bool

    def train_dataloader(self) -> Loader:
        if self.feature_datasets:
            return self._judging_loader("train")
        if self.num_workers == AUTO:
            self.num_workers = choose_workers(self._train_loader)
        return self._train_loader(self.num_workers)

    def val_dataloader(self) -> Loader:
        return self._judging_loader("val")

    def test_dataloader(self) -> Loader:
        return self._judging_loader("test")

    def _train_loader(self, num_workers: int) -> Loader:
        if self.crops is not None:
            return self._loader(self.crop_dataset, self.crop_sampler, num_workers)
        dataset = self.datasets["train"]
        return self._loader(dataset, SegmentBatches(len(dataset), self.batch_size, self.seed), num_workers)

    def _judging_loader(self, split: str) -> Loader:
        if self.feature_datasets:
            dataset = self.feature_datasets[split]
            return self._loader(dataset, SegmentBatches(len(dataset), len(dataset)), 0)
        dataset = self.datasets[split]
        num_workers = 0 if self.num_workers == AUTO else self.num_workers
        return self._loader(dataset, SegmentBatches(len(dataset), self.batch_size), num_workers)

    def _loader(self, dataset: Dataset, batches: Sampler, num_workers: int) -> Loader:
        device = self.trainer.strategy.root_device if self.trainer is not None else torch.device("cpu")
        if not self.feature_datasets and stays_on(device, self.resident, dataset):
            return ResidentLoader(dataset, batches, device)
        pin_memory = self.pin_memory and torch.cuda.is_available()  # without a GPU there is nothing to copy to
        return ResilientLoader(dataset, batches, num_workers, pin_memory, self.persistent_workers)
