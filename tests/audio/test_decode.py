"""Sound files to samples: channels, rates, and every reason why a file gives none."""

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
def test_a_wav_of_the_wanted_rate_comes_back_as_it_was(tmp_path, subtype):
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


def test_resampling_lets_no_sound_fold_back(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(20000, 0.5, 48000), 48000)
    assert np.abs(decode(tmp_path / "a.wav", 32000)[2000:-2000]).max() < 1e-3  # 20 kHz would fold to 12 kHz


def test_channels_are_averaged(tmp_path):
    left, right = tone(1000, 0.1, RATE_HZ), tone(5000, 0.1, RATE_HZ)
    soundfile.write(tmp_path / "a.wav", np.stack([left, right], axis=1), RATE_HZ, subtype="FLOAT")
    np.testing.assert_allclose(decode(tmp_path / "a.wav", RATE_HZ), (left + right) / 2, atol=1e-6)


@pytest.mark.parametrize("count", [1, 2, 3, 6])
def test_the_average_is_that_of_all_channels_and_one_channel_is_not_copied(count):
    channels = np.random.default_rng(0).normal(0, 0.1, (1000, count)).astype(np.float32)
    average = average_channels(channels)
    assert average.dtype == np.float32 and average.shape == (1000,)
    np.testing.assert_allclose(average, channels.mean(axis=1), atol=1e-7)
    assert np.shares_memory(average, channels) == (count == 1)


def test_an_empty_file_says_so(tmp_path):
    (tmp_path / "a.mp3").touch()
    with pytest.raises(DataError, match=r"^empty file$"):
        decode(tmp_path / "a.mp3", RATE_HZ)


@pytest.mark.parametrize("suffix", [".mp3", ".wav", ".flac", ".ogg"])
def test_a_file_that_is_no_sound_says_so_without_its_path(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"<html>429 too many requests</html>" * 20)
    with pytest.raises(DataError, match=r"^cannot be decoded \(.+\)$") as info:
        decode(path, RATE_HZ)
    assert str(tmp_path) not in str(info.value)


def test_a_header_without_samples_says_so(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(0), RATE_HZ)
    with pytest.raises(DataError, match=r"^holds no samples$"):
        decode(tmp_path / "a.wav", RATE_HZ)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_samples_that_are_not_numbers_say_so(tmp_path, bad):
    samples = tone(1000, 0.1, RATE_HZ)
    samples[7] = bad
    soundfile.write(tmp_path / "a.wav", samples, RATE_HZ, subtype="FLOAT")
    with pytest.raises(DataError, match="not numbers"):
        decode(tmp_path / "a.wav", RATE_HZ)


def test_silence_says_so_and_a_very_soft_sound_is_no_silence(tmp_path):
    for amplitude in (0.0, 0.9 * SILENCE_PEAK):
        soundfile.write(tmp_path / "a.wav", tone(1000, 0.1, RATE_HZ, amplitude), RATE_HZ, subtype="FLOAT")
        with pytest.raises(DataError, match=r"^silent"):
            decode(tmp_path / "a.wav", RATE_HZ)
    soundfile.write(tmp_path / "a.wav", tone(1000, 0.1, RATE_HZ, 1.1 * SILENCE_PEAK), RATE_HZ, subtype="FLOAT")
    assert len(decode(tmp_path / "a.wav", RATE_HZ)) == 4800


@pytest.mark.parametrize("samples", [1, 2, 50])
def test_a_file_of_a_few_samples_is_no_accident(tmp_path, samples):
    soundfile.write(tmp_path / "a.wav", np.full(samples, 0.5), 44100)
    assert decode(tmp_path / "a.wav", RATE_HZ).ndim == 1
