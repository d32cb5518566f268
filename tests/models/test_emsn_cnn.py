"""The original's network: its layers in their order, its number of weights, its shapes."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from birdnet_nl.models.emsn_cnn import EmsnCnn

ORIGINAL = {"channels": [32, 64, 128, 256], "hidden": 128, "channel_dropout": 0.25, "hidden_dropout": 0.5}


def weights_by_hand(types: int) -> int:
    """Convolutions 3×3 with bias, two numbers per channel for batch normalisation, two linear layers."""
    channels = [1, 32, 64, 128, 256]
    convolutions = sum(9 * a * b + b for a, b in pairwise(channels))
    return convolutions + 2 * sum(channels[1:]) + (256 * 128 + 128) + (128 * types + types)


@pytest.mark.parametrize("types", [2, 3])
def test_the_number_of_weights_is_the_originals(types):
    count = sum(weights.numel() for weights in EmsnCnn(types, **ORIGINAL).parameters())
    assert count == weights_by_hand(types)
    assert weights_by_hand(3) == 422_083


def test_the_layers_stand_in_the_originals_order():
    network = EmsnCnn(3, **ORIGINAL)
    block = ["Conv2d", "BatchNorm2d", "ReLU"]
    assert [type(layer).__name__ for layer in network.features] == [
        *block, "MaxPool2d", "Dropout2d", *block, "MaxPool2d", "Dropout2d", *block, "MaxPool2d", "Dropout2d", *block,
    ]  # fmt: skip
    assert [type(layer).__name__ for layer in network.head] == ["Linear", "ReLU", "Dropout", "Linear"]
    convolutions = [layer for layer in network.features if isinstance(layer, nn.Conv2d)]
    assert [(layer.in_channels, layer.out_channels) for layer in convolutions] == [
        (1, 32),
        (32, 64),
        (64, 128),
        (128, 256),
    ]
    assert all(layer.kernel_size == (3, 3) and layer.padding == (1, 1) for layer in convolutions)
    assert {layer.p for layer in network.features if isinstance(layer, nn.Dropout2d)} == {0.25}
    assert {layer.kernel_size for layer in network.features if isinstance(layer, nn.MaxPool2d)} == {2}
    assert network.head[2].p == 0.5


@pytest.mark.parametrize("types", [2, 3])
@pytest.mark.parametrize("shape", [(128, 282), (128, 301), (16, 32), (8, 8)])
def test_a_batch_of_mels_becomes_one_logit_per_type(types, shape):
    network = EmsnCnn(types, **ORIGINAL).eval()
    with torch.inference_mode():
        logits = network(torch.rand(2, 1, *shape))
    assert logits.shape == (2, types)
    assert torch.isfinite(logits).all()


def test_the_head_sees_the_mean_over_mels_and_time():
    torch.manual_seed(0)
    network = EmsnCnn(3, channels=[4, 8], hidden=5, channel_dropout=0.25, hidden_dropout=0.5).eval()
    mel = torch.rand(2, 1, 16, 24)
    with torch.inference_mode():
        features = network.features(mel)
        assert features.shape == (2, 8, 8, 12)
        pooled = torch.nn.functional.adaptive_avg_pool2d(features, 1).flatten(1)
        torch.testing.assert_close(network(mel), network.head(pooled))


def test_evaluation_is_deterministic_and_training_drops():
    torch.manual_seed(0)
    network, mel = EmsnCnn(3, **ORIGINAL), torch.rand(4, 1, 32, 32)
    network.eval()
    assert torch.equal(network(mel), network(mel))
    network.train()
    assert not torch.equal(network(mel), network(mel))
