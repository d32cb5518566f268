"""Averaged weights: what is validated and saved, and that a short training is not held back."""

import pytest
import torch

from birdnet_nl.training.averaging import RunningWeightAverage, blend


def test_the_average_has_the_memory_of_its_decay_and_a_short_one_at_first():
    average, now = torch.tensor([0.0]), torch.tensor([1.0])
    assert float(blend(average, now, 0, 0.99)) == pytest.approx(0.9)
    assert float(blend(average, now, 90, 0.99)) == pytest.approx(1 - 91 / 100)
    assert float(blend(average, now, 10_000, 0.99)) == pytest.approx(0.01)


def test_counts_are_taken_as_they_are():
    assert blend(torch.tensor(3), torch.tensor(9), 50, 0.99) == 9


@pytest.mark.parametrize("decay", [0.0, 1.0, 1.5])
def test_a_memory_of_nothing_or_everything_is_refused(decay):
    with pytest.raises(ValueError, match=r"^callbacks\.averaging\.decay="):
        RunningWeightAverage(decay, 0.9)


def test_from_practised_weights_the_memory_is_long_from_the_first_step_on():
    callback = RunningWeightAverage(0.9, 0.995)
    callback.pretrained = True
    average, now = torch.tensor([0.0]), torch.tensor([1.0])
    assert float(callback._average(average, now, 0)) == pytest.approx(0.005)
    callback.pretrained = False
    assert float(callback._average(average, now, 0)) == pytest.approx(0.9)
