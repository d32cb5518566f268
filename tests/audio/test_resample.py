"""Resampling equals soxr and librosa, for every length, and falls back to soxr."""

import librosa
import numpy as np
import pytest
import soxr
import torch

from birdnet_nl.audio import resample as resample_module
from birdnet_nl.audio.resample import block_filter, resample

EDGE = 8  # soxr rounds the very first samples to other positions of its filter
needs_mkl = pytest.mark.skipif(not torch.backends.mkl.is_available(), reason="this torch has no MKL: soxr is used")


def tone(pitch_hz: float, duration_s: float, rate_hz: int, amplitude: float) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * pitch_hz * np.arange(round(duration_s * rate_hz)) / rate_hz)


def noise(samples: int) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, samples).astype(np.float32)


@needs_mkl
@pytest.mark.parametrize(
    ("rate_in_hz", "rate_out_hz"),
    [(44100, 48000), (44100, 32000), (48000, 32000), (22050, 48000), (16000, 48000), (48000, 44100)],
)
def test_resampling_white_noise_equals_soxr(rate_in_hz, rate_out_hz):
    assert block_filter(rate_in_hz, rate_out_hz) is not None
    sound = noise(300_001)  # several groups of blocks, the last one not full
    actual, expected = resample(sound, rate_in_hz, rate_out_hz), soxr.resample(sound, rate_in_hz, rate_out_hz)
    assert actual.dtype == np.float32 and actual.shape == expected.shape and actual.flags["C_CONTIGUOUS"]
    assert np.abs(actual - expected)[EDGE:].max() < 1e-6  # -120 dB
    assert np.abs(actual - expected).max() < 0.02


@needs_mkl
@pytest.mark.parametrize("samples", [1, 2, 3, 50, 441, 6173, 6174, 6175, 7056, 32 * 6174, 32 * 6174 + 1])
def test_every_length_gives_as_many_samples_as_soxr(samples):
    sound = noise(samples)
    for rate_out_hz in (32000, 48000):
        actual, expected = resample(sound, 44100, rate_out_hz), soxr.resample(sound, 44100, rate_out_hz)
        assert actual.shape == expected.shape
        assert np.abs(actual - expected)[EDGE:].max(initial=0) < 1e-6


def test_resampling_equals_librosa():
    sound = noise(44100)
    expected = librosa.resample(sound, orig_sr=44100, target_sr=32000)
    assert np.abs(resample(sound, 44100, 32000) - expected)[EDGE:].max() < 1e-6


@pytest.mark.parametrize("rate_out_hz", [48000, 32000])
def test_resampling_does_not_shift_a_tone_in_time(rate_out_hz):
    sound, expected = (tone(5000, 2.0, rate_hz, 1.0).astype(np.float32) for rate_hz in (44100, rate_out_hz))
    assert np.abs(resample(sound, 44100, rate_out_hz) - expected)[200:-200].max() < 1e-4


@pytest.mark.parametrize(("rate_in_hz", "pitch_hz"), [(44100, 17000), (48000, 20000)])
def test_frequencies_above_the_new_nyquist_are_removed(rate_in_hz, pitch_hz):
    sound = tone(pitch_hz, 2.0, rate_in_hz, 1.0).astype(np.float32)
    assert np.abs(resample(sound, rate_in_hz, 32000)[500:-500]).max() < 1e-4


@pytest.mark.parametrize(("rate_in_hz", "rate_out_hz"), [(44056, 48000), (96000, 48000), (192000, 32000)])
def test_rates_that_need_long_blocks_use_soxr(rate_in_hz, rate_out_hz):
    assert block_filter(rate_in_hz, rate_out_hz) is None
    sound = noise(20_000)
    expected = soxr.resample(sound, rate_in_hz, rate_out_hz)
    np.testing.assert_array_equal(resample(sound, rate_in_hz, rate_out_hz), expected)


@pytest.mark.parametrize("missing", ["torch", "mkl"])
def test_without_torch_or_mkl_soxr_resamples(monkeypatch, missing):
    if missing == "mkl":
        monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: False)
    else:
        monkeypatch.setattr(resample_module, "find_spec", lambda name: None)
    block_filter.cache_clear()
    sound = noise(20_000)
    try:
        np.testing.assert_array_equal(resample(sound, 44100, 48000), soxr.resample(sound, 44100, 48000))
    finally:
        block_filter.cache_clear()
