"""Sounds in which every stretch is different, unlike a tone."""

from collections.abc import Callable

import numpy as np
import pytest

SYLLABLES_PER_S = 3


@pytest.fixture(scope="session")
def sing() -> Callable[..., np.ndarray]:
    """Returns short whistles of random pitch at random times in faint noise, float32 [samples]."""

    def samples(seed: int, duration_s: float, sample_rate_hz: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        time_s = np.arange(round(duration_s * sample_rate_hz)) / sample_rate_hz
        sound = 0.01 * rng.normal(size=len(time_s))
        highest_hz = min(6500, 0.4 * sample_rate_hz)
        for start_s in rng.uniform(0, duration_s, round(SYLLABLES_PER_S * duration_s)):
            pitch_hz, slope = rng.uniform(1000, highest_hz), rng.uniform(-4000, 4000)
            after_s = time_s - start_s
            amplitude = 0.3 * np.exp(-(((after_s - 0.08) / 0.05) ** 2))
            sound += amplitude * np.sin(2 * np.pi * (pitch_hz * after_s + slope * after_s**2 / 2))
        return sound.astype(np.float32)

    return samples
