"""Learning-rate schedulers: from any class of `torch.optim.lr_scheduler` to Lightning's configuration."""

import inspect
from collections.abc import Callable
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR, ReduceLROnPlateau

MONITOR = "val/loss"


def configure_scheduler(factory: Callable[..., LRScheduler], optimizer: Optimizer, total_steps: int) -> dict[str, Any]:
    """Build a scheduler from `conf/scheduler/` and return what Lightning's `configure_optimizers` expects.

    `ReduceLROnPlateau` follows the validation loss. A scheduler whose class takes `total_steps` (such as `OneCycleLR`)
    gets the number of steps of the training and is updated after each of them; the peak of `OneCycleLR` is the learning
    rate of the optimizer. Any other is updated once an epoch. A `patience`, which trainer=fast and legacy set for
    `ReduceLROnPlateau`, is ignored by schedulers that do not take it.

    Args:
        factory: a scheduler class, or a `functools.partial` of one; called with the optimizer.
        total_steps: optimizer steps in the whole training.

    Raises:
        ValueError: if the arguments in `conf/scheduler/` do not fit the scheduler.
    """
    kind = getattr(factory, "func", factory)
    settings = dict(getattr(factory, "keywords", {}))
    parameters = inspect.signature(kind).parameters
    if "patience" not in parameters:
        settings.pop("patience", None)
    per_step = "total_steps" in parameters
    if per_step:
        settings.setdefault("total_steps", total_steps)
    if kind is OneCycleLR:
        settings.setdefault("max_lr", [group["lr"] for group in optimizer.param_groups])
        settings["pct_start"] = _check_pct_start(settings.get("pct_start", 0.3), settings["total_steps"])
    try:
        scheduler = kind(optimizer, **settings)
    except (TypeError, ValueError) as error:
        raise ValueError(f"scheduler={kind.__name__} cannot be built from conf/scheduler/: {error}") from None
    if isinstance(scheduler, ReduceLROnPlateau):
        return {"scheduler": scheduler, "monitor": MONITOR}
    return {"scheduler": scheduler, "interval": "step" if per_step else "epoch"}


def _check_pct_start(share: float, total_steps: int) -> float:
    if not 0 < share < 1:
        raise ValueError(f"scheduler.pct_start={share} must be between 0 and 1")
    return share * (1 + 1e-6) if share * total_steps == 1 else share  # OneCycleLR would divide by a rise of no length
