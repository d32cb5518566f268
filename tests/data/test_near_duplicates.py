"""The same sound is found in another container, at another bit rate and cut; other sounds are not taken for it."""

import numpy as np
import pytest
import soundfile
from scipy.signal import resample_poly

from birdnet_nl.audio.decode import decode
from birdnet_nl.audio.mel import log_mel
from birdnet_nl.data.near_duplicates import _fitting, find_near_duplicates, outline

RATE_HZ = 32000


def as_mp3(path, samples, rate_hz=RATE_HZ, compression=0.5):
    soundfile.write(path, samples, rate_hz, format="MP3", compression_level=compression, bitrate_mode="CONSTANT")


@pytest.fixture(params=["wide_mel", "emsn_mel"])
def mel_of(request, tmp_path):
    """Mels of samples after a way through a file, and the front end; as training would make them."""
    params = request.getfixturevalue(request.param)

    def make(samples, write=lambda path, samples: soundfile.write(path, samples, RATE_HZ, format="WAV")):
        write(tmp_path / "sound", samples)
        return log_mel(decode(tmp_path / "sound", params.sample_rate_hz), params).astype(np.float16)

    make.params = params
    return make


def cut(samples, start_s, end_s):
    return samples[round(start_s * RATE_HZ) : round(end_s * RATE_HZ)]


def at_half_the_rate(path, samples):
    soundfile.write(path, resample_poly(samples, 1, 2), RATE_HZ // 2, format="WAV")


@pytest.mark.parametrize(
    ("change", "write"),
    [
        (lambda samples: samples, as_mp3),
        (lambda samples: samples, lambda path, samples: as_mp3(path, samples, compression=0.8)),
        (lambda samples: 0.2 * samples, at_half_the_rate),
        (lambda samples: cut(samples, 0.5, 8), as_mp3),
        (lambda samples: cut(samples, 0.0, 7.487), as_mp3),
        (lambda samples: cut(samples, 2.513, 6.1), as_mp3),
    ],
    ids=["mp3", "low bit rate", "half the sample rate, quieter", "start cut", "end cut", "excerpt"],
)
def test_the_same_sound_is_found_in_another_form(mel_of, sing, change, write):
    samples = sing(1, 8.0, RATE_HZ)
    mels = {"XC1": mel_of(samples), "XC2": mel_of(change(samples), write), "XC3": mel_of(sing(2, 8.0, RATE_HZ))}
    found = find_near_duplicates(mels, mel_of.params)
    assert [{pair.first, pair.second} for pair in found] == [{"XC1", "XC2"}]
    assert found[0].correlation <= 1 + 1e-6


def test_the_same_syllables_at_other_times_are_another_recording(mel_of, sing):
    """An individual sings its syllables again and again."""
    syllables = [sing(seed, 1.0, RATE_HZ) for seed in range(8)]
    orders = [np.random.default_rng(seed).permutation(8) for seed in range(6)]
    mels = {f"XC{n}": mel_of(np.concatenate([syllables[at] for at in order])) for n, order in enumerate(orders)}
    assert find_near_duplicates(mels, mel_of.params) == []


def test_recordings_too_short_to_tell_apart_are_not_compared(mel_of, sing):
    call = sing(3, 1.5, RATE_HZ)
    assert find_near_duplicates({"XC1": mel_of(call), "XC2": mel_of(call, as_mp3)}, mel_of.params) == []


def test_digital_silence_is_no_common_sound(mel_of, sing):
    quiet = np.zeros(6 * RATE_HZ, dtype=np.float32)
    mels = {}
    for seed in (1, 2):
        sound = quiet.copy()
        sound[seed * RATE_HZ : (seed + 1) * RATE_HZ] = sing(seed, 1.0, RATE_HZ)
        mels[f"XC{seed}"] = mel_of(sound)
    assert find_near_duplicates(mels, mel_of.params) == []


def test_the_shift_is_that_of_a_search_without_fourier():
    rng = np.random.default_rng(0)
    long = np.sign(rng.normal(size=(8, 90))).astype(np.float32)
    outlines = {"short": long[:, 21:61], "long": long, "other": np.sign(rng.normal(size=(8, 70))).astype(np.float32)}
    assert list(_fitting(outlines, 16)) == [("long", "short", 21)]
    outlines = {"late": long[:, 5:], "early": long[:, :80]}
    assert list(_fitting(outlines, 16)) == [("late", "early", -5)]


def test_an_outline_does_not_hear_loudness_or_colour():
    mel = np.random.default_rng(1).normal(0, 8, (32, 480)).astype(np.float16)
    coloured = mel + np.linspace(-20, 20, 32, dtype=np.float16)[:, None]
    assert (outline(mel, 12) == outline(coloured, 12)).mean() > 0.98
