"""Practice teaches: a small network tells invented patterns apart that it has not seen."""

import numpy as np
import pytest
import torch

from birdnet_nl.training.pretrain import BATCH, SyntheticCrops, pretrain, share_right

pytestmark = pytest.mark.usefixtures("one_thread")
NETWORK = {"_target_": "birdnet_nl.models.compact_cnn.CompactCnn", "types": 3, "channels": [6, 8], "dropout": 0.0}


def patterns(count: int, seed: int, frames: int, n_mels: int) -> list[np.ndarray]:
    """By turns a steady tone, a click and nothing, in noise."""
    rng = np.random.default_rng(seed)
    mels = [rng.normal(0, 2, (n_mels, frames)) for _ in range(count)]
    for index, mel in enumerate(mels):
        if index % 3 == 0:
            mel[rng.integers(2, n_mels - 2)] += 40
        elif index % 3 == 1:
            mel[:, rng.integers(2, frames - 2)] += 40
    return [mel.astype(np.float16) for mel in mels]


def test_a_network_learns_what_it_practises(wide_mel):
    frames = wide_mel.segment_frames(0.3)
    learned = SyntheticCrops(patterns(120, 1, frames, wide_mel.n_mels), 0, wide_mel, 0.3)
    others = SyntheticCrops(patterns(60, 2, frames, wide_mel.n_mels), 120, wide_mel, 0.3)
    losses: list[float] = []
    network = pretrain(NETWORK, learned, wide_mel, 120, 1, losses.append)
    assert len(losses) == 120
    assert share_right(network, others, wide_mel) > 0.8


def test_a_batch_holds_every_recording_once_a_round_and_pads_short_ones(wide_mel):
    crops = SyntheticCrops(patterns(BATCH, 1, 5, wide_mel.n_mels), 1, wide_mel, 0.3)
    mel_db, types = next(crops.batches(np.random.default_rng(0)))
    assert torch.bincount(types).tolist() == torch.bincount(torch.from_numpy(crops.types)).tolist()
    assert crops.types[:3].tolist() == [1, 2, 0]  # of recordings from number 1 on
    assert (mel_db[:, :, 5:] == wide_mel.padding_db).all()


def test_the_same_seed_gives_the_same_network(wide_mel):
    crops = SyntheticCrops(patterns(70, 1, 40, wide_mel.n_mels), 0, wide_mel, 0.3)
    first, again = (pretrain(NETWORK, crops, wide_mel, 3, 5) for _ in range(2))
    for one, other in zip(first.parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=0, rtol=0)
