"""What a practised network makes of a window travels with the checkpoint, and is never judged on the demo."""

import numpy as np
import pytest
import torch

from birdnet_nl.audio.mel import Normalise, log_mel
from birdnet_nl.embeddings.base import NOBODY, build_embedding_model
from birdnet_nl.embeddings.cache import embeddings_key
from birdnet_nl.embeddings.frozen_cnn import BLOCKS, FrozenCnn
from birdnet_nl.embeddings.mel_embedding import MEL
from birdnet_nl.embeddings.modulation import Modulation
from birdnet_nl.models.layer_statistics import layer_statistics
from birdnet_nl.util.errors import RunError


def noise(seconds: float) -> np.ndarray:
    samples = np.random.default_rng(2).normal(0, 0.05, round(seconds * FrozenCnn.sample_rate_hz))
    return samples.astype(np.float32)


def of_other_weights() -> FrozenCnn:
    made = FrozenCnn()
    made.give({name: value + 0.01 for name, value in made.weights().items()})
    return made


def test_the_blocks_of_the_configuration_are_all_it_says(compose_config):
    model = compose_config("species=koolmees", "model=practised").model
    assert tuple(model.dimensions[:3]) == BLOCKS
    assert sum(model.dimensions) == FrozenCnn.dimensions + Modulation.dimensions  # the latter stands beside


@pytest.mark.parametrize("seconds", [0.1, 1.0, 3.0, 7.0])
def test_every_recording_has_finite_features_of_one_size(seconds):
    extract, samples = FrozenCnn().open(), noise(seconds)
    for start in (0, len(samples) - 1):
        features = extract(samples, start, NOBODY)
        assert features.shape == (1 + FrozenCnn.dimensions,) and np.isfinite(features).all() and features[0] == 0


def test_the_last_layer_is_what_the_network_answers_from():
    embedding_model, samples = FrozenCnn(), noise(3)
    heard = Normalise(MEL)(torch.from_numpy(log_mel(samples, MEL))[None])[:, None, :, : MEL.segment_frames(3.0)]
    with torch.inference_mode():
        layer = embedding_model.network.blocks(embedding_model.network.stem(heard))
    found = embedding_model.open()(samples, 0, NOBODY)[-BLOCKS[-1] :]
    np.testing.assert_allclose(found, layer_statistics(layer)[0].numpy(), atol=1e-4)


def test_a_checkpoints_description_and_weights_build_the_same():
    made, samples = of_other_weights(), noise(3)
    built = build_embedding_model(made.describe(), made.weights())
    np.testing.assert_array_equal(built.open()(samples, 0, NOBODY), made.open()(samples, 0, NOBODY))
    assert (built.open()(samples, 0, NOBODY) != FrozenCnn().open()(samples, 0, NOBODY)).any()


def test_what_is_kept_of_other_weights_is_not_taken_for_these():
    made = of_other_weights()
    assert embeddings_key(made, 1.5) != embeddings_key(FrozenCnn(), 1.5)
    with pytest.raises(RunError, match="was trained on features of practised"):
        build_embedding_model(made.describe(), FrozenCnn().weights())


@pytest.mark.parametrize("spoil", [lambda value: value.flatten()[:1], lambda value: value.new_zeros(3)])
def test_weights_of_other_sizes_are_of_another_version(spoil):
    made = FrozenCnn()
    with pytest.raises(RunError, match="use the version it was trained with"):
        build_embedding_model(made.describe(), {name: spoil(value) for name, value in made.weights().items()})


def test_a_finished_run_does_not_need_the_weights_of_the_package(monkeypatch):
    described, weights = FrozenCnn().describe(), FrozenCnn().weights()
    monkeypatch.setattr("birdnet_nl.embeddings.frozen_cnn.read_practised", lambda path: pytest.fail("read"))
    assert build_embedding_model(described, weights).version == described["version"]


def test_statistics_are_of_each_channel_alone():
    features = torch.zeros(2, 3, 4, 5)
    features[0, 1, 2] = torch.tensor([0.0, 1.0, 2.0, 3.0, 4.0])
    found = layer_statistics(features).reshape(2, 4, 3)
    expected = torch.tensor([0.5, 4.0, 0.125**0.5, 2.0])  # mean; maximum; deviation of 0 … 1 over time; loudest band
    torch.testing.assert_close(found[0, :, 1], expected, atol=1e-3, rtol=0)
    assert (found[1].abs() < 2e-3).all() and (found[0, :, [0, 2]].abs() < 2e-3).all()
