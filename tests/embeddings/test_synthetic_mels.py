"""Mels of invented recordings are those of any recording, and a spoilt file is made anew."""

import numpy as np
import pytest

from birdnet_nl.audio import invented
from birdnet_nl.audio.mel import log_mel
from birdnet_nl.audio.resample import resample
from birdnet_nl.embeddings.synthetic_mels import synthetic_mels
from birdnet_nl.synthetic.generator import generate


@pytest.fixture
def files_of_two(monkeypatch):
    monkeypatch.setattr(invented, "IN_A_FILE", 2)


def test_mels_are_those_of_the_recordings_and_are_kept(small_mel, tmp_path, files_of_two):
    told: list[int] = []
    mels = synthetic_mels(3, small_mel, tmp_path, 1, told.append)
    assert len(mels) == 3 and sum(told) == 3
    for index, mel in enumerate(mels):
        recording = generate(index)
        samples = resample(recording.samples, recording.sample_rate_hz, small_mel.sample_rate_hz)
        np.testing.assert_allclose(mel, log_mel(samples, small_mel), atol=0.1)
    times = {path: path.stat().st_ino for path in tmp_path.rglob("*.npz")}
    assert len(times) == 2
    np.testing.assert_array_equal(synthetic_mels(4, small_mel, tmp_path, 1, told.append)[2], mels[2])
    assert {path: path.stat().st_ino for path in tmp_path.rglob("*.npz")} == times


def test_a_cut_file_is_made_anew(small_mel, tmp_path, files_of_two):
    before = synthetic_mels(2, small_mel, tmp_path, 1, lambda done: None)
    (path,) = tmp_path.rglob("*.npz")
    path.write_bytes(path.read_bytes()[:1000])
    after = synthetic_mels(2, small_mel, tmp_path, 1, lambda done: None)
    np.testing.assert_array_equal(before[1], after[1])
