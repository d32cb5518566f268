"""Features of invented recordings: of whole windows, kept, and made anew where a file is spoilt."""

import numpy as np
import pytest

from birdnet_nl.audio.resample import resample
from birdnet_nl.embeddings import synthetic as practice
from birdnet_nl.embeddings.bands import Bands
from birdnet_nl.embeddings.base import NOBODY
from birdnet_nl.embeddings.synthetic import embed_synthetic
from birdnet_nl.synthetic.generator import generate, type_of


@pytest.fixture(autouse=True)
def files_of_three(monkeypatch):
    monkeypatch.setattr(practice, "IN_A_FILE", 3)


def test_features_are_those_of_the_windows_of_each_recording(tmp_path):
    told: list[int] = []
    found = embed_synthetic(Bands(), 4, 1.5, tmp_path, 2, told.append)
    assert sum(told) == 4
    assert found.types == [type_of(index) for index in range(4)]
    extract, rate_hz = Bands().open(), Bands.sample_rate_hz
    for index in range(4):
        recording = generate(index)
        samples = resample(recording.samples, recording.sample_rate_hz, rate_hz)
        rows = found.windows[found.recordings == index]
        assert len(rows) == 1 + int((len(samples) / rate_hz - 3) / 1.5)
        by_hand = extract(samples, (len(rows) - 1) * 48_000, NOBODY)
        np.testing.assert_allclose(rows[-1], by_hand, atol=2e-3)


def test_what_is_there_is_not_made_again_and_what_is_spoilt_is(tmp_path):
    first = embed_synthetic(Bands(), 6, 1.5, tmp_path, 1)
    one, other = sorted(tmp_path.rglob("*.npz"))
    kept = other.stat().st_ino
    one.write_bytes(one.read_bytes()[:500])
    told: list[int] = []
    second = embed_synthetic(Bands(), 5, 1.5, tmp_path, 1, told.append)
    assert sum(told) == 5 and other.stat().st_ino == kept
    np.testing.assert_array_equal(second.windows, first.windows[first.recordings < 5])
    assert second.recordings.max() == 4
