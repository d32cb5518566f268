"""Embedding models: built again from what a checkpoint keeps, and from no other code."""

import numpy as np
import pytest

from birdnet_nl.embeddings.base import NO_SPECIES, build_embedding_model, cut_clip
from birdnet_nl.embeddings.birdnet import BirdNet
from birdnet_nl.embeddings.distilled import DistillationNetwork, Distilled
from birdnet_nl.embeddings.frozen_cnn import BLOCKS, FrozenCnn
from birdnet_nl.embeddings.modulation import Modulation
from birdnet_nl.util.conf_values import conf_values
from birdnet_nl.util.errors import RunError


def distilled() -> Distilled:
    model = Distilled()
    model.load_state(DistillationNetwork(5).state_dict())
    return model


@pytest.mark.parametrize("build", [FrozenCnn, Modulation, distilled])
def test_every_recording_has_a_finite_embedding_of_one_size(build, noise):
    model = build()
    embed = model.load()
    for samples in (noise(0.1), noise(3.0), noise(7.0), np.zeros(96_000, np.float32)):
        for start in (0, len(samples) - 1):
            embedding = embed(samples, start, NO_SPECIES)
            assert embedding.shape == (1 + model.dimensions,) and np.isfinite(embedding).all() and embedding[0] == 0


@pytest.mark.parametrize(("name", "model"), [("frozen", FrozenCnn), ("distilled", BirdNet)])
def test_the_blocks_of_a_recipe_are_those_of_its_embeddings(name, model):
    blocks = conf_values(f"trainer/{name}.yaml")["model"]["blocks"]
    assert sum(blocks) == model.dimensions + Modulation.dimensions
    if model is FrozenCnn:
        assert tuple(blocks[:3]) == BLOCKS


@pytest.mark.parametrize("kind", [Modulation, BirdNet])
def test_a_description_is_plain_and_builds_the_same_class(kind):
    description = kind().describe()
    assert all(isinstance(value, str) for value in description.values())
    assert type(build_embedding_model(description)) is kind


def test_a_model_of_others_is_described_with_licence_and_credit():
    description = BirdNet().describe()
    assert description["licence"] == "CC BY-NC-SA 4.0" and "Cornell" in description["credit"]


def test_other_code_is_refused():
    with pytest.raises(RunError, match=r"os\.system is not a subclass of birdnet_nl\.embeddings\..*\.EmbeddingModel"):
        build_embedding_model({"_target_": "os.system", "version": "1"})


def test_embeddings_of_another_version_are_refused():
    with pytest.raises(RunError, match=r"embeddings of birdnet 2\.3, which this version .* does not compute"):
        build_embedding_model({**BirdNet().describe(), "version": "2.3"})


def test_weights_for_a_model_without_any_are_refused():
    with pytest.raises(RunError, match="modulation has no weights in a checkpoint"):
        build_embedding_model(Modulation().describe(), {})


@pytest.mark.parametrize(("start", "expected"), [(0, [1, 2, 3]), (2, [3, 4, 5]), (3, [4, 5, 0]), (7, [0, 0, 0])])
def test_a_clip_has_zeros_beyond_the_end_of_the_recording(start, expected):
    np.testing.assert_array_equal(cut_clip(np.arange(1, 6), start, 3), expected)
