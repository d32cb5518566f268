"""Fitting the last linear layer of a network to whole recordings: a convex problem, solved to its end at once."""

from collections.abc import Callable

import torch
from torch import nn

MOST_STEPS = 300
SMALLEST_GRADIENT = 1e-6


def fit(network: nn.Module, features: Callable[[], torch.Tensor], truth: torch.Tensor, loss: nn.Module) -> None:
    """Fit a `BagNetwork` or `HeadedNetwork` from nothing, so the result is the same for recordings in any order.

    `features` gives those of the recordings [recordings, width]; they are asked for once, or at each step where the
    network learns how to pool. `truth` holds the types [recordings]. A network whose weights are all kept still stays
    as it is.
    """
    weights = [weights for weights in network.parameters() if weights.requires_grad]
    if not weights:
        return
    with torch.no_grad():
        fixed = features()
        network.scale_by(fixed)
    solver = torch.optim.LBFGS(
        weights, max_iter=MOST_STEPS, tolerance_grad=SMALLEST_GRADIENT, line_search_fn="strong_wolfe"
    )

    def objective() -> torch.Tensor:
        solver.zero_grad()
        value = loss(network.answer(features() if network.learns_features else fixed), truth)
        squares = sum(penalised.square().sum() for penalised in network.penalised())
        value = value + network.penalty * squares / (2 * len(truth))
        value.backward()
        return value

    solver.step(objective)
    solver.zero_grad()


def step_counter(network: nn.Module) -> torch.optim.Optimizer:
    """An optimiser that finds no gradient, so it changes nothing; Lightning saves no checkpoint before a step."""
    return torch.optim.SGD(network.head.parameters(), lr=1.0)
