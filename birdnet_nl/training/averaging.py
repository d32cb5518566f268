"""Weights averaged over the steps of a training: what is validated, saved and used in the end."""

import torch
from lightning.pytorch.callbacks import WeightAveraging


class RunningWeightAverage(WeightAveraging):
    """Exponential average of all weights and batch statistics, with a memory that grows to `decay`.

    At first the average follows the weights closely, so that a short training is not held back by its random start:
    step n keeps min(decay, (1 + n) / (10 + n)) of it.
    """

    def __init__(self, decay: float) -> None:
        if not 0 < decay < 1:
            raise ValueError(f"callbacks.averaging.decay={decay} must lie between 0 and 1")
        super().__init__(use_buffers=True, avg_fn=lambda average, now, steps: _blend(average, now, steps, decay))


def _blend(average: torch.Tensor, now: torch.Tensor, steps: torch.Tensor | int, decay: float) -> torch.Tensor:
    if not average.is_floating_point():  # counts of batches
        return now
    kept = min(decay, (1 + int(steps)) / (10 + int(steps)))
    return torch.lerp(now, average, kept)
