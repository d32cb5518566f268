"""Resampling by blocks answers as soxr's high quality does, for every length and where blocks meet."""

import librosa
import numpy as np
import pytest
import soxr
import torch

from birdnet_nl.audio import resample as module
from birdnet_nl.audio.resample import block_filter, resample

START = 8  # soxr rounds the very first samples to other positions of its filter
by_blocks = pytest.mark.skipif(not torch.backends.mkl.is_available(), reason="this torch has no MKL: soxr is used")
RATES_HZ = [(44100, 48000), (44100, 32000), (48000, 32000), (22050, 48000), (16000, 48000), (48000, 44100)]


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, samples).astype(np.float32)


@by_blocks
@pytest.mark.parametrize(("rate_in_hz", "rate_out_hz"), RATES_HZ)
def test_white_noise_comes_out_as_from_soxr(rate_in_hz, rate_out_hz):
    assert block_filter(rate_in_hz, rate_out_hz) is not None
    sound = noise(300_001)  # several groups of blocks, the last one not full
    ours, theirs = resample(sound, rate_in_hz, rate_out_hz), soxr.resample(sound, rate_in_hz, rate_out_hz)
    assert ours.dtype == np.float32 and ours.shape == theirs.shape and ours.flags["C_CONTIGUOUS"]
    assert np.abs(ours - theirs)[START:].max() < 1e-6  # -120 dB
    assert np.abs(ours - theirs).max() < 0.02


@by_blocks
@pytest.mark.parametrize("samples", [1, 2, 3, 50, 441, 6173, 6174, 6175, 7056, 32 * 6174, 32 * 6174 + 1])
def test_every_length_gives_as_many_samples_as_soxr(samples):
    sound = noise(samples)
    for rate_out_hz in (32000, 48000):
        ours, theirs = resample(sound, 44100, rate_out_hz), soxr.resample(sound, 44100, rate_out_hz)
        assert ours.shape == theirs.shape
        assert np.abs(ours - theirs)[START:].max(initial=0) < 1e-6


@pytest.mark.parametrize("rate_out_hz", [48000, 32000])
def test_a_tone_keeps_its_place_in_time(rate_out_hz):
    tone, expected = (
        np.sin(2 * np.pi * 5000 * np.arange(2 * rate_hz) / rate_hz).astype(np.float32)
        for rate_hz in (44100, rate_out_hz)
    )
    assert np.abs(resample(tone, 44100, rate_out_hz) - expected)[200:-200].max() < 1e-4


def test_what_cannot_be_heard_at_the_new_rate_is_gone():
    tone = np.sin(2 * np.pi * 17000 * np.arange(88200) / 44100).astype(np.float32)
    assert np.abs(resample(tone, 44100, 32000)[500:-500]).max() < 1e-4


@pytest.mark.parametrize(("rate_in_hz", "rate_out_hz"), [(44056, 48000), (96000, 48000), (192000, 32000)])
def test_rates_that_need_long_blocks_are_left_to_soxr(rate_in_hz, rate_out_hz):
    assert block_filter(rate_in_hz, rate_out_hz) is None
    sound = noise(20_000)
    np.testing.assert_array_equal(
        resample(sound, rate_in_hz, rate_out_hz), soxr.resample(sound, rate_in_hz, rate_out_hz)
    )


def test_without_a_fast_fft_soxr_does_it(monkeypatch):
    monkeypatch.setattr(module.torch.backends.mkl, "is_available", lambda: False)
    block_filter.cache_clear()
    sound = noise(20_000)
    try:
        np.testing.assert_array_equal(resample(sound, 44100, 48000), soxr.resample(sound, 44100, 48000))
    finally:
        block_filter.cache_clear()


def test_librosas_own_resampling_is_the_same():
    sound = noise(44100)
    theirs = librosa.resample(sound, orig_sr=44100, target_sr=32000)
    assert np.abs(resample(sound, 44100, 32000) - theirs)[START:].max() < 1e-6
