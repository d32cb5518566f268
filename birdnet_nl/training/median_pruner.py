"""Trials of a search that lie behind are not trained to their end."""

import json
import statistics
from collections.abc import Sequence
from pathlib import Path

import lightning as L

from birdnet_nl.util.console import info

FIGURE = "val/recording_balanced_accuracy"
TRAINED = "trained.json"  # of each run whose training ended, with its `history`


def is_below_median(own: Sequence[float], others: Sequence[Sequence[float]], min_trials: int) -> bool:
    """Whether the best value so far lies below the median of the best that others had after as many epochs.

    `own` and each of `others` hold a value per epoch; others that ended earlier do not count.
    """
    reached = [max(values[: len(own)]) for values in others if len(values) >= len(own)]
    return len(reached) >= min_trials and max(own) < statistics.median(reached)


def read_histories(folder: Path, figure: str = FIGURE) -> list[list[float]]:
    """The curve of every training below `folder` that has ended; a file that cannot be read is no trial."""
    curves = []
    for path in sorted(folder.rglob(TRAINED)):
        try:
            curves.append([row[figure] for row in json.loads(path.read_text(encoding="utf-8"))["history"]])
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return curves


class MedianPruner(L.Callback):
    """Median stopping: a trial below the median of earlier trials at the same epoch ends, and is judged as it is.

    Args:
        folder: of the whole search; the trials' runs lie below it.
        first_epoch: no trial ends before so many epochs.
        min_trials: no trial ends before so many others have come as far.
    """

    def __init__(self, folder: str, first_epoch: int, min_trials: int) -> None:
        if first_epoch < 1 or min_trials < 1:
            raise ValueError(
                f"callbacks.hopeless.first_epoch={first_epoch} and min_trials={min_trials} must be at least 1"
            )
        self.folder, self.first_epoch, self.min_trials = Path(folder), first_epoch, min_trials

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        own = [row[FIGURE] for row in module.history]
        if len(own) < self.first_epoch or len(own) >= trainer.max_epochs:
            return
        if is_below_median(own, read_histories(self.folder), self.min_trials):
            trainer.should_stop = True
            info(f"[yellow]stopped after epoch {len(own)}: half of the trials before had come further by then[/]")
