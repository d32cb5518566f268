"""Mels and embeddings of synthetic recordings: of whole windows, cached, and computed again where a file is damaged."""

import numpy as np
import pytest

from birdnet_nl.audio.mel import log_mel
from birdnet_nl.audio.resample import resample
from birdnet_nl.embeddings import synthetic
from birdnet_nl.embeddings.base import NO_SPECIES
from birdnet_nl.embeddings.synthetic import embed_synthetic, synthetic_mels
from birdnet_nl.synthetic.generator import generate, type_of


@pytest.fixture(autouse=True)
def files_of_two(monkeypatch):
    monkeypatch.setattr(synthetic, "RECORDINGS_PER_FILE", 2)


def samples_of(index: int, sample_rate_hz: int) -> np.ndarray:
    recording = generate(index)
    return resample(recording.samples, recording.sample_rate_hz, sample_rate_hz)


def test_embeddings_are_those_of_the_windows_of_each_recording(tmp_path, loudness):
    model, progress = loudness(), []
    embedded = embed_synthetic(model, 3, 0.5, tmp_path, 2, progress.append)
    assert sum(progress) == 3
    assert embedded.types == [type_of(index) for index in range(3)]
    for index in range(3):
        samples = samples_of(index, model.sample_rate_hz)
        rows = embedded.windows[embedded.recordings == index]
        assert len(rows) == 1 + int((len(samples) / model.sample_rate_hz - 1) / 0.5)
        np.testing.assert_allclose(rows[-1], model.load()(samples, (len(rows) - 1) * 4000, NO_SPECIES), atol=2e-3)


def test_cached_embeddings_are_read_and_damaged_files_computed_again(tmp_path, loudness):
    first = embed_synthetic(loudness(), 4, 0.5, tmp_path, 1)
    damaged, intact = sorted(tmp_path.rglob("*.npz"))
    inode = intact.stat().st_ino
    damaged.write_bytes(damaged.read_bytes()[:300])
    progress: list[int] = []
    second = embed_synthetic(loudness(), 3, 0.5, tmp_path, 1, progress.append)
    assert sum(progress) == 3 and intact.stat().st_ino == inode
    np.testing.assert_array_equal(second.windows, first.windows[first.recordings < 3])
    assert second.recordings.max() == 2


def test_mels_are_those_of_the_recordings_and_are_cached(small_mel, tmp_path):
    progress: list[int] = []
    mels = synthetic_mels(3, small_mel, tmp_path, 1, progress.append)
    assert len(mels) == 3 and sum(progress) == 3
    for index, mel in enumerate(mels):
        np.testing.assert_allclose(mel, log_mel(samples_of(index, small_mel.sample_rate_hz), small_mel), atol=0.1)
    damaged, intact = sorted(tmp_path.rglob("*.npz"))
    inode = intact.stat().st_ino
    damaged.write_bytes(damaged.read_bytes()[:1000])
    for before, after in zip(mels, synthetic_mels(3, small_mel, tmp_path, 1, progress.append), strict=True):
        np.testing.assert_array_equal(before, after)
    assert intact.stat().st_ino == inode
