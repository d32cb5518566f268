"""Weights in half precision, and files of tensors that are read without running any code."""

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch

from birdnet_nl.util.errors import RunError

Taken = TypeVar("Taken")


def halved(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Halves the file, and changes answers by less than training anew does."""
    return {name: value.half() if value.is_floating_point() else value for name, value in weights.items()}


def in_full(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Back in float32."""
    return {name: value.float() if value.is_floating_point() else value for name, value in weights.items()}


def read_tensors(path: Path, take: Callable[[Any], Taken], wanted: str, maker: str) -> Taken:
    """What `take` finds in a file of `torch.save`; only tensors and plain values are loaded.

    Raises `RunError` where the file is not there, is damaged or lacks what `take` looks for; it says that `wanted` is
    not in it, and that `maker` makes such a file.
    """
    try:
        return take(torch.load(path, map_location="cpu", weights_only=True))
    except FileNotFoundError:
        raise RunError(f"{path} is not there; {maker} writes such a file") from None
    except (RuntimeError, OSError, EOFError, ValueError, LookupError, TypeError, pickle.UnpicklingError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise RunError(f"{path} does not hold {wanted} ({reason}); make it with {maker}") from None
