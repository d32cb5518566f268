"""Averaged weights: a short training is not held back, and one from pretrained weights stays near them."""

import pytest
import torch

from birdnet_nl.training.averaging import RunningWeightAverage, blend


@pytest.mark.parametrize(("step", "kept"), [(0, 0.1), (90, 0.91), (10_000, 0.99)])
def test_the_share_that_is_kept_grows_to_the_decay(step, kept):
    assert float(blend(torch.tensor([1.0]), torch.tensor([0.0]), step, 0.99)) == pytest.approx(kept)
    assert blend(torch.tensor(3), torch.tensor(9), step, 0.99) == 9  # counts are copied


@pytest.mark.parametrize("decay", [0.0, 1.0, 1.5])
def test_an_impossible_decay_is_refused(decay):
    with pytest.raises(ValueError, match=r"^callbacks\.averaging\.decay="):
        RunningWeightAverage(decay, 0.9)


@pytest.mark.parametrize(("starts_pretrained", "kept"), [(True, 0.995), (False, 0.1)])
def test_from_pretrained_weights_the_first_step_keeps_the_full_share(starts_pretrained, kept):
    callback = RunningWeightAverage(0.9, 0.995)
    callback.starts_pretrained = starts_pretrained
    assert float(callback._average(torch.tensor([1.0]), torch.tensor([0.0]), 0)) == pytest.approx(kept)
