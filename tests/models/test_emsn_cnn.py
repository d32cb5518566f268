"""The original's network: its layers and number of weights; the lean block computes the numbers of the layers."""

import copy
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from birdnet_nl.models.emsn_cnn import EmsnCnn

ORIGINAL = {"channels": [32, 64, 128, 256], "hidden": 128, "channel_dropout": 0.25, "hidden_dropout": 0.5}


def count_weights(types: int) -> int:
    """Convolutions 3×3 with bias, two numbers per channel for batch normalisation, two linear layers."""
    channels = [1, 32, 64, 128, 256]
    convolutions = sum(9 * a * b + b for a, b in pairwise(channels))
    return convolutions + 2 * sum(channels[1:]) + (256 * 128 + 128) + (128 * types + types)


@pytest.mark.parametrize("types", [2, 3])
def test_the_number_of_weights_is_the_originals(types):
    count = sum(weights.numel() for weights in EmsnCnn(types, **ORIGINAL).parameters())
    assert count == count_weights(types)
    assert count_weights(3) == 422_083


def test_the_layers_are_the_originals_in_its_order():
    network = EmsnCnn(3, **ORIGINAL)
    block = ["Conv2d", "BatchNorm2d", "ReLU"]
    assert [type(layer).__name__ for layer in network.features] == [
        *block, "MaxPool2d", "Dropout2d", *block, "MaxPool2d", "Dropout2d", *block, "MaxPool2d", "Dropout2d", *block,
    ]  # fmt: skip
    assert [type(layer).__name__ for layer in network.head] == ["Linear", "ReLU", "Dropout", "Linear"]
    convolutions = [layer for layer in network.features if isinstance(layer, nn.Conv2d)]
    sizes = [(layer.in_channels, layer.out_channels) for layer in convolutions]
    assert sizes == [(1, 32), (32, 64), (64, 128), (128, 256)]
    assert all(layer.kernel_size == (3, 3) and layer.padding == (1, 1) for layer in convolutions)
    assert {layer.p for layer in network.features if isinstance(layer, nn.Dropout2d)} == {0.25}
    assert {layer.kernel_size for layer in network.features if isinstance(layer, nn.MaxPool2d)} == {2}
    assert network.head[2].p == 0.5


def test_the_head_classifies_the_mean_over_mels_and_time():
    torch.manual_seed(0)
    network = EmsnCnn(3, channels=[4, 8], hidden=5, channel_dropout=0.25, hidden_dropout=0.5).eval()
    mel = torch.rand(2, 1, 16, 24)
    with torch.inference_mode():
        features = network.features(mel)
        assert features.shape == (2, 8, 8, 12)
        pooled = F.adaptive_avg_pool2d(features, 1).flatten(1)
        assert pooled.shape[1] == network.num_features
        torch.testing.assert_close(network(mel), network.head(pooled))


@pytest.mark.parametrize("shape", [(128, 282), (8, 8)])
def test_any_mel_gives_one_logit_per_type_and_only_training_drops(shape):
    torch.manual_seed(0)
    network, mel = EmsnCnn(2, **ORIGINAL).eval(), torch.rand(2, 1, *shape)
    assert network(mel).shape == (2, 2) and torch.equal(network(mel), network(mel))
    network.train()
    assert not torch.equal(network(mel), network(mel))


@pytest.fixture
def networks() -> tuple[EmsnCnn, EmsnCnn]:
    """The same network twice, with batch-norm scales of both signs; the second lean."""
    torch.manual_seed(0)
    plain = EmsnCnn(3, channels=[4, 8, 6], hidden=5, channel_dropout=0.0, hidden_dropout=0.0)
    for layer in plain.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, -1, 1)
            nn.init.uniform_(layer.bias, -0.5, 0.5)
    lean = copy.deepcopy(plain)
    lean.lean = True
    return plain, lean


@pytest.mark.parametrize("size", [1, 8, 19])
def test_lean_outputs_gradients_and_statistics_are_those_of_the_layers(networks, size):
    plain, lean = networks
    mel, types = torch.rand(size, 1, 16, 21), torch.arange(size) % 3
    for network in networks:
        F.cross_entropy(network(mel), types).backward()
    torch.testing.assert_close(lean(mel), plain(mel), atol=1e-5, rtol=1e-4)
    gradients = {name: parameter.grad for name, parameter in lean.named_parameters()}
    for name, parameter in plain.named_parameters():
        largest = float(parameter.grad.abs().max())
        torch.testing.assert_close(gradients[name], parameter.grad, atol=1e-3 * largest + 1e-6, rtol=0, msg=name)
    for (name, expected), buffer in zip(plain.named_buffers(), lean.buffers(), strict=True):
        torch.testing.assert_close(buffer, expected, atol=1e-5, rtol=1e-4, msg=name)


def test_a_trained_lean_network_predicts_the_same(networks):
    plain, lean = networks
    mel = torch.rand(11, 1, 32, 40)
    for network in networks:
        network(mel)  # changes the running statistics
        network.eval()
    with torch.inference_mode():
        torch.testing.assert_close(lean(mel), plain(mel), atol=1e-5, rtol=1e-4)


def test_lean_predictions_under_autocast_stay_close(networks):
    plain, lean = networks
    mel = torch.rand(9, 1, 32, 40)
    with torch.autocast("cpu", torch.bfloat16):
        logits = lean(mel)
    torch.testing.assert_close(logits.float(), plain(mel), atol=0.05, rtol=0.1)


def test_lean_blocks_pass_the_gradient_to_their_input(networks):
    gradients = []
    for network in networks:
        mel = torch.rand(5, 1, 16, 16, generator=torch.Generator().manual_seed(1)).requires_grad_()
        network(mel).square().sum().backward()
        gradients.append(mel.grad)
    torch.testing.assert_close(gradients[1], gradients[0], atol=1e-4, rtol=1e-2)


def test_a_lean_network_drops_whole_channels():
    torch.manual_seed(0)
    network = EmsnCnn(2, channels=[4, 8], hidden=5, channel_dropout=0.99, hidden_dropout=0.0)
    network.lean = True
    mel, dropped = torch.rand(4, 1, 16, 16), []
    network.features[4].register_forward_hook(lambda layer, _, output: dropped.append((output == 0).float().mean()))
    network(mel)
    assert dropped[0] > 0.5
    network.eval()
    assert torch.equal(network(mel), network(mel))
