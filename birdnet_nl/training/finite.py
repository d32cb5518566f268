"""Numbers of a training that are no longer finite: found before they reach the weights, and explained."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch

from birdnet_nl.training.checkpoint import DivergedError

STEPS_BETWEEN = 20  # checks on a GPU, each of which waits for its work

OVERFLOW = "cannot be converted to type float without overflow"


class FiniteSteps:
    """Check loss and gradients of every step before they change the weights; on a GPU every 20 steps.

    A sum is finite exactly when its parts are, and is the cheapest way to read them all.
    """

    def __init__(self) -> None:
        self.sums: list[torch.Tensor] = []

    def add(self, loss: torch.Tensor, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Note a step; raises `ValueError` as `check` does."""
        gradients = [parameter.grad.sum() for parameter in parameters if parameter.grad is not None]
        self.sums.append(torch.stack([loss.detach().float(), *gradients]).sum())
        if not waits_for_device(loss) or len(self.sums) >= STEPS_BETWEEN:
            self.check()

    def check(self) -> None:
        """Raise `ValueError` when a step since the last check was not finite."""
        sums, self.sums = self.sums, []
        if sums and not torch.stack(sums).isfinite().all():
            raise ValueError("a step is not finite")


def waits_for_device(tensor: torch.Tensor) -> bool:
    """Whether reading a value of `tensor` waits until a GPU has computed it."""
    return tensor.device.type != "cpu"


def diverged(what: str, remedy: str) -> DivergedError:
    """Build the error of a training in which `what` is no longer finite."""
    return DivergedError(
        f"training stopped: {what} is no longer a finite number, although the mels are; start a new run with {remedy}"
    )


@contextmanager
def overflow_explained(what: str, remedy: Callable[[], str]) -> Iterator[None]:
    """Raise `DivergedError` for a factor beyond the largest float32, which torch refuses with a `RuntimeError`."""
    try:
        yield
    except RuntimeError as error:
        if OVERFLOW not in str(error):
            raise
        raise diverged(what, remedy()) from None
