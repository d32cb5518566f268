"""What a network makes of a recording just before it decides, for looking at neighbours in a projector."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from birdnet_nl.training.module import pool_recordings


@contextmanager
def kept_features(network: nn.Module) -> Iterator[list[torch.Tensor]]:
    """While the block runs, the inputs of the last linear layer gather in the list, [batch, features] each.

    The list stays empty for a network without a linear layer, or one whose last is not applied to segments.
    """
    kept: list[torch.Tensor] = []
    linear = [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
    if not linear:
        yield kept
        return

    def keep(_: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        if inputs[0].ndim == 2:
            kept.append(inputs[0].detach().float().cpu())

    handle = linear[-1].register_forward_pre_hook(keep)
    try:
        yield kept
    finally:
        handle.remove()


def pool_embeddings(features: list[torch.Tensor], recordings: torch.Tensor) -> torch.Tensor | None:
    """Mean features of each recording [recordings, features], or None when there are none for every segment."""
    if not features or sum(map(len, features)) != len(recordings):
        return None
    return pool_recordings(torch.cat(features), recordings)
