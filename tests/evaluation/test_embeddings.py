"""Features are what the last linear layer gets, averaged over each recording."""

import pytest
import torch
from torch import nn

from birdnet_nl.evaluation.embeddings import kept_features, pool_embeddings


def test_the_inputs_of_the_last_linear_layer_are_kept():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3))
    first, second = torch.randn(6, 4), torch.randn(2, 4)
    with kept_features(network) as features:
        answer = network(first)
        network(second)
    network(first)  # no longer kept
    assert [len(part) for part in features] == [6, 2]
    torch.testing.assert_close(network[2](features[0]), answer)


def test_a_recording_is_the_mean_of_its_segments():
    features = [torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[10.0, 20.0]])]
    found = pool_embeddings(features, torch.tensor([0, 0, 1]))
    torch.testing.assert_close(found, torch.tensor([[2.0, 3.0], [10.0, 20.0]]))


@pytest.mark.parametrize("network", [nn.Conv1d(1, 2, 3), nn.Sequential(nn.Linear(4, 2), nn.Flatten())])
def test_a_network_without_features_of_segments_has_no_embeddings(network):
    with kept_features(network) as features:
        network(torch.randn(3, 1, 4))
    assert pool_embeddings(features, torch.tensor([0, 1, 2])) is None
