"""The loss against arithmetic by hand, and what it refuses."""

import pytest
import torch

from birdnet_nl.training.bags import pool_bags
from birdnet_nl.training.losses import LossSettings, Objective

SETTINGS = {
    "label_smoothing": 0.1, "kind": "one", "bag_pooling": "log_mean_exp", "teacher_share": 0.5, "embedding_weight": 1.0
}  # fmt: skip


def objective(weights: tuple[float, ...] = (1.0, 1.0, 1.0), **changes) -> Objective:
    return Objective(LossSettings(**{**SETTINGS, **changes}), torch.tensor(weights))


def logits(count: int) -> torch.Tensor:
    return torch.randn(count, 3, generator=torch.Generator().manual_seed(count))


def test_without_bags_it_is_the_plain_cross_entropy():
    crops, types, weights = logits(6), torch.tensor([0, 1, 2, 0, 1, 2]), (1.0, 2.0, 3.0)
    plain = torch.nn.CrossEntropyLoss(weight=torch.tensor(weights), label_smoothing=0.1)
    assert torch.equal(objective(weights)(crops, types), plain(crops, types))


def test_of_bags_the_pooled_answer_is_judged():
    crops, types = logits(12), torch.tensor([0, 2, 1, 2])
    target = torch.nn.functional.one_hot(types, 3) * 0.9 + 0.1 / 3
    expected = -(target * pool_bags(crops, 3, "log_mean_exp")).sum(dim=1).mean()
    torch.testing.assert_close(objective()(crops, types), expected)
    shares = torch.nn.functional.one_hot(types, 3).float()
    torch.testing.assert_close(objective()(crops, shares), expected)


def test_each_type_is_fully_there_in_a_recording_of_several():
    crops = logits(2)
    shares = torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])
    there = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    expected = -(there * crops.sigmoid().log() + (1 - there) * (-crops).sigmoid().log()).mean()
    torch.testing.assert_close(objective(kind="each", label_smoothing=0.0)(crops, shares), expected)
    types = torch.tensor([2, 1])
    one_hot = torch.nn.functional.one_hot(types, 3).float()
    torch.testing.assert_close(objective(kind="each")(crops, types), objective(kind="each")(crops, one_hot))


@pytest.mark.parametrize(
    "change",
    [
        {"label_smoothing": 1.5}, {"kind": "many"}, {"bag_pooling": "max"}, {"teacher_share": -1},
        {"embedding_weight": -0.5},
    ],
)  # fmt: skip
def test_nonsense_is_refused(change):
    with pytest.raises(ValueError, match=rf"^loss\.{next(iter(change))}="):
        objective(**change)
