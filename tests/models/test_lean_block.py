"""The lean block gives the numbers of convolution, batch norm, ReLU and pooling one after the other, backwards too."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from birdnet_nl.models.emsn_cnn import EmsnCnn


@pytest.fixture
def networks() -> tuple[EmsnCnn, EmsnCnn]:
    """The same network twice, with scales of both signs; the second lean."""
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
def test_outputs_gradients_and_statistics_are_those_of_the_layers(networks, size):
    plain, lean = networks
    mel, types = torch.rand(size, 1, 16, 21), torch.arange(size) % 3
    for network in networks:
        F.cross_entropy(network(mel), types).backward()
    torch.testing.assert_close(lean(mel), plain(mel), atol=1e-5, rtol=1e-4)
    gradients = dict(lean.named_parameters())
    for name, parameter in plain.named_parameters():
        largest = float(parameter.grad.abs().max())
        torch.testing.assert_close(gradients[name].grad, parameter.grad, atol=1e-3 * largest + 1e-6, rtol=0, msg=name)
    for (name, expected), found in zip(plain.named_buffers(), lean.buffers(), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4, msg=name)


def test_a_trained_network_answers_the_same(networks):
    plain, lean = networks
    mel = torch.rand(11, 1, 32, 40)
    for network in networks:
        network(mel)  # moves the running statistics
        network.eval()
    with torch.inference_mode():
        torch.testing.assert_close(lean(mel), plain(mel), atol=1e-5, rtol=1e-4)


def test_under_autocast_the_answers_stay_close(networks):
    plain, lean = networks
    mel = torch.rand(9, 1, 32, 40)
    with torch.autocast("cpu", torch.bfloat16):
        forward_head = lean(mel)
    torch.testing.assert_close(forward_head.float(), plain(mel), atol=0.05, rtol=0.1)


def test_inputs_with_a_gradient_get_it(networks):
    gradients = []
    for network in networks:
        mel = torch.rand(5, 1, 16, 16, generator=torch.Generator().manual_seed(1)).requires_grad_()
        network(mel).square().sum().backward()
        gradients.append(mel.grad)
    torch.testing.assert_close(gradients[1], gradients[0], atol=1e-4, rtol=1e-2)


def test_channel_dropout_still_drops_whole_channels():
    torch.manual_seed(0)
    network = EmsnCnn(2, channels=[4, 8], hidden=5, channel_dropout=0.99, hidden_dropout=0.0)
    network.lean = True
    mel = torch.rand(4, 1, 16, 16)
    seen = []
    network.features[4].register_forward_hook(lambda layer, inputs, output: seen.append((output == 0).float().mean()))
    network(mel)
    assert seen[0] > 0.5
    network.eval()
    assert torch.equal(network(mel), network(mel))
