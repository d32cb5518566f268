"""Mel filterbank and log-mel equal librosa's, and the normalised mel equals the original's arithmetic."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace

import librosa
import numpy as np
import pytest
import soundfile
import torch

from birdnet_nl.audio.decode import decode
from birdnet_nl.audio.mel import BLOCK_FRAMES, MelParams, Normalise, log_mel, lower_median, mel_filterbank


def birdlike(rate_hz: int, samples: int, seed: int = 0) -> np.ndarray:
    """Synthesise chirps over noise with a silent stretch, cut within a sound at both ends: float32 [samples]."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(samples) / rate_hz
    pitch_hz = 3000 + 1500 * np.sin(2 * np.pi * 3 * time_s)
    sound = 0.4 * np.sin(2 * np.pi * np.cumsum(pitch_hz) / rate_hz) * (0.5 + 0.5 * np.cos(2 * np.pi * 5 * time_s))
    sound += rng.normal(0, 0.02, samples)
    sound[samples // 3 : samples // 3 + samples // 20] = 0  # digital silence, as in edited files
    return sound.astype(np.float32)


def librosa_filterbank(params: MelParams) -> np.ndarray:
    return librosa.filters.mel(
        sr=params.sample_rate_hz, n_fft=params.n_fft, n_mels=params.n_mels, fmin=params.f_min_hz, fmax=params.f_max_hz
    )


def librosa_mel_db(samples: np.ndarray, params: MelParams) -> np.ndarray:
    power = librosa.feature.melspectrogram(
        y=samples, sr=params.sample_rate_hz, n_fft=params.n_fft, hop_length=params.hop_samples, n_mels=params.n_mels,
        fmin=params.f_min_hz, fmax=params.f_max_hz, power=2.0, center=True, pad_mode="constant",
    )  # fmt: skip
    return librosa.power_to_db(power, ref=1.0, amin=1e-10, top_db=None)


# shorter than a frame, not a multiple of the hop, exactly one block of frames, one more, and several blocks
LENGTHS = [1, 700, 2048, 512 * (BLOCK_FRAMES - 1), 512 * BLOCK_FRAMES, 3 * 48000, 307_211]


@pytest.mark.parametrize("samples", LENGTHS)
def test_the_emsn_mel_equals_librosas_edges_included(emsn_mel, samples):
    sound = birdlike(48000, samples) if samples > 1 else np.array([0.5], dtype=np.float32)
    actual, expected = log_mel(sound, emsn_mel), librosa_mel_db(sound, emsn_mel)
    assert actual.dtype == np.float32
    assert actual.shape == expected.shape == (128, 1 + samples // 512)
    audible = expected > -90  # at the floor of 1e-10 one rounding error is decibels
    assert audible.any()
    assert np.abs(actual - expected)[audible].max() < 0.01
    assert np.abs(actual - expected).max() < 0.1


def test_the_wide_mel_equals_librosas_minus_the_median_of_each_band(wide_mel):
    sound = birdlike(32000, 5 * 32000 + 77)
    expected = librosa_mel_db(sound, wide_mel)
    frames = expected.shape[1]
    lower_median = np.sort(expected, axis=1)[:, (frames - 1) // 2, None]
    actual = log_mel(sound, wide_mel)
    audible = expected > -90
    assert audible.mean() > 0.5
    assert np.abs(actual - (expected - lower_median))[audible].max() < 0.01


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("front_end", ["emsn_mel", "wide_mel"])
def test_decoding_and_mel_of_an_mp3_equal_librosas(tmp_path, request, front_end, channels):
    params = request.getfixturevalue(front_end)
    sound = np.stack([birdlike(44100, 6 * 44100 + 123, seed) for seed in range(channels)], axis=1)
    soundfile.write(tmp_path / "a.mp3", sound, 44100)
    actual = log_mel(decode(tmp_path / "a.mp3", params.sample_rate_hz), params)
    expected = librosa_mel_db(librosa.load(tmp_path / "a.mp3", sr=params.sample_rate_hz)[0], params)
    audible = expected > expected.max() - 80
    if params.normalisation == "band_median":
        expected = expected - np.sort(expected, axis=1)[:, (expected.shape[1] - 1) // 2, None]
    inside = np.s_[:, 4:-4]  # without the frames that reach over the edges
    assert actual.shape == expected.shape
    assert audible[inside].mean() > 0.5
    assert np.abs(actual - expected)[inside][audible[inside]].max() < 0.01


def test_threads_do_not_interfere(emsn_mel, wide_mel):
    sounds = [birdlike(32000, 4 * 32000 + seed, seed) for seed in range(8)]
    for params in (emsn_mel, wide_mel):
        alone = [log_mel(sound, params) for sound in sounds]
        with ThreadPoolExecutor(4) as pool:
            together = list(pool.map(lambda sound, params=params: log_mel(sound, params), sounds))
        for alone_mel, threaded_mel in zip(alone, together, strict=True):
            np.testing.assert_array_equal(alone_mel, threaded_mel)


def test_the_lower_median_is_the_lower_of_the_two_middle_values():
    mel = np.array([[3.0, 1.0, 2.0, 4.0], [9.0, 9.0, -5.0, 0.0]], dtype=np.float32)
    np.testing.assert_array_equal(lower_median(mel), [[2.0], [0.0]])
    np.testing.assert_array_equal(lower_median(mel[:, :3]), [[2.0], [9.0]])


@pytest.mark.parametrize("front_end", ["emsn_mel", "wide_mel", "small_mel"])
def test_the_filterbank_equals_librosas_and_is_sparse(request, front_end):
    params = request.getfixturevalue(front_end)
    bands = mel_filterbank(params)
    expected = librosa_filterbank(params)
    actual = np.zeros_like(expected)
    actual[:, bands.bins] = bands.weights.toarray()
    np.testing.assert_allclose(actual, expected, atol=2e-4 * expected.max())
    assert bands.weights.dtype == np.float32
    assert (actual > 0).sum(axis=0).max() <= 2 and (actual > 0).any(axis=1).all()


def test_a_filterbank_up_to_nyquist_uses_every_bin(emsn_mel):
    assert mel_filterbank(replace(emsn_mel, n_mels=64, f_min_hz=0.0, f_max_hz=24000.0)).bins == slice(0, 1025)


def test_the_normalised_mel_equals_the_originals_power_to_db_and_min_max(emsn_mel):
    sound = birdlike(48000, 6 * 48000)
    power = librosa.feature.melspectrogram(
        y=sound, sr=48000, n_fft=2048, hop_length=512, n_mels=128, fmin=500, fmax=8000, pad_mode="constant"
    )
    whole = log_mel(sound, emsn_mel)
    segments = [slice(start, start + 282) for start in (0, 141, 281)]
    seen = Normalise(emsn_mel)(torch.from_numpy(np.stack([whole[:, segment] for segment in segments]))).numpy()
    for segment, actual in zip(segments, seen, strict=True):
        original = librosa.power_to_db(power[:, segment], ref=np.max, top_db=80)
        original = (original - original.min()) / (original.max() - original.min())
        assert np.abs(original - actual).max() < 0.01 / 80 * 2
    assert seen.min() == 0 and seen.max() == 1


def test_segment_peak_by_hand(small_mel):
    mel_db = torch.tensor([[[-20.0, -30.0], [-60.0, -140.0]]])
    # peak -20; 0, -10, -40, -120 cut at -80; lowest -80
    torch.testing.assert_close(Normalise(small_mel)(mel_db), torch.tensor([[[1.0, 0.875], [0.5, 0.0]]]))
    mel_db = torch.tensor([[[-20.0, -30.0, -40.0]]])  # less than 80 dB: 0 to 1 too
    torch.testing.assert_close(Normalise(small_mel)(mel_db), torch.tensor([[[1.0, 0.5, 0.0]]]))


def test_segments_of_a_batch_are_independent(small_mel):
    generator = torch.Generator().manual_seed(0)
    mel_db = 20 * torch.randn(4, 16, 32, generator=generator) - 40
    normalise = Normalise(small_mel)
    torch.testing.assert_close(normalise(mel_db), torch.cat([normalise(segment[None]) for segment in mel_db]))


def test_a_segment_of_one_value_is_finite(small_mel):
    seen = Normalise(small_mel)(torch.full((2, 16, 32), -100.0))
    assert torch.isfinite(seen).all() and (seen == 0).all()


def test_band_median_by_hand(wide_mel):
    mel_db = torch.tensor([[[-40.0, -10.0, 0.0, 20.0, 50.0, 90.0]]])
    expected = torch.tensor([[[0.0, 0.0, 10 / 60, 30 / 60, 1.0, 1.0]]])
    torch.testing.assert_close(Normalise(wide_mel)(mel_db), expected)


def test_normalise_accepts_float16_and_does_not_change_its_input(small_mel, wide_mel):
    for params in (small_mel, wide_mel):
        mel_db = torch.tensor([[[-20.0, -30.0], [-60.0, -100.0]]], dtype=torch.float16)
        before = mel_db.clone()
        assert Normalise(params)(mel_db).dtype == torch.float32
        assert torch.equal(mel_db, before)
        single = before.float()
        Normalise(params)(single)
        assert torch.equal(single, before.float())


def test_three_seconds_give_282_frames_as_in_the_original(emsn_mel, wide_mel):
    assert emsn_mel.segment_frames(3.0) == 282
    assert wide_mel.segment_frames(3.0) == 301
    assert log_mel(birdlike(48000, 3 * 48000), emsn_mel).shape == (128, 282)
    assert emsn_mel.frames_per_s == 93.75


def test_padding_is_silence(emsn_mel, wide_mel):
    assert emsn_mel.padding_db == pytest.approx(-100)
    assert log_mel(np.zeros(4800, dtype=np.float32), emsn_mel).max() == pytest.approx(emsn_mel.padding_db)
    assert wide_mel.padding_db == 0  # the median of the band


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sample_rate_hz": 0}, r"^mel\.sample_rate_hz=0 must be above 0$"),
        ({"n_fft": -1}, r"^mel\.n_fft=-1 must be above 0$"),
        ({"hop_samples": 0}, r"^mel\.hop_samples=0 must be above 0$"),
        ({"n_mels": 0}, r"^mel\.n_mels=0 must be above 0$"),
        ({"f_max_hz": 24001.0}, r"^mel\.f_max_hz=24001\.0 exceeds half of mel\.sample_rate_hz=48000; .* 24000$"),
        ({"f_min_hz": 8000.0}, r"^mel\.f_min_hz=8000\.0 must be at least 0 and below mel\.f_max_hz=8000\.0$"),
        ({"f_min_hz": -1.0}, r"^mel\.f_min_hz=-1\.0 must be at least 0"),
        ({"hop_samples": 2049}, r"^mel\.hop_samples=2049 skips samples .* mel\.n_fft=2048; choose at most 2048$"),
        ({"n_mels": 1025}, r"^mel\.n_mels=1025 is more than mel\.n_fft=2048 can resolve; choose at most 1024$"),
        ({"normalisation": "loud"}, r"^mel\.normalisation=loud is unknown; choose one of segment_peak, band_median$"),
        ({"ceiling_db": 10.0}, r"^mel\.ceiling_db=10\.0 must be 0 with mel\.normalisation=segment_peak"),
        ({"floor_db": 0.0}, r"^mel\.floor_db=0\.0 must be below mel\.ceiling_db=0\.0$"),
    ],
)  # fmt: skip
def test_invalid_parameters_raise_with_the_key_and_a_remedy(emsn_mel, change, message):
    with pytest.raises(ValueError, match=message):
        replace(emsn_mel, **change)


def test_limits_of_the_parameters_are_accepted(emsn_mel):
    edge = {"f_max_hz": 24000.0, "f_min_hz": 0.0, "hop_samples": 2048, "n_mels": 1024}
    assert asdict(replace(emsn_mel, **edge)) == {**asdict(emsn_mel), **edge}


def test_the_frames_of_a_segment_are_not_affected_by_rounding(wide_mel):
    wrong = [n / 100 for n in range(50, 1000) if wide_mel.segment_frames(n / 100) != 1 + n]
    assert wrong == []
