"""Synthetic pretraining: a network learns patterns of synthetic recordings; its settings are those of trainer=turbo."""

import numpy as np
import torch
from rich.progress import Progress

from birdnet_nl.embeddings import synthetic
from birdnet_nl.models.pretrained import SHIPPED, read_pretrained
from birdnet_nl.training.pretrain import (
    BATCH,
    MEL,
    SyntheticCrops,
    accuracy,
    network_description,
    pretrain,
    pretrain_to_file,
)

NETWORK = {"_target_": "birdnet_nl.models.compact_cnn.CompactCnn", "types": 3, "channels": [6, 8], "dropout": 0.0}


def patterns(count: int, seed: int, frames: int, n_mels: int) -> list[np.ndarray]:
    """Alternately a steady tone, a click and nothing, in noise."""
    rng = np.random.default_rng(seed)
    mels = [rng.normal(0, 2, (n_mels, frames)) for _ in range(count)]
    for index, mel in enumerate(mels):
        if index % 3 == 0:
            mel[rng.integers(2, n_mels - 2)] += 40
        elif index % 3 == 1:
            mel[:, rng.integers(2, frames - 2)] += 40
    return [mel.astype(np.float16) for mel in mels]


def test_a_network_learns_the_patterns_of_other_recordings(wide_mel):
    frames = wide_mel.segment_frames(0.3)
    train_crops = SyntheticCrops(patterns(120, 1, frames, wide_mel.n_mels), 0, wide_mel, 0.3)
    test_crops = SyntheticCrops(patterns(60, 2, frames, wide_mel.n_mels), 120, wide_mel, 0.3)
    losses: list[float] = []
    network = pretrain(NETWORK, train_crops, wide_mel, 60, 1, losses.append)
    assert len(losses) == 60
    assert accuracy(network, test_crops, wide_mel) > 0.8


def test_an_epoch_has_every_recording_once_and_short_ones_are_padded(wide_mel):
    crops = SyntheticCrops(patterns(BATCH, 1, 5, wide_mel.n_mels), 1, wide_mel, 0.3)
    mel_db, types = next(crops.batches(np.random.default_rng(0)))
    assert torch.bincount(types).tolist() == torch.bincount(torch.from_numpy(crops.types)).tolist()
    assert crops.types[:3].tolist() == [1, 2, 0]  # of recordings from number 1 on
    assert (mel_db[:, :, 5:] == wide_mel.padding_db).all()


def test_the_same_seed_gives_the_same_network(wide_mel):
    crops = SyntheticCrops(patterns(70, 1, 40, wide_mel.n_mels), 0, wide_mel, 0.3)
    first, second = (pretrain(NETWORK, crops, wide_mel, 3, 5) for _ in range(2))
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=0, rtol=0)


def test_a_file_has_the_network_and_front_end_of_the_shipped_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(synthetic, "RECORDINGS_PER_FILE", 2)
    monkeypatch.setattr("birdnet_nl.training.pretrain.os.cpu_count", lambda: 1)
    metadata = pretrain_to_file(2, 1, 2, 1, tmp_path / "out.pt", tmp_path / "mels", Progress(disable=True))
    shipped, written = read_pretrained(SHIPPED), read_pretrained(tmp_path / "out.pt")
    assert written.metadata == metadata and metadata["network"] == network_description()
    assert metadata.keys() == shipped.metadata.keys()
    for name in ("network", "mel", "segment_s", "types", "generator"):
        assert metadata[name] == shipped.metadata[name]
    assert shipped.mismatch(network_description(), MEL, 3.0) is None
