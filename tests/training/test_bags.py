"""Bags: crops that answer together give what the test would give of the same segments."""

import pytest
import torch

from birdnet_nl.evaluation.pooling import POOLINGS as OF_THE_TEST
from birdnet_nl.evaluation.pooling import pool_segments
from birdnet_nl.training.bags import POOLINGS, pool_bags, pool_each


def logits(bags: int, bag: int) -> torch.Tensor:
    return 2 * torch.randn(bags * bag, 3, generator=torch.Generator().manual_seed(bag))


def test_every_pooling_of_the_test_can_be_trained():
    assert set(POOLINGS) < set(OF_THE_TEST)


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("bag", [1, 2, 5])
def test_a_bag_answers_as_a_recording_of_the_same_segments(pooling, bag):
    crops = logits(4, bag)
    expected = pool_segments(crops.softmax(dim=1), torch.arange(4).repeat_interleave(bag), pooling)
    torch.testing.assert_close(pool_bags(crops, bag, pooling).exp(), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_the_order_of_crops_does_not_matter_and_one_crop_is_its_own_answer(pooling):
    crops = logits(3, 4)
    turned = crops.unflatten(0, (3, 4)).flip(1).flatten(0, 1)
    torch.testing.assert_close(pool_bags(crops, 4, pooling), pool_bags(turned, 4, pooling))
    torch.testing.assert_close(pool_bags(crops, 1, pooling), crops.log_softmax(dim=1))


def test_a_crop_that_does_not_know_leaves_the_answer_to_the_others():
    sure, unsure = torch.tensor([[4.0, 0.0, 0.0]]), torch.zeros(3, 3)
    bag = torch.cat([sure, unsure])
    forward_head = {pooling: float(pool_bags(bag, 4, pooling).exp()[0, 0]) for pooling in POOLINGS}
    assert forward_head["log_mean_exp"] > 0.7 > 0.55 > forward_head["mean"]
    bag.requires_grad_()
    pool_bags(bag, 4, "log_mean_exp")[0, 0].neg().backward()
    assert bag.grad[1:].abs().max() < bag.grad[0].abs().max()  # silence is not forced to be of the type


def test_types_by_themselves_are_the_log_of_the_mean_of_exponentials():
    crops = logits(2, 3)
    by_hand = crops.view(2, 3, 3).exp().mean(dim=1).log()
    torch.testing.assert_close(pool_each(crops, 3), by_hand)
    torch.testing.assert_close(pool_each(crops, 1), crops)
