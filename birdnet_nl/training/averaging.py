"""Weights averaged over the steps of a training: what is validated, saved and used in the end."""

import lightning as L
import torch
from lightning.pytorch.callbacks import WeightAveraging


class RunningWeightAverage(WeightAveraging):
    """Exponential average of all weights and batch statistics.

    Args:
        decay: share of the average that a step keeps. Its memory grows to this: at first the average follows the
            weights closely, so that a short training is not held back by its random start: step n keeps
            min(decay, (1 + n) / (10 + n)) of it.
        practised_decay: kept from the first step on, where the network starts from practised weights. These are no
            random start; a short training on few recordings stays near them (as Wortsman et al., 2022, do by mixing
            weights from before and after).
    """

    def __init__(self, decay: float, practised_decay: float) -> None:
        for name, value in (("decay", decay), ("practised_decay", practised_decay)):
            if not 0 < value < 1:
                raise ValueError(f"callbacks.averaging.{name}={value} must lie between 0 and 1")
        self.decay, self.practised_decay, self.pretrained = decay, practised_decay, False
        super().__init__(use_buffers=True, avg_fn=self._average)

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        self.pretrained = pl_module.pretrained
        super().setup(trainer, pl_module, stage)

    def _average(self, average: torch.Tensor, now: torch.Tensor, steps: torch.Tensor | int) -> torch.Tensor:
        if self.pretrained:
            return now if not average.is_floating_point() else torch.lerp(now, average, self.practised_decay)
        return blend(average, now, steps, self.decay)


def blend(average: torch.Tensor, now: torch.Tensor, steps: torch.Tensor | int, decay: float) -> torch.Tensor:
    """The average after one more step, with a memory that grows to `decay`."""
    if not average.is_floating_point():  # counts of batches
        return now
    kept = min(decay, (1 + int(steps)) / (10 + int(steps)))
    return torch.lerp(now, average, kept)
