"""Frozen layers of the pretrained network: their embeddings, and their weights in a checkpoint."""

import numpy as np
import pytest
import torch

from birdnet_nl.audio.mel import Normalise, log_mel
from birdnet_nl.embeddings.base import MEL, NO_SPECIES, build_embedding_model
from birdnet_nl.embeddings.cache import embeddings_key
from birdnet_nl.embeddings.frozen_cnn import BLOCKS, FrozenCnn
from birdnet_nl.models.compact_cnn import layer_statistics
from birdnet_nl.util.errors import RunError


def with_other_weights() -> FrozenCnn:
    model = FrozenCnn()
    model.load_state({name: value + 0.01 for name, value in model.state().items()})
    return model


@pytest.fixture
def embed(noise):
    return lambda model: model.load()(noise(3), 0, NO_SPECIES)


def test_the_last_block_describes_the_networks_last_layer(noise, embed):
    model = FrozenCnn()
    mel = Normalise(MEL)(torch.from_numpy(log_mel(noise(3), MEL))[None])[:, None, :, : MEL.segment_frames(3.0)]
    with torch.inference_mode():
        layer = model.network.blocks(model.network.stem(mel))
    np.testing.assert_allclose(embed(model)[-BLOCKS[-1] :], layer_statistics(layer)[0].numpy(), atol=1e-4)


def test_description_and_weights_of_a_checkpoint_build_the_same_model(embed):
    model = with_other_weights()
    built = build_embedding_model(model.describe(), model.state())
    np.testing.assert_array_equal(embed(built), embed(model))
    assert (embed(built) != embed(FrozenCnn())).any()


def test_cached_embeddings_of_other_weights_are_not_used():
    model = with_other_weights()
    assert embeddings_key(model, 1.5) != embeddings_key(FrozenCnn(), 1.5)
    with pytest.raises(RunError, match="was trained on embeddings of frozen"):
        build_embedding_model(model.describe(), FrozenCnn().state())


@pytest.mark.parametrize("change", [lambda value: value.flatten()[:1], lambda value: value.new_zeros(3)])
def test_weights_of_other_sizes_are_refused(change):
    model = FrozenCnn()
    with pytest.raises(RunError, match="use the version that the model was trained with"):
        build_embedding_model(model.describe(), {name: change(value) for name, value in model.state().items()})


def test_a_finished_run_does_not_need_the_weights_of_the_package(monkeypatch):
    description, state = FrozenCnn().describe(), FrozenCnn().state()
    monkeypatch.setattr("birdnet_nl.embeddings.frozen_cnn.read_pretrained", lambda path: pytest.fail("read"))
    assert build_embedding_model(description, state).version == description["version"]
