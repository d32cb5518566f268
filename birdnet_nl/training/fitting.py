"""Fitting the last linear layer of a network to whole recordings: a convex problem, solved to its end at once."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

MOST_STEPS = 300
SMALLEST_GRADIENT = 1e-6
SMALLEST_SPREAD = 1e-6


@dataclass(frozen=True)
class Practice:
    """Invented recordings to learn from beside the real ones.

    Attributes:
        features: gives those of the invented recordings [invented, width], as that of the real ones does.
        truth: their types, int64 [invented].
        weight: of all of them together, against all real ones.
    """

    features: Callable[[], torch.Tensor]
    truth: torch.Tensor
    weight: float


def fit(
    network: nn.Module,
    features: Callable[[], torch.Tensor],
    truth: torch.Tensor,
    loss: nn.Module,
    practice: Practice | None = None,
) -> None:
    """Fit a `BagNetwork` or `HeadedNetwork` from nothing, so the result is the same for recordings in any order.

    `features` gives those of the recordings [recordings, width]; they are asked for once, or at each step where the
    network learns how to pool. `truth` holds the types [recordings]. A network whose weights are all kept still stays
    as it is. Each feature of invented recordings is brought to mean and deviation of the real ones: how the types
    differ is learned from them, not how an invented recording differs from a real one.
    """
    weights = [weights for weights in network.parameters() if weights.requires_grad]
    if not weights:
        return
    with torch.no_grad():
        fixed = features()
        network.scale_by(fixed)
        invented = None if practice is None else practice.features()
        align = None if invented is None else aligning(invented, fixed)
    solver = torch.optim.LBFGS(
        weights, max_iter=MOST_STEPS, tolerance_grad=SMALLEST_GRADIENT, line_search_fn="strong_wolfe"
    )

    def objective() -> torch.Tensor:
        solver.zero_grad()
        value = loss(network.answer(features() if network.learns_features else fixed), truth)
        if practice is not None:
            answers = network.answer(align(practice.features() if network.learns_features else invented))
            value = value + practice.weight * nn.functional.cross_entropy(answers, practice.truth)
        squares = sum(penalised.square().sum() for penalised in network.penalised())
        value = value + network.penalty * squares / (2 * len(truth))
        value.backward()
        return value

    solver.step(objective)
    solver.zero_grad()


def aligning(invented: torch.Tensor, real: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    """What gives each column of `invented` [invented, width] mean and deviation of that of `real` [real, width]."""
    ratio = real.std(dim=0, correction=0) / invented.std(dim=0, correction=0).clamp(min=SMALLEST_SPREAD)
    theirs, ours = invented.mean(dim=0), real.mean(dim=0)
    return lambda features: (features - theirs) * ratio + ours


def step_counter(network: nn.Module) -> torch.optim.Optimizer:
    """An optimiser that finds no gradient, so it changes nothing; Lightning saves no checkpoint before a step."""
    return torch.optim.SGD(network.head.parameters(), lr=1.0)
