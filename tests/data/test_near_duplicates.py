"""Near-duplicates are found in another container, at another bit rate and cut; other sounds are not."""

import numpy as np
import pytest
import soundfile
from scipy.signal import resample_poly

from birdnet_nl.audio.decode import decode
from birdnet_nl.audio.mel import log_mel
from birdnet_nl.data import near_duplicates
from birdnet_nl.data.near_duplicates import find_near_duplicates, matching_outlines
from birdnet_nl.data.outlines import outline

RATE_HZ = 32000


def write_wav(path, samples, rate_hz=RATE_HZ):
    soundfile.write(path, samples, rate_hz, format="WAV")


def write_mp3(path, samples, compression=0.5):
    soundfile.write(path, samples, RATE_HZ, format="MP3", compression_level=compression, bitrate_mode="CONSTANT")


@pytest.fixture(scope="module", params=["wide_mel", "emsn_mel"])
def mel_of(request, tmp_path_factory):
    """Computes the mel, as for training, of samples that were written to a file and decoded."""
    params = request.getfixturevalue(request.param)
    path = tmp_path_factory.mktemp("sound") / "sound"

    def mel_of(samples, write=write_wav):
        write(path, samples)
        return log_mel(decode(path, params.sample_rate_hz), params).astype(np.float16)

    mel_of.params = params
    return mel_of


@pytest.fixture(scope="module")
def originals(mel_of, sing):
    """Samples of one recording, and the mels of it and of another."""
    samples = sing(1, 8.0, RATE_HZ)
    return samples, {"XC1": mel_of(samples), "XC3": mel_of(sing(2, 8.0, RATE_HZ))}


@pytest.fixture(params=["all compared", "indexed"], autouse=True)
def search(request, monkeypatch):
    """Runs each test by both ways to propose pairs."""
    if request.param == "indexed":
        monkeypatch.setattr(near_duplicates, "FEW_RECORDINGS", 0)


def cut(samples, start_s, end_s):
    return samples[round(start_s * RATE_HZ) : round(end_s * RATE_HZ)]


@pytest.mark.parametrize(
    ("change", "write"),
    [
        (lambda samples: samples, write_mp3),
        (lambda samples: samples, lambda path, samples: write_mp3(path, samples, compression=0.8)),
        (
            lambda samples: 0.2 * samples,
            lambda path, samples: write_wav(path, resample_poly(samples, 1, 2), RATE_HZ // 2),
        ),
        (lambda samples: cut(samples, 0.5, 8), write_mp3),
        (lambda samples: cut(samples, 0.0, 7.487), write_mp3),
        (lambda samples: cut(samples, 2.513, 6.1), write_mp3),
    ],
    ids=["mp3", "low bit rate", "half the sample rate, quieter", "start cut", "end cut", "excerpt"],
)
def test_the_same_sound_is_found_in_another_form(mel_of, originals, change, write):
    samples, mels = originals
    pairs = find_near_duplicates({**mels, "XC2": mel_of(change(samples), write)}, mel_of.params)
    assert [{pair.first, pair.second} for pair in pairs] == [{"XC1", "XC2"}]
    assert pairs[0].correlation <= 1 + 1e-6


def test_the_same_syllables_in_another_order_are_another_recording(mel_of, sing):
    """An individual repeats its syllables in all of its recordings."""
    syllables = [sing(seed, 1.0, RATE_HZ) for seed in range(8)]
    orders = [np.random.default_rng(seed).permutation(8) for seed in range(4)]
    mels = {f"XC{n}": mel_of(np.concatenate([syllables[index] for index in order])) for n, order in enumerate(orders)}
    assert find_near_duplicates(mels, mel_of.params) == []


def test_very_short_recordings_are_not_compared(mel_of, sing):
    call = sing(3, 1.5, RATE_HZ)
    assert find_near_duplicates({"XC1": mel_of(call), "XC2": mel_of(call, write_mp3)}, mel_of.params) == []


def test_digital_silence_does_not_match(mel_of, sing):
    mels = {}
    for seed in (1, 2):
        sound = np.zeros(6 * RATE_HZ, dtype=np.float32)
        sound[seed * RATE_HZ : (seed + 1) * RATE_HZ] = sing(seed, 1.0, RATE_HZ)
        mels[f"XC{seed}"] = mel_of(sound)
    assert find_near_duplicates(mels, mel_of.params) == []


def test_matching_outlines_are_found_at_the_true_shift():
    rng = np.random.default_rng(0)
    long = np.sign(rng.normal(size=(8, 90))).astype(np.float32)
    outlines = {"short": long[:, 21:61], "long": long, "other": np.sign(rng.normal(size=(8, 70))).astype(np.float32)}
    assert list(matching_outlines(outlines, 16)) == [("long", "short", 21)]
    outlines = {"late": long[:, 5:], "early": long[:, :80]}
    assert list(matching_outlines(outlines, 16)) == [("late", "early", -5)]


def test_an_outline_does_not_depend_on_loudness_or_frequency_response():
    mel = np.random.default_rng(1).normal(0, 8, (32, 480)).astype(np.float16)
    coloured = mel + np.linspace(-20, 20, 32, dtype=np.float16)[:, None]
    assert (outline(mel, 12) == outline(coloured, 12)).mean() > 0.98
