"""The index proposes the pairs of equal sounds among many recordings, in bounded time."""

import numpy as np
import pytest

from birdnet_nl.data import fingerprints
from birdnet_nl.data.near_duplicates import find_near_duplicates


def sung_mel(rng, params, duration_s):
    """Short strokes of random pitch in noise, as a mel in dB."""
    frames = round(duration_s * params.frames_per_s)
    mel = rng.gumbel(-40, 5, (params.n_mels, frames))
    for start in rng.integers(0, frames, round(4 * duration_s)):
        band = rng.uniform(0.2, 0.7) * params.n_mels + np.arange(8) * rng.uniform(-1, 1)
        for frame, middle in zip(range(start, min(frames, start + 8)), band, strict=False):
            mel[round(middle) : round(middle) + 3, frame] += 30
    return mel


def test_the_index_finds_twenty_pairs_among_three_hundred(wide_mel):
    """Each second one is cut at both ends, quieter, and has other noise."""
    rng = np.random.default_rng(0)
    mels = {f"XC{n}": sung_mel(rng, wide_mel, rng.uniform(4, 20)) for n in range(280)}
    for n in range(20):
        mel = mels[f"XC{n}"]
        start, end = rng.integers(0, mel.shape[1] // 4), mel.shape[1] - rng.integers(0, mel.shape[1] // 4)
        mels[f"XC{n}-again"] = mel[:, start:end] - 12 + rng.normal(0, 2, (len(mel), end - start))
    mels = {id: mel.astype(np.float16) for id, mel in mels.items()}
    pairs = find_near_duplicates(mels, wide_mel)
    assert {(pair.first, pair.second) for pair in pairs} == {(f"XC{n}", f"XC{n}-again") for n in range(20)}
    new = {"XC3", "XC7-again", "XC200"}
    assert {(pair.first, pair.second) for pair in find_near_duplicates(mels, wide_mel, new=new)} == {
        ("XC3", "XC3-again"),
        ("XC7", "XC7-again"),
    }


def test_many_recordings_alike_for_seconds_are_compared_in_bounded_time(wide_mel, monkeypatch):
    """Steady noise, a constant trill and digital silence fill single entries of the index."""
    rng = np.random.default_rng(0)
    trill = np.zeros((wide_mel.n_mels, 400))
    trill[40:44, ::5] = 30
    silence = np.full((wide_mel.n_mels, 400), -100.0)
    mels = {f"noise{n}": rng.gumbel(-40, 5, (wide_mel.n_mels, 400)) for n in range(60)}
    mels |= {f"trill{n}": trill + rng.gumbel(-40, 5, trill.shape) for n in range(60)}
    mels |= {f"silence{n}": silence for n in range(60)}
    compared = []
    look_up = fingerprints._Index._look_up
    monkeypatch.setattr(
        fingerprints._Index, "_look_up", lambda *args: (result := look_up(*args), compared.append(len(result[0])))[0]
    )
    find_near_duplicates({id: mel.astype(np.float16) for id, mel in mels.items()}, wide_mel)
    columns = 180 * 50
    assert sum(compared) <= columns * 2 * 2 * (1 + fingerprints.UNCERTAIN_SIGNS) * fingerprints.MAX_ENTRIES


def test_pairs_with_new_recordings_are_those_of_all_pairs_that_have_one():
    """Also where the columns are looked up in many parts, most of them without a new recording."""
    rng = np.random.default_rng(0)
    smooth = [rng.normal(size=(8, 101)) for _ in range(40)]
    levels = [((own[:, 1:] + own[:, :-1]) / 2).astype(np.float32) for own in smooth]
    levels += [levels[n][:, 8 * (n % 3) :] for n in range(0, 40, 4)]
    between = [(own + np.roll(own, -1, axis=1)) / 2 for own in levels]
    new = [n in (4, 40, 45) for n in range(len(levels))]
    whole = fingerprints.propose_pairs(levels, between, 16, 0.8, 0.42)
    assert {(n, 40 + n // 4) for n in range(0, 40, 4)} <= set(whole)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fingerprints, "CHUNK_COLUMNS", 64)
        assert fingerprints.propose_pairs(levels, between, 16, 0.8, 0.42) == whole
        own = fingerprints.propose_pairs(levels, between, 16, 0.8, 0.42, new=new)
    assert own == [pair for pair in whole if new[pair[0]] or new[pair[1]]] != []
