"""A checkpoint holds all that prediction needs, and loads without running code."""

from dataclasses import asdict
from functools import partial

import lightning as L
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from birdnet_nl.audio.augment import MelAugment
from birdnet_nl.audio.mel import Normalise
from birdnet_nl.models.registry import build_network
from birdnet_nl.training import checkpoint as checkpoint_module
from birdnet_nl.training.checkpoint import keep_for_prediction, load_classifier, load_weights, read_checkpoint
from birdnet_nl.training.losses import LossSettings
from birdnet_nl.training.module import TypeClassifier
from birdnet_nl.training.schedules import follow_validation
from birdnet_nl.util.errors import RunError

TYPES = ["song", "alarm"]
pytestmark = pytest.mark.usefixtures("one_thread")

NETWORK = {
    "_target_": "birdnet_nl.models.emsn_cnn.EmsnCnn", "types": 2, "channels": [4, 8], "hidden": 6,
    "channel_dropout": 0.1, "hidden_dropout": 0.2,
}  # fmt: skip


@pytest.fixture
def trained(small_mel, tmp_path):
    """A module after one epoch, and the checkpoint written by its trainer."""
    torch.manual_seed(0)
    card = {
        "types": TYPES,
        "mel": asdict(small_mel),
        "network": NETWORK,
        "segment_s": 3.0,
        "species": {"slug": "merel"},
        "temperature": 1.0,
    }
    module = TypeClassifier(
        build_network(NETWORK), small_mel, TYPES, torch.tensor([1.0, 2.0]), partial(torch.optim.Adam, lr=1e-3),
        partial(follow_validation, factor=0.5, patience=1, min_lr=0.0), MelAugment(0.0, 0, 0.0, 0, 0.0),
        LossSettings(0.0, "one", "mean", 0.5, 1.0), 1, card,
        channels_last=True, lean_blocks=True,
    )  # fmt: skip
    mel_db = -50 + 20 * torch.randn(16, 16, 32)
    data = TensorDataset(mel_db, torch.arange(16) % 2, torch.arange(16))
    trainer = L.Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, default_root_dir=tmp_path,
    )  # fmt: skip
    trainer.fit(module, DataLoader(data, batch_size=8), DataLoader(data, batch_size=8))
    path = tmp_path / "best.ckpt"
    trainer.save_checkpoint(path)
    return module.eval(), path, mel_db


@pytest.mark.parametrize(("bf16", "tolerance"), [(False, 1e-5), (True, 0.02)])
def test_the_classifier_read_back_answers_as_the_module_did(trained, monkeypatch, bf16, tolerance):
    module, path, mel_db = trained
    classifier = load_classifier(path)
    monkeypatch.setattr(checkpoint_module, "cpu_computes_bf16", lambda: bf16)
    with torch.inference_mode():
        expected = module(mel_db).softmax(dim=1)
    torch.testing.assert_close(classifier.probabilities(mel_db), expected, atol=tolerance, rtol=0)
    assert not classifier.network.training


def test_the_card_travels_with_the_weights(trained, small_mel):
    module, path, _ = trained
    classifier = load_classifier(str(path))
    assert (classifier.types, classifier.mel) == (TYPES, small_mel)
    assert isinstance(classifier.normalise, Normalise) and classifier.normalise.params == small_mel
    assert classifier.card == {**module.card, "history": module.history}
    assert len(classifier.card["history"]) == 1


def test_only_tensors_and_plain_values_are_in_the_file(trained):
    content = torch.load(trained[1], weights_only=True)
    assert content["birdnet_nl"]["species"] == {"slug": "merel"}
    torch.testing.assert_close(content["state_dict"]["loss.weight"], torch.tensor([1.0, 2.0]))


def test_the_history_comes_back_into_a_module(trained):
    module, path, _ = trained
    before = list(module.history)
    module.history = []
    module.on_load_checkpoint(read_checkpoint(path))
    assert module.history == before


def test_a_later_epoch_does_not_change_a_checkpoint_already_made(trained):
    module = trained[0]
    content = {}
    module.on_save_checkpoint(content)
    module.history.append({"epoch": 1})
    assert len(content["birdnet_nl"]["history"]) == 1


def test_a_checkpoint_that_is_not_there_is_told(tmp_path):
    with pytest.raises(RunError, match=r"absent\.ckpt is not there; a run writes it after its first epoch"):
        read_checkpoint(tmp_path / "absent.ckpt")


@pytest.mark.parametrize("share", [0.0, 0.5, 0.98])
def test_a_checkpoint_cut_short_is_told(trained, share):
    path = trained[1]
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(RunError, match=r"best\.ckpt is not a complete checkpoint"):
        read_checkpoint(path)


@pytest.mark.parametrize("content", [b"hello, this is text", b"\x80\x02garbage"])
def test_a_file_that_is_no_checkpoint_is_told(tmp_path, content):
    (tmp_path / "best.ckpt").write_bytes(content)
    with pytest.raises(RunError, match=r"best\.ckpt is not a complete checkpoint"):
        read_checkpoint(tmp_path / "best.ckpt")


def test_a_checkpoint_of_another_program_is_told(tmp_path):
    torch.save({"state_dict": {}}, tmp_path / "other.ckpt")
    with pytest.raises(RunError, match=r"other\.ckpt"):
        load_classifier(tmp_path / "other.ckpt")


def test_code_in_a_checkpoint_is_never_run(tmp_path):
    class Mischief:
        def __reduce__(self):
            return (print, ("ran",))

    torch.save({"birdnet_nl": Mischief()}, tmp_path / "bad.ckpt")
    with pytest.raises(Exception, match=r"(?i)weights.only|not a complete checkpoint"):
        read_checkpoint(tmp_path / "bad.ckpt")


def test_what_is_decided_after_training_joins_the_card_and_changes_the_probabilities(trained, monkeypatch):
    module, path, mel_db = trained
    monkeypatch.setattr(checkpoint_module, "cpu_computes_bf16", lambda: False)
    before = path.stat().st_size
    keep_for_prediction(path, temperature=2.5, pooling="mean")
    classifier = load_classifier(path)
    assert classifier.card == {**module.card, "history": module.history, "temperature": 2.5, "pooling": "mean"}
    with torch.inference_mode():
        expected = (module(mel_db) / 2.5).softmax(dim=1)
    torch.testing.assert_close(classifier.probabilities(mel_db), expected, atol=1e-6, rtol=1e-5)
    assert not list(path.parent.glob("*.part"))
    assert set(read_checkpoint(path)) == {"state_dict", "birdnet_nl"} and path.stat().st_size < before


def test_weights_that_only_helped_to_learn_are_not_kept_and_not_missed(tmp_path):
    student = torch.nn.ModuleDict({"network": torch.nn.Linear(2, 2), "to_teacher": torch.nn.Linear(2, 50)})
    path = tmp_path / "best.ckpt"
    torch.save({"state_dict": student.state_dict(), "birdnet_nl": {}}, path)
    keep_for_prediction(path)
    kept = read_checkpoint(path)
    assert set(kept["state_dict"]) == {"network.weight", "network.bias"}
    again = torch.nn.ModuleDict({"network": torch.nn.Linear(2, 2), "to_teacher": torch.nn.Linear(2, 50)})
    load_weights(again, kept)
    assert torch.equal(again["network"].weight, student["network"].weight)
    with pytest.raises(RunError, match="those of another network"):
        load_weights(again, {"state_dict": {"network.weight": kept["state_dict"]["network.weight"]}})
