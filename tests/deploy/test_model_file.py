"""What is shipped is smaller than a checkpoint, answers the same, and is the same bytes each time."""

import shutil

import torch

from birdnet_nl.deploy.model_file import shipped_bytes
from birdnet_nl.training.checkpoint import load_classifier


def test_the_shipped_file_answers_as_the_checkpoint_does_without_the_state_of_training(make_shippable_run, tmp_path):
    checkpoint = make_shippable_run(tmp_path / "run").folder / "checkpoints/best.ckpt"
    shipped = tmp_path / "shipped.ckpt"
    shipped.write_bytes(shipped_bytes(checkpoint))
    assert shipped.stat().st_size < checkpoint.stat().st_size / 2
    mel_db = -50 + 20 * torch.randn(4, 16, 32)
    torch.testing.assert_close(
        load_classifier(shipped).probabilities(mel_db), load_classifier(checkpoint).probabilities(mel_db)
    )
    content = torch.load(shipped, weights_only=True)
    assert set(content) == {"state_dict", "birdnet_nl"} and "history" not in content["birdnet_nl"]
    assert all(name.startswith("network.") for name in content["state_dict"])


def test_the_same_checkpoint_gives_the_same_bytes_whatever_its_name(make_shippable_run, tmp_path):
    checkpoint = make_shippable_run(tmp_path / "run").folder / "checkpoints/best.ckpt"
    before = shipped_bytes(checkpoint)
    shutil.copy(checkpoint, tmp_path / "another name.ckpt")
    assert shipped_bytes(tmp_path / "another name.ckpt") == before
    assert (
        shipped_bytes(make_shippable_run(tmp_path / "other", weights_seed=1).folder / "checkpoints/best.ckpt") != before
    )
