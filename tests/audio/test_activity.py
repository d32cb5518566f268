"""Bird activity: high where a bird is, however faint, and low elsewhere."""

import numpy as np
import pytest

from birdnet_nl.audio.activity import NOISE_DB, activity_of, frame_activity, window_activity
from birdnet_nl.audio.cache import CachedMel
from birdnet_nl.audio.mel import band_centres_hz, log_mel


@pytest.fixture(scope="module")
def sound_in_noise(wide_mel):
    """Make the mel in dB [mels, frames] of ten seconds of noise with a whistle from second 6 to 7."""

    def make(pitch_hz: float = 3000.0, level: float = 0.02) -> np.ndarray:
        rate = wide_mel.sample_rate_hz
        time_s = np.arange(10 * rate) / rate
        whistle = level * np.sin(2 * np.pi * pitch_hz * time_s) * ((time_s >= 6) & (time_s < 7))
        noise = np.random.default_rng(0).normal(0, 0.01, len(time_s))
        return log_mel((whistle + noise).astype(np.float32), wide_mel)

    return make


@pytest.mark.parametrize("level", [0.2, 0.01, 0.003])
def test_the_window_with_a_bird_is_the_most_active_however_faint(sound_in_noise, wide_mel, level):
    windows = window_activity(frame_activity(sound_in_noise(level=level), wide_mel), wide_mel.segment_frames(1.0))
    assert abs(windows.argmax() / wide_mel.frames_per_s - 6.0) < 0.3
    assert windows.max() > 1.1 * np.quantile(windows, 0.5)


def test_activity_does_not_depend_on_gain(sound_in_noise, wide_mel):
    mel_db = sound_in_noise()
    np.testing.assert_allclose(frame_activity(mel_db - 30, wide_mel), frame_activity(mel_db, wide_mel), atol=1e-4)


def test_bands_outside_those_of_birds_are_ignored(sound_in_noise, wide_mel):
    bird, rumble, hiss = (
        frame_activity(sound_in_noise(pitch_hz, level=0.2), wide_mel) for pitch_hz in (3000.0, 130.0, 14000.0)
    )
    assert bird.max() > 3 * max(np.median(rumble), np.median(hiss))
    for other in (rumble, hiss):
        assert np.median(other[630:670]) < np.median(bird[630:670]) / 2


def test_activity_equals_the_definition(small_mel):
    mel_db = np.random.default_rng(1).normal(0, 8, (small_mel.n_mels, 51)).astype(np.float32)
    bands = [
        row for row, centre_hz in zip(mel_db, band_centres_hz(small_mel), strict=True) if 250 <= centre_hz <= 11_000
    ]
    expected = [np.mean([max(0.0, band[frame] - np.median(band) - NOISE_DB) for band in bands]) for frame in range(51)]
    np.testing.assert_allclose(frame_activity(mel_db, small_mel), expected, rtol=1e-4, atol=1e-5)


def test_window_activity_is_the_mean_of_its_frames_and_a_short_recording_has_one_window():
    activity = np.random.default_rng(2).random(50)
    expected = [activity[start : start + 20].mean() for start in range(31)]
    np.testing.assert_allclose(window_activity(activity, 20), expected, rtol=1e-5)
    np.testing.assert_allclose(window_activity(activity, 80), [activity.sum() / 80], rtol=1e-5)


def test_activity_is_cached_beside_the_mel_and_recomputed_when_truncated(tmp_path, small_mel):
    mel_db = np.random.default_rng(3).normal(0, 8, (small_mel.n_mels, 40)).astype(np.float16)
    np.save(tmp_path / "abc.npy", mel_db)
    mel = CachedMel(tmp_path / "abc.npy", 40, "abc")
    first = activity_of(mel, small_mel)
    (cached,) = tmp_path.glob("abc.activity-*.npy")
    np.save(cached, first + 1)
    np.testing.assert_array_equal(activity_of(mel, small_mel), first + 1)
    cached.write_bytes(cached.read_bytes()[:50])
    np.testing.assert_array_equal(activity_of(mel, small_mel), first)


def test_the_activity_of_a_cached_mel_is_that_of_its_values(sound_in_noise, wide_mel):
    mel = (sound_in_noise() - 20).astype(np.float16)  # with values below zero, whose bits sort the other way round
    np.testing.assert_array_equal(frame_activity(mel, wide_mel), frame_activity(mel.astype(np.float32), wide_mel))
