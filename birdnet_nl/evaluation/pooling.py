"""Pooling of segments: one prediction and one embedding per recording."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from birdnet_nl.training.module import pool_recordings

POOLINGS = ("mean", "log_mean_exp", "activity")
MIN_ACTIVITY = 0.3  # dB; weight of a segment in which nothing exceeds the noise
MIN_PROBABILITY = 1e-7  # lower values are not distinguished in float32


def pool_segments(
    probabilities: torch.Tensor, recordings: torch.Tensor, pooling: str, activity: torch.Tensor | None = None
) -> torch.Tensor:
    """Pool segments to recordings: [segments, types], [segments] -> float32 [recordings, types].

    `mean` weights all segments equally. `log_mean_exp` is the logarithm of the mean exponential of the logits, relative
    to their mean over types: a confident segment weighs more than an uncertain one, such as the silence between
    strophes. `activity` is a mean weighted by the bird activity of the segments (`audio/activity.py`),
    [segments] in dB, which only this pooling needs. `recordings` as for `training.module.pool_recordings`.
    """
    if pooling == "mean":
        return pool_recordings(probabilities, recordings)
    if pooling == "activity":
        weight = (activity + MIN_ACTIVITY).unsqueeze(1)
        return pool_recordings(probabilities * weight, recordings) / pool_recordings(weight, recordings)
    logits = probabilities.clamp(min=MIN_PROBABILITY).log()
    odds = (logits - logits.mean(dim=1, keepdim=True)).exp()  # relative to the geometric mean of the types
    pooled = pool_recordings(odds, recordings)
    return pooled / pooled.sum(dim=1, keepdim=True)


@contextmanager
def capture_embeddings(network: nn.Module) -> Iterator[list[torch.Tensor]]:
    """Collect the inputs of the last linear layer in the list while the block runs, [batch, dimensions] each.

    The list stays empty for a network without a linear layer, or if its last one is not applied to segments.
    """
    captured: list[torch.Tensor] = []
    linear_layers = [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
    if not linear_layers:
        yield captured
        return

    def capture(_: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        if inputs[0].ndim == 2:
            captured.append(inputs[0].detach().float().cpu())

    handle = linear_layers[-1].register_forward_pre_hook(capture)
    try:
        yield captured
    finally:
        handle.remove()


def pool_embeddings(embeddings: list[torch.Tensor], recordings: torch.Tensor) -> torch.Tensor | None:
    """Average over each recording, [recordings, dimensions]; None unless there is one embedding per segment."""
    if not embeddings or sum(map(len, embeddings)) != len(recordings):
        return None
    return pool_recordings(torch.cat(embeddings), recordings)
