"""A small data set that a tiny network can learn, in the form of a DataModule."""

from dataclasses import asdict
from types import SimpleNamespace

import lightning as L
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset


def make_patterns(count: int, seed: int) -> TensorDataset:
    """Segments of recordings of two segments each: a steady tone (a line along time) or a click (one across), in noise.

    Not two pitches: the networks average over mels, so they hardly use how high a sound is.
    """
    generator = torch.Generator().manual_seed(seed)
    recordings = torch.arange(count) // 2
    types = recordings % 2
    mel_db = -60 + 5 * torch.randn(count, 16, 24, generator=generator)
    for index, type_index in enumerate(types.tolist()):
        place = int(torch.randint(2, 14, (1,), generator=generator))
        line = mel_db[index, place] if type_index == 0 else mel_db[index, :, place]
        line += 40
    return TensorDataset(mel_db.half(), types, recordings)


class PatternData(L.LightningDataModule):
    """Stands in for `SpeciesDataModule` with `train` and `val` sets that are given."""

    synthetic = True

    def __init__(self, mel, train=None, val=None, types=("song", "call"), class_weights=None, shares=None):
        super().__init__()
        self.mel, self.training_shares, self.segment_s = mel, shares, 0.5
        self.train, self.val = train or make_patterns(96, seed=1), val or make_patterns(32, seed=2)
        self.prepared = SimpleNamespace(types=list(types))
        self.weights = torch.ones(len(types)) if class_weights is None else torch.tensor(class_weights)

    def class_weights(self, of_recordings: bool = False) -> torch.Tensor:
        return self.weights

    def metadata(self) -> dict:
        return {
            "types": self.prepared.types,
            "mel": asdict(self.mel),
            "species": {"slug": "merel"},
            "segment_s": 0.5,
            "segment_hop_s": 0.25,
            "synthetic": True,
            "embeddings": None,
        }

    def train_dataloader(self) -> DataLoader:
        return DataLoader(self.train, batch_size=16, shuffle=True, generator=torch.Generator().manual_seed(0))

    def val_dataloader(self) -> DataLoader:
        return DataLoader(self.val, batch_size=16)


@pytest.fixture(scope="session")
def patterns():
    return make_patterns


@pytest.fixture(scope="session")
def pattern_data():
    return PatternData


@pytest.fixture
def make_trainer(tmp_path):
    def make(epochs: int, **options) -> L.Trainer:
        quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
        return L.Trainer(
            **{
                "max_epochs": epochs, "accelerator": "cpu", "default_root_dir": tmp_path, "num_sanity_val_steps": 0,
                "enable_checkpointing": False, **quiet, **options,
            }
        )  # fmt: skip

    return make
