"""Resampling block by block equals resampling of the whole recording."""

import numpy as np
import pytest

from birdnet_nl.audio.resample import resample
from birdnet_nl.audio.resample_stream import resample_stream


def pushed(samples: np.ndarray, rates_hz: tuple[int, int], size: int, empty_end: bool, exact: bool) -> np.ndarray:
    stream, parts = resample_stream(*rates_hz, as_in_training=exact), []
    for start in range(0, len(samples), size):
        last = start + size >= len(samples) and not empty_end
        parts.append(stream.push(samples[start : start + size], last=last))
    if empty_end or not parts:
        parts.append(stream.push(np.empty(0, dtype=np.float32), last=True))
    return np.concatenate(parts)


@pytest.mark.parametrize("as_in_training", [False, True])
@pytest.mark.parametrize("empty_end", [False, True])
@pytest.mark.parametrize("rates_hz", [(44100, 32000), (48000, 32000), (44100, 48000), (96000, 32000), (32000, 32000)])
@pytest.mark.parametrize(("samples", "size"), [(0, 100), (1, 100), (500, 7), (70_001, 9_999), (70_001, 70_001)])
def test_blocks_give_the_samples_of_the_whole_recording(rates_hz, samples, size, empty_end, as_in_training):
    sound = np.random.default_rng(0).normal(0, 0.1, samples).astype(np.float32)
    expected = resample(sound, *rates_hz) if samples and len(set(rates_hz)) > 1 else sound
    actual = pushed(sound, rates_hz, size, empty_end, as_in_training)
    assert actual.shape == expected.shape and actual.dtype == np.float32
    np.testing.assert_allclose(actual, expected, atol=1e-6)
