"""Training of fixed length outside a run, for pretraining and distillation."""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR
from torch.optim.swa_utils import AveragedModel

from birdnet_nl.training.averaging import blend
from birdnet_nl.training.schedules import configure_scheduler

WEIGHT_DECAY, AVERAGE_DECAY = 1e-2, 0.995


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
    """
    averaged = AveragedModel(network, avg_fn=partial(blend, decay=AVERAGE_DECAY), use_buffers=True)
    optimizer = torch.optim.AdamW(network.parameters(), lr=max_lr, weight_decay=WEIGHT_DECAY)
    scheduler = configure_scheduler(partial(OneCycleLR, pct_start=pct_start), optimizer, steps)["scheduler"]
    network.train()
    for _, loss in zip(range(steps), losses, strict=False):
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        averaged.update_parameters(network)
        on_step(loss.item())
    return averaged.module.eval()
