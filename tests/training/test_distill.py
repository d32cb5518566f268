"""Training of embedding distillation: a compact network predicts a teacher's embeddings of new windows."""

import numpy as np
import torch

from birdnet_nl.audio.mel import WIDE_COARSE as MEL
from birdnet_nl.audio.mel import Normalise
from birdnet_nl.embeddings.distilled import DistillationNetwork, DistillationWindows
from birdnet_nl.training.distill import BATCH, distill


def windows(count: int, seed: int) -> DistillationWindows:
    """Mels of a tone in noise; the teacher's embedding is the pitch of the tone, and a constant."""
    rng = np.random.default_rng(seed)
    mels, embeddings = [], []
    for _ in range(count):
        mel, band = rng.normal(0, 2, (MEL.n_mels, 60)), rng.integers(8, MEL.n_mels - 8)
        mel[band - 2 : band + 2] += 40
        mels.append(mel.astype(np.float16))
        embeddings.append(np.tile([band / 10, 3.0], (4, 1)).astype(np.float16))
    return DistillationWindows(mels, embeddings, 10.0, MEL, segment_s=0.3)


def test_a_network_predicts_the_embeddings_of_new_windows():
    torch.manual_seed(1)
    losses: list[float] = []
    real, synthetic = windows(150, 1), windows(50, 2)
    network = distill(DistillationNetwork(2), real, synthetic, 0.6, MEL, 40, 1, losses.append)
    mel_db, targets = windows(40, 3).draw(BATCH, np.random.default_rng(3))
    with torch.inference_mode():
        predicted = network(Normalise(MEL)(torch.from_numpy(mel_db))[:, None]).numpy()
    assert len(losses) == 40 and losses[-1] < 0.5 * losses[0]
    assert np.corrcoef(predicted[:, 0], targets[:, 0])[0, 1] > 0.8
    np.testing.assert_allclose(predicted[:, 1], 3.0, atol=0.1)


def test_the_same_seed_gives_the_same_network():
    networks = []
    for _ in range(2):
        torch.manual_seed(7)
        networks.append(distill(DistillationNetwork(2), windows(20, 1), None, 0.6, MEL, 3, 5))
    for first, second in zip(networks[0].parameters(), networks[1].parameters(), strict=True):
        torch.testing.assert_close(first, second, atol=0, rtol=0)
