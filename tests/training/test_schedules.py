"""The learning rate over a training."""

import pytest
import torch

from birdnet_nl.training.schedules import follow_validation, one_cycle


@pytest.fixture
def optimizer():
    return torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=0.004)


def test_one_cycle_rises_to_the_rate_and_falls_to_nothing(optimizer):
    made = one_cycle(optimizer, total_steps=100, warm_up_share=0.25)
    rates = []
    for _ in range(100):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        made["scheduler"].step() if len(rates) < 100 else None
    assert max(rates) == pytest.approx(0.004) and 20 <= rates.index(max(rates)) <= 28
    assert rates[0] < 0.0005 and rates[-1] < 1e-6
    assert made["interval"] == "step"


def test_after_validation_the_rate_is_multiplied_and_never_below_the_least(optimizer):
    made = follow_validation(optimizer, total_steps=5, factor=0.5, patience=1, min_lr=0.0015)
    assert made["monitor"] == "val/loss"
    rates = []
    for _ in range(8):
        made["scheduler"].step(1.0)
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == [0.004, 0.004, 0.002, 0.002, 0.0015, 0.0015, 0.0015, 0.0015]


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0])
def test_a_cycle_must_rise_and_fall(optimizer, share):
    with pytest.raises(ValueError, match=r"^scheduler\.warm_up_share="):
        one_cycle(optimizer, 10, share)


@pytest.mark.parametrize(("steps", "share"), [(1, 0.25), (4, 0.25), (5, 0.2), (2, 0.5)])
def test_a_rise_may_be_as_short_as_a_step(optimizer, steps, share):
    made = one_cycle(optimizer, steps, share)
    for _ in range(steps - 1):
        optimizer.step()
        made["scheduler"].step()
    assert 0 <= optimizer.param_groups[0]["lr"] <= 0.004
