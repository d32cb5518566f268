"""Weight averaging over the steps of a training: as a callback, and in a training of fixed length outside a run."""

import math
from collections.abc import Callable, Iterator
from functools import partial

import lightning as L
import torch
from lightning.pytorch.callbacks import WeightAveraging
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR
from torch.optim.swa_utils import AveragedModel

from birdnet_nl.models.registry import nonfinite_tensor, to_half
from birdnet_nl.training.finite import diverged
from birdnet_nl.training.schedules import configure_scheduler

WEIGHT_DECAY, AVERAGE_DECAY = 1e-2, 0.995  # of `train_one_cycle`
REMEDY = "another seed, or other steps"  # its learning rate is fixed


def blend(average: torch.Tensor, current: torch.Tensor, steps: torch.Tensor | int, decay: float) -> torch.Tensor:
    """Compute the average after one more step, which keeps a share of it that grows to `decay`."""
    if not average.is_floating_point():  # counts of batches
        return current
    share = min(decay, (1 + int(steps)) / (10 + int(steps)))
    return torch.lerp(current, average, share)


class RunningWeightAverage(WeightAveraging):
    """Exponential average of all weights and batch statistics, which is validated, saved and used.

    Args:
        decay: share of the average that a step keeps. Step n keeps min(decay, (1 + n) / (10 + n)) of it: at first the
            average follows the weights closely, so that a random start does not hold a short training back.
        pretrained_decay: share kept from the first step on, where the network starts from pretrained weights. That
            start is not random, and a short training on few recordings stays near it (as in Wortsman et al., 2022, who
            mix the weights from before and after).
    """

    def __init__(self, decay: float, pretrained_decay: float) -> None:
        for name, value in (("decay", decay), ("pretrained_decay", pretrained_decay)):
            if not 0 < value < 1:
                raise ValueError(f"callbacks.averaging.{name}={value} must be between 0 and 1")
        self.decay, self.pretrained_decay, self.starts_pretrained = decay, pretrained_decay, False
        super().__init__(use_buffers=True, avg_fn=self._average)

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        self.starts_pretrained = pl_module.starts_pretrained
        super().setup(trainer, pl_module, stage)

    def _average(self, average: torch.Tensor, current: torch.Tensor, steps: torch.Tensor | int) -> torch.Tensor:
        if self.starts_pretrained:
            return current if not average.is_floating_point() else torch.lerp(current, average, self.pretrained_decay)
        return blend(average, current, steps, self.decay)


def train_one_cycle(
    network: nn.Module,
    losses: Iterator[torch.Tensor],
    steps: int,
    max_lr: float,
    pct_start: float,
    on_step: Callable[[float], None],
) -> nn.Module:
    """Train `network` with AdamW and one cycle of the learning rate; returns the average of its weights over the steps.

    `losses` draws a batch at each step and gives its loss, which `on_step` gets too. The result is in evaluation mode.
    Raises `DivergedError` when a loss, or a weight of the result in half precision, is not a finite number.
    """
    averaged = AveragedModel(network, avg_fn=partial(blend, decay=AVERAGE_DECAY), use_buffers=True)
    optimizer = torch.optim.AdamW(network.parameters(), lr=max_lr, weight_decay=WEIGHT_DECAY)
    scheduler = configure_scheduler(partial(OneCycleLR, pct_start=pct_start), optimizer, steps)["scheduler"]
    network.train()
    for step, loss in zip(range(steps), losses, strict=False):
        value = loss.item()
        if not math.isfinite(value):
            raise diverged(f"the loss of step {step + 1}", REMEDY)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        averaged.update_parameters(network)
        on_step(value)
    result = averaged.module.eval()
    if name := nonfinite_tensor(to_half(result.state_dict())):  # the form in which the weights are kept
        raise diverged(f"a weight ({name})", REMEDY)
    return result
