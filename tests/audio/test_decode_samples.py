"""Samples that no sound can have, integers in a float file, and channels that cancel each other."""

import numpy as np
import pytest

from birdnet_nl.audio.cache import cache_mel
from birdnet_nl.audio.decode import decode_sound, mono_blocks
from birdnet_nl.audio.inspection import inspect_file
from birdnet_nl.util.errors import DataError
from tests.audio.sounds import RATE_HZ, soundfile_bytes, tone


@pytest.fixture
def write(tmp_path):
    def write(samples: np.ndarray, subtype: str = "FLOAT"):
        path = tmp_path / "XC1.wav"
        path.write_bytes(soundfile_bytes("WAV", subtype, samples))
        return path

    return write


def test_good_samples_are_unchanged(write):
    for peak in (0.01, 1.0, 3.0):  # of full scale, which mp3 and recorders of 32-bit float exceed
        samples = tone(peak=peak)
        sound = decode_sound(write(samples), RATE_HZ)
        np.testing.assert_array_equal(sound.samples, samples[:, 0])
        assert sound.warning == ""


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e29, -3e29, 1e5])
def test_a_few_absurd_samples_become_silence(write, small_mel, tmp_path, value):
    samples = tone()
    samples[[100, 20_000]] = value
    path = write(samples)
    sound = decode_sound(path, RATE_HZ)
    assert sound.warning == "2 of 32000 samples were no sound (not finite, or too large) and became silence"
    samples[[100, 20_000]] = 0
    np.testing.assert_array_equal(sound.samples, samples[:, 0])
    facts = inspect_file(path)
    assert facts.warning == sound.warning and facts.peak == pytest.approx(np.abs(samples).max(), abs=1e-4)
    mel = cache_mel(path, small_mel, tmp_path / "cache")
    assert np.isfinite(mel.load()).all() and mel.warning == sound.warning
    assert cache_mel(path, small_mel, tmp_path / "cache") == mel  # from the cache, with its warning


@pytest.mark.parametrize("value", [np.nan, 3e29])
def test_many_absurd_samples_make_the_file_unusable(write, value):
    samples = tone()
    samples[:400] = value
    with pytest.raises(DataError, match="not finite numbers, or that no sound can have"):
        decode_sound(write(samples), RATE_HZ)


@pytest.mark.parametrize("bits", [16, 24, 32])
@pytest.mark.parametrize("channels", [1, 2])
def test_integers_in_a_float_file_are_scaled(write, bits, channels):
    samples = tone(channels=channels)
    whole = np.round(samples.astype(np.float64) * 2 ** (bits - 1))
    sound = decode_sound(write(whole), RATE_HZ)
    np.testing.assert_allclose(sound.samples, samples.mean(axis=1), atol=1e-4)
    assert sound.warning == f"its samples are in the range of {bits}-bit integers, so they were divided by 2^{bits - 1}"


def test_channels_of_opposite_polarity_are_not_silent(write):
    left = tone()[:, 0]
    path = write(np.stack([0.5 * left, -left], axis=1) * np.array([1.9, 1.0]))
    sound, facts = decode_sound(path, RATE_HZ), inspect_file(path)
    np.testing.assert_allclose(sound.samples, -left, atol=1e-6)
    assert sound.warning == facts.warning == "its channels have opposite polarity, so the louder one is used"
    assert facts.reason == ""
    streamed = np.concatenate([block.copy() for block, _ in mono_blocks(path, 0.3)])
    np.testing.assert_array_equal(streamed, sound.samples)


def test_opposite_integers_with_an_absurd_sample(write):
    left = tone()[:, 0]
    samples = 32768 * np.stack([left, -left], axis=1)
    samples[7] = np.nan
    sound = decode_sound(write(samples), RATE_HZ)
    left[7] = 0
    np.testing.assert_allclose(sound.samples, left, atol=1e-4)
    assert "16-bit integers" in sound.warning and "2 of 64000" in sound.warning and "polarity" in sound.warning


@pytest.mark.parametrize("second", [0.0, 1.0, 0.3])
def test_other_channels_are_averaged(write, second):
    left = tone()[:, 0]
    sound = decode_sound(write(np.stack([left, second * left], axis=1)), RATE_HZ)
    np.testing.assert_allclose(sound.samples, left * (1 + second) / 2, atol=1e-6)
    assert sound.warning == ""


def test_opposite_channels_below_the_silence_peak_are_silent(write):
    left = tone(peak=5e-5)[:, 0] * 0 + 5e-5
    with pytest.raises(DataError, match=r"^silent"):
        decode_sound(write(np.stack([left, -left], axis=1)), RATE_HZ)


def test_a_cached_mel_that_is_not_finite_is_computed_again(write, small_mel, tmp_path):
    path = write(tone())
    mel = cache_mel(path, small_mel, tmp_path / "cache")
    good = np.array(mel.load())
    bad = good.copy()
    bad[3, 5] = np.nan
    np.save(mel.path, bad)
    again = cache_mel(path, small_mel, tmp_path / "cache")
    np.testing.assert_array_equal(again.load(), good)
