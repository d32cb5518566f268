"""A loaded classifier predicts as the module that was trained; checkpoints of version 0.1 load or are refused."""

from dataclasses import asdict
from functools import partial

import lightning as L
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from birdnet_nl.inference import classifier as classifier_module
from birdnet_nl.inference.classifier import Classifier
from birdnet_nl.models.emsn_cnn import EmsnCnn
from birdnet_nl.training.checkpoint import finalize_checkpoint, read_checkpoint
from birdnet_nl.training.engine import EngineState
from birdnet_nl.training.module import SegmentClassifier
from birdnet_nl.util.errors import RunError

TYPES = ["song", "alarm"]
NETWORK = partial(EmsnCnn, channels=[4, 8], hidden=6, channel_dropout=0.1, hidden_dropout=0.2)


class SmallData(L.LightningDataModule):
    """Stands in for `SpeciesDataModule`."""

    synthetic, training_shares, segment_s = True, None, 0.5

    def __init__(self, mel, mel_db):
        super().__init__()
        self.mel = mel
        self.prepared = type("Prepared", (), {"types": TYPES})
        self.set = TensorDataset(mel_db, torch.arange(16) % 2, torch.arange(16))

    def class_weights(self) -> torch.Tensor:
        return torch.tensor([1.0, 2.0])

    def metadata(self) -> dict:
        return {
            "types": TYPES, "mel": asdict(self.mel), "species": {"slug": "merel"}, "segment_s": 0.5,
            "segment_hop_s": 0.25, "synthetic": True, "embeddings": None,
        }  # fmt: skip

    def train_dataloader(self) -> DataLoader:
        return DataLoader(self.set, batch_size=8)

    val_dataloader = train_dataloader


@pytest.fixture
def trained(small_mel, tmp_path):
    """A module after one epoch, its checkpoint, and mels [16, mels, frames]."""
    torch.manual_seed(0)
    mel_db = -50 + 20 * torch.randn(16, 16, 32)
    module = SegmentClassifier(NETWORK, optimizer=partial(torch.optim.Adam, lr=1e-3))
    module.engine = EngineState(1, 1, 1, "fp32", True, True, False, "cpu")
    trainer = L.Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, default_root_dir=tmp_path,
    )  # fmt: skip
    trainer.fit(module, datamodule=SmallData(small_mel, mel_db))
    path = tmp_path / "best.ckpt"
    trainer.save_checkpoint(path)
    return module.eval(), path, mel_db


@pytest.mark.parametrize(("bf16", "tolerance"), [(False, 1e-5), (True, 0.02)])
def test_a_loaded_classifier_predicts_as_the_module(trained, monkeypatch, bf16, tolerance):
    module, path, mel_db = trained
    classifier = Classifier.load(path)
    monkeypatch.setattr(classifier_module, "cpu_computes_bf16", lambda: bf16)
    with torch.inference_mode():
        expected = module(mel_db).softmax(dim=1)
    torch.testing.assert_close(classifier.probabilities(mel_db), expected, atol=tolerance, rtol=0)
    assert not classifier.network.training


def test_metadata_is_stored_with_the_weights(trained, small_mel):
    module, path, _ = trained
    classifier = Classifier.load(str(path))
    assert (classifier.types, classifier.mel, classifier.normalise.params) == (TYPES, small_mel, small_mel)
    assert classifier.metadata == {**module.metadata, "history": module.history}
    assert (classifier.is_calibrated, classifier.trained_on, classifier.embedding_model) == (False, None, None)


def test_the_temperature_that_was_decided_changes_the_probabilities(trained, monkeypatch):
    module, path, mel_db = trained
    monkeypatch.setattr(classifier_module, "cpu_computes_bf16", lambda: False)
    finalize_checkpoint(path, temperature=2.5, pooling="mean", threshold=0.4)
    classifier = Classifier.load(path)
    assert (classifier.is_calibrated, classifier.threshold) == (True, 0.4)
    with torch.inference_mode():
        logits = module(mel_db)
    torch.testing.assert_close(classifier.probabilities(mel_db), (logits / 2.5).softmax(1), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(classifier.probabilities(mel_db, 1.0), logits.softmax(1), atol=1e-6, rtol=1e-5)


def as_version_0_1(path, **changes) -> None:
    """Rewrite a checkpoint with the metadata keys of version 0.1."""
    content = read_checkpoint(path)
    metadata = content["birdnet_nl"] | {"version": "0.1.0", "features": None, "feature_weights": None, "trunk": None}
    for key in ("embeddings", "embedding_state", "pretraining"):
        metadata.pop(key, None)
    content["birdnet_nl"] = metadata | {"practice": None, "teacher": None} | changes
    torch.save(content, path)


def test_a_mel_network_of_version_0_1_still_loads(trained, monkeypatch):
    module, path, mel_db = trained
    monkeypatch.setattr(classifier_module, "cpu_computes_bf16", lambda: False)
    as_version_0_1(path)
    classifier = Classifier.load(path)
    assert classifier.metadata["embeddings"] is None and classifier.metadata["pretraining"] is None
    with torch.inference_mode():
        torch.testing.assert_close(classifier.probabilities(mel_db), module(mel_db).softmax(1), atol=1e-5, rtol=0)


def test_an_embedding_model_of_version_0_1_is_refused_with_the_way_to_train_it_again(trained):
    path = trained[1]
    as_version_0_1(path, network={"_target_": "birdnet_nl.models.bag_network.BagNetwork", "types": 2})
    with pytest.raises(RunError, match=r"was trained by birdnet_nl 0\.1\.0, .* train again with trainer=birdnet"):
        Classifier.load(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda metadata: metadata.pop("mel"),
        lambda metadata: metadata.pop("types"),
        lambda metadata: metadata.pop("network"),
        lambda metadata: metadata.pop("segment_s"),
        lambda metadata: metadata["mel"].update(unknown=1),
        lambda metadata: metadata["mel"].update(n_mels="many"),
        lambda metadata: metadata["network"].update(unknown=1),
        lambda metadata: metadata.update(types=["song"]),
        lambda metadata: metadata.update(temperature=float("nan")),
        lambda metadata: metadata.update(threshold=float("inf")),
    ],
)
def test_metadata_that_cannot_be_used_are_one_sentence_with_the_file(trained, change):
    path = trained[1]
    content = read_checkpoint(path)
    change(content["birdnet_nl"])
    torch.save(content, path)
    with pytest.raises(RunError, match=r"\.ckpt does not hold what prediction needs beside the weights"):
        Classifier.load(path)


def test_a_folder_that_is_no_run_is_reported(tmp_path):
    with pytest.raises(RunError, match="does not exist; give a run directory"):
        Classifier.load(tmp_path / "absent")
    with pytest.raises(RunError, match="is not a run; give a run directory"):
        Classifier.load(tmp_path)
    (tmp_path / "config.yaml").write_text("species: {slug: merel}\n")
    with pytest.raises(RunError, match="stopped before its first epoch ended; continue it with python"):
        Classifier.load(tmp_path)
    (tmp_path / "config.yaml").write_text("seed: 1\n")
    with pytest.raises(RunError, match="stopped before its first epoch ended; it cannot be"):
        Classifier.load(tmp_path)
