"""Fitting the last linear layer of a network to whole recordings: a convex problem, solved to its end at once."""

from collections.abc import Callable

import torch
from torch import nn

MOST_STEPS = 300
SMALLEST_GRADIENT = 1e-6


def fit(network: nn.Module, features: Callable[[], torch.Tensor], truth: torch.Tensor, loss: nn.Module) -> None:
    """Fit a `BagNetwork` or `HeadedNetwork` from nothing, so the result is the same for recordings in any order.

    `features` gives those of the recordings [recordings, width]; they are asked for once, or at each step where the
    network learns how to pool. `truth` holds the types [recordings].
    """
    with torch.no_grad():
        fixed = features()
        network.scale_by(fixed)
    solver = torch.optim.LBFGS(
        [weights for weights in network.parameters() if weights.requires_grad],
        max_iter=MOST_STEPS,
        tolerance_grad=SMALLEST_GRADIENT,
        line_search_fn="strong_wolfe",
    )

    def objective() -> torch.Tensor:
        solver.zero_grad()
        value = loss(network.answer(features() if network.learns_features else fixed), truth)
        squares = sum(weights.square().sum() for weights in network.penalised())
        value = value + network.penalty * squares / (2 * len(truth))
        value.backward()
        return value

    solver.step(objective)
    solver.zero_grad()
