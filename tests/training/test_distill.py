"""A compact network learns what a teacher makes of windows, and says it of windows that it has not met."""

import numpy as np
import pytest
import torch

from birdnet_nl.audio.mel import Normalise
from birdnet_nl.embeddings.distilled import DistillationNetwork
from birdnet_nl.training.distill import BATCH, Lessons, imitate

pytestmark = pytest.mark.usefixtures("one_thread")
SEGMENT_S, HOP = 0.3, 10.0


def tones(count: int, seed: int, params) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Mels of a tone in noise, and a teacher that says of each window where the tone lies, and a constant."""
    rng = np.random.default_rng(seed)
    mels, said = [], []
    for _ in range(count):
        mel, band = rng.normal(0, 2, (params.n_mels, 60)), rng.integers(8, params.n_mels - 8)
        mel[band - 2 : band + 2] += 40
        mels.append(mel.astype(np.float16))
        said.append(np.tile([band / 10, 3.0], (4, 1)).astype(np.float16))
    return mels, said


def lessons(count: int, seed: int, params) -> Lessons:
    return Lessons(*tones(count, seed, params), HOP, params, SEGMENT_S)


def test_a_batch_holds_windows_and_what_is_said_of_them(wide_mel):
    mels, said = tones(5, 1, wide_mel)
    drawn, wanted = Lessons(mels, said, HOP, wide_mel, SEGMENT_S).draw(40, np.random.default_rng(1))
    assert drawn.shape == (40, wide_mel.n_mels, wide_mel.segment_frames(SEGMENT_S)) and wanted.shape == (40, 2)
    for window, (band, _) in zip(drawn, wanted, strict=True):
        assert abs(window.astype(np.float32).mean(axis=1).argmax() - round(band * 10)) <= 2


def test_beyond_the_end_of_a_recording_there_is_silence(wide_mel):
    mels, said = tones(1, 1, wide_mel)
    short = Lessons([mels[0][:, :5]], [said[0][:1]], HOP, wide_mel, SEGMENT_S)
    drawn, _ = short.draw(1, np.random.default_rng(1))
    assert (drawn[0, :, 5:] == wide_mel.padding_db).all()


def test_a_network_says_of_new_windows_what_its_teacher_would(wide_mel):
    torch.manual_seed(1)
    losses: list[float] = []
    learned = imitate(
        DistillationNetwork(2),
        lessons(150, 1, wide_mel),
        lessons(50, 2, wide_mel),
        0.6,
        wide_mel,
        120,
        1,
        losses.append,
    )
    drawn, wanted = lessons(40, 3, wide_mel).draw(BATCH, np.random.default_rng(3))
    with torch.inference_mode():
        said = learned(Normalise(wide_mel)(torch.from_numpy(drawn))[:, None]).numpy()
    assert len(losses) == 120 and losses[-1] < 0.5 * losses[0]
    assert np.corrcoef(said[:, 0], wanted[:, 0])[0, 1] > 0.8
    np.testing.assert_allclose(said[:, 1], 3.0, atol=0.1)


def test_the_same_seed_gives_the_same_network(wide_mel):
    networks = []
    for _ in range(2):
        torch.manual_seed(7)
        networks.append(imitate(DistillationNetwork(2), lessons(20, 1, wide_mel), None, 0.6, wide_mel, 3, 5))
    for one, other in zip(networks[0].parameters(), networks[1].parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=0, rtol=0)
