"""Fitting the last linear layer of a network to whole recordings: a convex problem, solved to its end at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

MAX_STEPS = 300
SMALLEST_GRADIENT = 1e-6
SMALLEST_SPREAD = 1e-6

Features = Callable[[], torch.Tensor]


@dataclass(frozen=True)
class Beside:
    """Recordings to learn from beside those of one type: invented ones, or real ones of several types.

    Attributes:
        features: gives theirs, [others, width], as that of the real ones does.
        truth: their types, int64 [others], or the share of each type, float [others, types].
        weight: of all of them together, against all real ones of one type.
        aligned: bring each feature to mean and deviation of the real ones. How the types differ is to be learned from
            invented recordings, not how these differ from real ones.
    """

    features: Features
    truth: torch.Tensor
    weight: float
    aligned: bool


def fit(
    network: nn.Module, features: Features, truth: torch.Tensor, loss: nn.Module, beside: Sequence[Beside] = ()
) -> None:
    """Fit a `RecordingClassifier` or `ResidualHead` from nothing, so the result is the same for recordings in any order.

    `features` gives those of the recordings [recordings, width]; they are asked for once, or at each step where the
    network learns how to pool. `truth` holds the types [recordings], and `loss` weighs these. A network whose weights
    are all kept still stays as it is.
    """
    weights = [weights for weights in network.parameters() if weights.requires_grad]
    if not weights:
        return
    with torch.no_grad():
        fixed = features()
        network.fit_scaler(fixed)
        others = [_aligning(one, fixed) for one in beside]
        fixed_others = [give() for give in others]
        network.fit_landmarks(fixed, torch.cat(fixed_others) if beside else None)
        represented = [network.represent(rows) for rows in (fixed, *fixed_others)]
    solver = torch.optim.LBFGS(
        weights, max_iter=MAX_STEPS, tolerance_grad=SMALLEST_GRADIENT, line_search_fn="strong_wolfe"
    )

    def answers() -> list[torch.Tensor]:
        if network.learns_features:
            return [network.forward_head(give()) for give in (features, *others)]
        return [network.decide(rows) for rows in represented]

    def objective() -> torch.Tensor:
        solver.zero_grad()
        own, *of_others = answers()
        value = loss(own, truth)
        for one, answered in zip(beside, of_others, strict=True):
            value = value + one.weight * _loss_of(one, answered, loss)
        squares = sum(penalised.square().sum() for penalised in network.penalised())
        value = value + network.l2 * squares / (2 * len(truth))
        value.backward()
        return value

    solver.step(objective)
    solver.zero_grad()


def _loss_of(beside: Beside, answers: torch.Tensor, loss: nn.Module) -> torch.Tensor:
    """Invented types are equally frequent, so they need no weights."""
    if beside.aligned:
        return nn.functional.cross_entropy(answers, beside.truth)
    return loss(answers, beside.truth)


def _aligning(beside: Beside, real: torch.Tensor) -> Features:
    if not beside.aligned:
        return beside.features
    align = aligning(beside.features(), real)
    return lambda: align(beside.features())


def aligning(others: torch.Tensor, real: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    """What gives each column of `others` [others, width] mean and deviation of that of `real` [real, width]."""
    ratio = real.std(dim=0, correction=0) / others.std(dim=0, correction=0).clamp(min=SMALLEST_SPREAD)
    theirs, ours = others.mean(dim=0), real.mean(dim=0)
    return lambda features: (features - theirs) * ratio + ours


def step_counter(network: nn.Module) -> torch.optim.Optimizer:
    """An optimiser that finds no gradient, so it changes nothing; Lightning saves no checkpoint before a step."""
    return torch.optim.SGD(network.head.parameters(), lr=1.0)
