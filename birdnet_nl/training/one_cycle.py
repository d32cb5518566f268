"""A training of fixed length outside a run: one cycle of the learning rate, and weights averaged over the steps."""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from birdnet_nl.training.averaging import blend
from birdnet_nl.training.schedules import one_cycle

WEIGHT_DECAY, AVERAGED = 1e-2, 0.995


def train_one_cycle(
    network: nn.Module,
    losses: Iterator[torch.Tensor],
    steps: int,
    peak_rate: float,
    warm_up_share: float,
    on_step: Callable[[float], None],
) -> nn.Module:
    """The average of `network` over so many steps of AdamW, ready to answer; `on_step` is told the loss of each.

    `losses` draws a batch and gives the loss of the network as it then is, at each step anew.
    """
    averaged = AveragedModel(network, avg_fn=partial(blend, decay=AVERAGED), use_buffers=True)
    optimizer = torch.optim.AdamW(network.parameters(), lr=peak_rate, weight_decay=WEIGHT_DECAY)
    rate = one_cycle(optimizer, steps, warm_up_share)["scheduler"]
    network.train()
    for _, loss in zip(range(steps), losses, strict=False):
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rate.step()
        averaged.update_parameters(network)
        on_step(loss.item())
    return averaged.module.eval()
