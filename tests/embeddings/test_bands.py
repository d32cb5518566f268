"""The level of a band rises where there is sound, and its deviation where sound comes and goes."""

import numpy as np

from birdnet_nl.embeddings.bands import BANDS, EDGES_HZ, Bands
from birdnet_nl.species.table import get_species

KOOLMEES = get_species("koolmees")


def levels(clip: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    features = Bands().open()(clip.astype(np.float32), 0, KOOLMEES)
    assert features.shape == (1 + Bands.dimensions,) and features[0] == 0
    return features[1 : 1 + BANDS], features[1 + BANDS :]


def tone(frequency_hz: float) -> np.ndarray:
    time_s = np.arange(round(Bands.window_s * Bands.sample_rate_hz)) / Bands.sample_rate_hz
    return 0.1 * np.sin(2 * np.pi * frequency_hz * time_s)


def test_a_tone_is_loudest_in_its_band():
    for frequency_hz in (400.0, 2000.0, 9000.0):
        band = np.searchsorted(EDGES_HZ, frequency_hz) - 1
        assert levels(tone(frequency_hz))[0].argmax() == band


def test_loudness_as_a_whole_does_not_matter():
    np.testing.assert_allclose(levels(tone(2000))[0], levels(10 * tone(2000))[0], atol=1e-2)


def test_what_comes_and_goes_deviates_more():
    steady = tone(2000)
    beating = steady * (np.arange(len(steady)) // 8000 % 2)
    band = np.searchsorted(EDGES_HZ, 2000) - 1
    assert levels(beating)[1][band] > 5 * levels(steady)[1][band]


def test_silence_is_finite():
    assert np.isfinite(levels(np.zeros(96_000))[0]).all()
