"""Decoding: channels, rates and every reason for an unusable file."""

import subprocess
import sys

import numpy as np
import pytest
import soundfile

from birdnet_nl.audio.decode import SILENCE_PEAK, average_channels, decode
from birdnet_nl.util.errors import DataError

RATE_HZ = 48000


def tone(pitch_hz: float, duration_s: float, rate_hz: int, amplitude: float = 0.5) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * pitch_hz * np.arange(round(duration_s * rate_hz)) / rate_hz)


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
