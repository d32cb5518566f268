"""Pooling equals arithmetic by hand, and does not depend on the order of the segments."""

import pytest
import torch
from scipy.special import logsumexp

from birdnet_nl.evaluation.pooling import MIN_ACTIVITY, POOLINGS, pool_segments

PROBABILITIES = torch.tensor([[0.98, 0.01, 0.01], [0.3, 0.4, 0.3], [0.3, 0.4, 0.3], [0.2, 0.2, 0.6]])
RECORDINGS = torch.tensor([0, 0, 0, 1])
ACTIVITY = torch.tensor([3.7, 0.0, 0.7, 0.0])  # dB


def test_mean_is_the_mean_probability():
    pooled = pool_segments(PROBABILITIES, RECORDINGS, "mean")
    torch.testing.assert_close(pooled, torch.tensor([[1.58, 0.81, 0.61], [0.6, 0.6, 1.8]]) / 3)


def test_log_mean_exp_is_scipys_over_centred_logits():
    logits = PROBABILITIES.double().log().numpy()
    centred = logits - logits.mean(axis=1, keepdims=True)
    expected = logsumexp(centred[:3], axis=0)
    expected = torch.tensor(expected - logsumexp(expected)).exp()
    pooled = pool_segments(PROBABILITIES, RECORDINGS, "log_mean_exp")
    torch.testing.assert_close(pooled[0].double(), expected, atol=1e-5, rtol=1e-5)


def test_a_sure_segment_outweighs_unsure_ones_in_log_mean_exp_only():
    mean, log_mean_exp = (pool_segments(PROBABILITIES, RECORDINGS, pooling)[0, 0] for pooling in POOLINGS[:2])
    assert mean < 0.6 < 0.8 < log_mean_exp


def test_activity_gives_each_segment_a_say_by_how_much_of_a_bird_is_heard_in_it():
    weight = (ACTIVITY[:3] + MIN_ACTIVITY).unsqueeze(1)
    expected = (PROBABILITIES[:3] * weight).sum(dim=0) / weight.sum()
    torch.testing.assert_close(pool_segments(PROBABILITIES, RECORDINGS, "activity", ACTIVITY)[0], expected)


def test_a_recording_of_silence_is_answered_by_all_of_its_segments_alike():
    silent = pool_segments(PROBABILITIES, RECORDINGS, "activity", torch.zeros(4))
    torch.testing.assert_close(silent, pool_segments(PROBABILITIES, RECORDINGS, "mean"))


@pytest.mark.parametrize("pooling", POOLINGS)
def test_one_segment_is_its_recordings_answer(pooling):
    torch.testing.assert_close(pool_segments(PROBABILITIES, RECORDINGS, pooling, ACTIVITY)[1], PROBABILITIES[3])


@pytest.mark.parametrize("pooling", POOLINGS)
def test_probabilities_stay_probabilities_in_any_order(pooling):
    generator = torch.Generator().manual_seed(1)
    probabilities = torch.randn(50, 2, generator=generator).mul(20).softmax(dim=1)  # some are 0 to float32
    recordings = torch.arange(50) % 7
    activity = torch.rand(50, generator=generator) * 10
    pooled = pool_segments(probabilities, recordings, pooling, activity)
    torch.testing.assert_close(pooled.sum(dim=1), torch.ones(7))
    order = torch.randperm(50, generator=generator)
    shuffled = pool_segments(probabilities[order], recordings[order], pooling, activity[order])
    torch.testing.assert_close(shuffled, pooled)
