"""Decoding: channels, rates and every reason for an unusable file; resampling equals soxr's HQ quality."""

import subprocess
import sys

import librosa
import numpy as np
import pytest
import soundfile
import soxr
import torch

from birdnet_nl.audio.decode import SILENCE_PEAK, average_channels, block_filter, decode, resample
from birdnet_nl.util.errors import DataError

RATE_HZ = 48000
EDGE = 8  # soxr rounds the very first samples to other positions of its filter
needs_mkl = pytest.mark.skipif(not torch.backends.mkl.is_available(), reason="this torch has no MKL: soxr is used")


def tone(pitch_hz: float, duration_s: float, rate_hz: int, amplitude: float = 0.5) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * pitch_hz * np.arange(round(duration_s * rate_hz)) / rate_hz)


def noise(samples: int) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, samples).astype(np.float32)


def pitch_of(samples: np.ndarray, rate_hz: int) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * rate_hz / len(samples))


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
def test_a_wav_at_the_requested_rate_is_unchanged(tmp_path, subtype):
    samples = tone(1000, 0.2, RATE_HZ).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", samples, RATE_HZ, subtype=subtype)
    decoded = decode(tmp_path / "a.wav", RATE_HZ)
    assert decoded.dtype == np.float32 and decoded.ndim == 1 and decoded.flags["C_CONTIGUOUS"]
    np.testing.assert_allclose(decoded, samples, atol=0 if subtype == "FLOAT" else 2**-15)


@pytest.mark.parametrize("suffix", [".mp3", ".wav", ".flac", ".ogg"])
@pytest.mark.parametrize("file_rate_hz", [44100, 48000, 22050])
def test_every_format_and_rate_keeps_pitch_duration_and_loudness(tmp_path, suffix, file_rate_hz):
    soundfile.write(tmp_path / f"a{suffix}", tone(3000, 1.0, file_rate_hz), file_rate_hz)
    decoded = decode(tmp_path / f"a{suffix}", RATE_HZ)
    assert len(decoded) == pytest.approx(RATE_HZ, abs=0.06 * RATE_HZ if suffix == ".mp3" else 2)
    middle = decoded[RATE_HZ // 4 : 3 * RATE_HZ // 4]
    assert pitch_of(middle, RATE_HZ) == pytest.approx(3000, abs=5)
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.03)


def test_channels_are_averaged(tmp_path):
    left, right = tone(1000, 0.1, RATE_HZ), tone(5000, 0.1, RATE_HZ)
    soundfile.write(tmp_path / "a.wav", np.stack([left, right], axis=1), RATE_HZ, subtype="FLOAT")
    np.testing.assert_allclose(decode(tmp_path / "a.wav", RATE_HZ), (left + right) / 2, atol=1e-6)


@pytest.mark.parametrize("count", [1, 2, 6])
def test_the_average_is_over_all_channels_and_a_single_channel_is_not_copied(count):
    channels = np.random.default_rng(0).normal(0, 0.1, (1000, count)).astype(np.float32)
    average = average_channels(channels)
    assert average.dtype == np.float32 and average.shape == (1000,)
    np.testing.assert_allclose(average, channels.mean(axis=1), atol=1e-7)
    assert np.shares_memory(average, channels) == (count == 1)


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        (None, r"^empty file$"),
        (np.zeros(0), r"^contains no samples$"),
        (np.array([0.1, np.nan, 0.2]), "not finite numbers"),
        (np.array([0.1, np.inf, 0.2]), "not finite numbers"),
        (np.zeros(4800), "^silent"),
        (tone(1000, 0.1, RATE_HZ, 0.9 * SILENCE_PEAK), "^silent"),
    ],
    ids=["empty", "no samples", "nan", "inf", "zeros", "below the silence peak"],
)
def test_an_unusable_file_raises_the_reason(tmp_path, samples, reason):
    path = tmp_path / "a.wav"
    path.touch() if samples is None else soundfile.write(path, samples, RATE_HZ, subtype="FLOAT")
    with pytest.raises(DataError, match=reason):
        decode(path, RATE_HZ)


def test_a_very_faint_recording_is_not_silent(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(1000, 0.1, RATE_HZ, 1.1 * SILENCE_PEAK), RATE_HZ, subtype="FLOAT")
    assert len(decode(tmp_path / "a.wav", RATE_HZ)) == 4800


@pytest.mark.parametrize("suffix", [".mp3", ".wav", ".flac", ".ogg"])
def test_a_file_without_sound_raises_the_reason_without_its_path(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"<html>429 too many requests</html>" * 20)
    with pytest.raises(DataError, match=r"^cannot be decoded \(.+\)$") as info:
        decode(path, RATE_HZ)
    assert str(tmp_path) not in str(info.value)


@pytest.mark.parametrize("samples", [1, 2, 50])
def test_a_file_of_a_few_samples_is_decoded(tmp_path, samples):
    soundfile.write(tmp_path / "a.wav", np.full(samples, 0.5), 44100)
    assert decode(tmp_path / "a.wav", RATE_HZ).ndim == 1


def test_decoding_and_inspection_import_no_torch():
    code = "import sys, birdnet_nl.audio.decode, birdnet_nl.audio.inspection; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


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


def test_without_mkl_soxr_resamples(monkeypatch):
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: False)
    block_filter.cache_clear()
    sound = noise(20_000)
    try:
        np.testing.assert_array_equal(resample(sound, 44100, 48000), soxr.resample(sound, 44100, 48000))
    finally:
        block_filter.cache_clear()
