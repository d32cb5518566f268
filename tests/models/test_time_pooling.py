"""Pooling over time by hand, and that neither order nor length of a bag changes it."""

import pytest
import torch

from birdnet_nl.models.compact_cnn import CompactCnn
from birdnet_nl.models.time_pooling import KINDS, TimePooling


def pooling(kind: str) -> TimePooling:
    torch.manual_seed(0)
    made = TimePooling(5, kind)
    if kind == "attention":
        torch.nn.init.normal_(made.score.weight)
    return made


FEATURES = torch.randn(3, 5, 7, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_frames_does_not_matter_and_neither_does_hearing_all_twice(kind):
    pool = pooling(kind)
    torch.testing.assert_close(pool(FEATURES.flip(2)), pool(FEATURES))
    torch.testing.assert_close(pool(torch.cat([FEATURES, FEATURES], dim=2)), pool(FEATURES))
    assert pool(FEATURES).shape == (3, pool.num_features)


@pytest.mark.parametrize("kind", KINDS)
def test_a_single_frame_is_its_own_answer(kind):
    pooled = pooling(kind)(FEATURES[:, :, :1])
    torch.testing.assert_close(pooled[:, :5], FEATURES[:, :, 0])


def test_each_kind_by_hand():
    torch.testing.assert_close(pooling("log_mean_exp")(FEATURES), FEATURES.exp().mean(dim=2).log())
    expected = torch.cat([FEATURES.mean(dim=2), FEATURES.max(dim=2).values], dim=1)
    torch.testing.assert_close(pooling("mean_max")(FEATURES), expected)
    attention = pooling("attention")
    for row, features in zip(attention(FEATURES), FEATURES, strict=True):
        scores = torch.stack([attention.score(frame)[0] for frame in features.T]).exp()
        torch.testing.assert_close(row, (features * scores).sum(dim=1) / scores.sum())


def test_untrained_attention_is_the_mean():
    torch.testing.assert_close(TimePooling(5, "attention")(FEATURES), FEATURES.mean(dim=2))


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match=r"^model\.pooling=max is unknown; choose one of log_mean_exp, attention"):
        TimePooling(5, "max")


@pytest.mark.parametrize("kind", KINDS)
def test_a_network_has_each_and_shows_what_it_answers_from(kind):
    network = CompactCnn(3, channels=[8, 16], dropout=0.2, pooling=kind).eval()
    mel = torch.rand(2, 1, 32, 64)
    features = network.features(mel)
    assert features.shape == (2, network.num_features)
    torch.testing.assert_close(network.forward_head(features), network(mel))
