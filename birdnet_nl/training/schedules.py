"""How the learning rate changes: after validation, as the original's, or over the whole training in one cycle.

Each takes the optimiser and the number of steps in the whole training, and gives what Lightning wants to know.
"""

from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import OneCycleLR, ReduceLROnPlateau


def follow_validation(
    optimizer: Optimizer, total_steps: int, factor: float, patience: int, min_lr: float
) -> dict[str, Any]:
    """Multiply by `factor` when the validation loss has not fallen for `patience` epochs; `total_steps` is not used."""
    scheduler = ReduceLROnPlateau(optimizer, mode="min", factor=factor, patience=patience, min_lr=min_lr)
    return {"scheduler": scheduler, "monitor": "val/loss"}


def one_cycle(optimizer: Optimizer, total_steps: int, warm_up_share: float) -> dict[str, Any]:
    """Rise to the optimiser's rate over `warm_up_share` of all steps, then fall to nothing (Smith, 2018)."""
    if not 0 < warm_up_share < 1:
        raise ValueError(f"scheduler.warm_up_share={warm_up_share} must lie between 0 and 1")
    if warm_up_share * total_steps == 1:  # a rise of no length, which OneCycleLR would divide by
        warm_up_share *= 1 + 1e-6
    peaks = [group["lr"] for group in optimizer.param_groups]
    scheduler = OneCycleLR(optimizer, max_lr=peaks, total_steps=total_steps, pct_start=warm_up_share)
    return {"scheduler": scheduler, "interval": "step"}
