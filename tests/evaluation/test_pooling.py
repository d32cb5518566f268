"""Pooling of segments equals arithmetic by hand, in any order; embeddings are those of the last linear layer."""

import pytest
import torch
from scipy.special import logsumexp
from torch import nn

from birdnet_nl.evaluation.pooling import MIN_ACTIVITY, POOLINGS, capture_embeddings, pool_embeddings, pool_segments

PROBABILITIES = torch.tensor([[0.98, 0.01, 0.01], [0.3, 0.4, 0.3], [0.3, 0.4, 0.3], [0.2, 0.2, 0.6]])
RECORDINGS = torch.tensor([0, 0, 0, 1])
ACTIVITY = torch.tensor([3.7, 0.0, 0.7, 0.0])  # dB


def test_mean_is_the_mean_probability():
    pooled = pool_segments(PROBABILITIES, RECORDINGS, "mean")
    torch.testing.assert_close(pooled, torch.tensor([[1.58, 0.81, 0.61], [0.6, 0.6, 1.8]]) / 3)


def test_log_mean_exp_equals_scipys_over_centred_logits():
    logits = PROBABILITIES.double().log().numpy()
    centred = logits - logits.mean(axis=1, keepdims=True)
    expected = logsumexp(centred[:3], axis=0)
    expected = torch.tensor(expected - logsumexp(expected)).exp()
    pooled = pool_segments(PROBABILITIES, RECORDINGS, "log_mean_exp")
    torch.testing.assert_close(pooled[0].double(), expected, atol=1e-5, rtol=1e-5)


def test_a_confident_segment_outweighs_others_in_log_mean_exp_only():
    mean, log_mean_exp = (pool_segments(PROBABILITIES, RECORDINGS, pooling)[0, 0] for pooling in POOLINGS[:2])
    assert mean < 0.6 < 0.8 < log_mean_exp


def test_activity_weights_segments_by_bird_activity():
    weight = (ACTIVITY[:3] + MIN_ACTIVITY).unsqueeze(1)
    expected = (PROBABILITIES[:3] * weight).sum(dim=0) / weight.sum()
    torch.testing.assert_close(pool_segments(PROBABILITIES, RECORDINGS, "activity", ACTIVITY)[0], expected)


def test_activity_of_a_silent_recording_weights_segments_equally():
    silent = pool_segments(PROBABILITIES, RECORDINGS, "activity", torch.zeros(4))
    torch.testing.assert_close(silent, pool_segments(PROBABILITIES, RECORDINGS, "mean"))


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_single_segment_is_unchanged(pooling):
    torch.testing.assert_close(pool_segments(PROBABILITIES, RECORDINGS, pooling, ACTIVITY)[1], PROBABILITIES[3])


@pytest.mark.parametrize("pooling", POOLINGS)
def test_probabilities_stay_probabilities_in_any_order(pooling):
    generator = torch.Generator().manual_seed(1)
    probabilities = torch.randn(50, 2, generator=generator).mul(20).softmax(dim=1)  # some are 0 in float32
    recordings = torch.arange(50) % 7
    activity = torch.rand(50, generator=generator) * 10
    pooled = pool_segments(probabilities, recordings, pooling, activity)
    torch.testing.assert_close(pooled.sum(dim=1), torch.ones(7))
    order = torch.randperm(50, generator=generator)
    shuffled = pool_segments(probabilities[order], recordings[order], pooling, activity[order])
    torch.testing.assert_close(shuffled, pooled)


def test_the_inputs_of_the_last_linear_layer_are_captured():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3))
    first, second = torch.randn(6, 4), torch.randn(2, 4)
    with capture_embeddings(network) as embeddings:
        output = network(first)
        network(second)
    network(first)  # after the block
    assert [len(part) for part in embeddings] == [6, 2]
    torch.testing.assert_close(network[2](embeddings[0]), output)


def test_an_embedding_is_the_mean_over_the_segments():
    embeddings = [torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[10.0, 20.0]])]
    pooled = pool_embeddings(embeddings, torch.tensor([0, 0, 1]))
    torch.testing.assert_close(pooled, torch.tensor([[2.0, 3.0], [10.0, 20.0]]))


@pytest.mark.parametrize("network", [nn.Conv1d(1, 2, 3), nn.Sequential(nn.Linear(4, 2), nn.Flatten())])
def test_a_network_without_a_linear_layer_on_segments_has_no_embeddings(network):
    with capture_embeddings(network) as embeddings:
        network(torch.randn(3, 1, 4))
    assert pool_embeddings(embeddings, torch.tensor([0, 1, 2])) is None
