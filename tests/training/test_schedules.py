"""The learning rate over a training."""

from functools import partial

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR, ReduceLROnPlateau

from birdnet_nl.training.schedules import configure_scheduler


@pytest.fixture
def optimizer():
    return torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=0.004)


def test_one_cycle_rises_to_the_learning_rate_of_the_optimizer_and_falls_to_nothing(optimizer):
    configured = configure_scheduler(partial(OneCycleLR, pct_start=0.25), optimizer, total_steps=100)
    rates = []
    for step in range(100):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if step < 99:
            configured["scheduler"].step()
    assert max(rates) == pytest.approx(0.004) and 20 <= rates.index(max(rates)) <= 28
    assert rates[0] < 0.0005 and rates[-1] < 1e-6
    assert configured["interval"] == "step"


def test_on_a_plateau_the_rate_is_multiplied_and_never_below_the_minimum(optimizer):
    plateau = partial(ReduceLROnPlateau, factor=0.5, patience=1, min_lr=0.0015)
    configured = configure_scheduler(plateau, optimizer, total_steps=5)
    assert configured["monitor"] == "val/loss"
    rates = []
    for _ in range(8):
        configured["scheduler"].step(1.0)
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == [0.004, 0.004, 0.002, 0.002, 0.0015, 0.0015, 0.0015, 0.0015]


def test_any_other_scheduler_is_updated_once_an_epoch(optimizer):
    configured = configure_scheduler(partial(CosineAnnealingLR, T_max=10), optimizer, total_steps=500)
    assert isinstance(configured["scheduler"], CosineAnnealingLR) and configured["interval"] == "epoch"


def test_arguments_that_do_not_fit_the_scheduler_are_reported(optimizer):
    with pytest.raises(ValueError, match=r"^scheduler=CosineAnnealingLR cannot be built from conf/scheduler/"):
        configure_scheduler(partial(CosineAnnealingLR, warmup=3), optimizer, total_steps=500)


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0])
def test_a_cycle_must_rise_and_fall(optimizer, share):
    with pytest.raises(ValueError, match=r"^scheduler\.pct_start="):
        configure_scheduler(partial(OneCycleLR, pct_start=share), optimizer, 10)


@pytest.mark.parametrize(("steps", "share"), [(1, 0.25), (4, 0.25), (5, 0.2), (2, 0.5)])
def test_a_rise_may_be_as_short_as_a_step(optimizer, steps, share):
    configured = configure_scheduler(partial(OneCycleLR, pct_start=share), optimizer, steps)
    for _ in range(steps - 1):
        optimizer.step()
        configured["scheduler"].step()
    assert 0 <= optimizer.param_groups[0]["lr"] <= 0.004
