"""Callbacks: progress of a training, its heartbeat for other processes, saving and the median pruner."""

import json
import math
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import lightning as L
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from birdnet_nl.util.console import info, log, screen
from birdnet_nl.util.files import atomic_path

HEARTBEAT_INTERVAL_S = 2.0
PRUNING_METRIC = "val/recording_balanced_accuracy"
TRAINED = "trained.json"  # of each run whose training ended, with its `history`


def describe_epoch(row: dict[str, float]) -> str:
    """One line about a finished epoch, from a row of `SegmentClassifier.history`; a final model has no validation."""
    if "val/loss" not in row:
        return f"loss {row['train/loss']:.3f}"
    return (
        f"loss {row['train/loss']:.3f}  val loss {row['val/loss']:.3f}  "
        f"val segments {row['val/accuracy']:.0%}  val recordings {row['val/recording_balanced_accuracy']:.0%}"
    )


class TrainingProgress(L.Callback):
    """Progress bar over the whole training; on anything but a terminal one line per epoch.

    Lightning's RichProgressBar starts again with each epoch, so it cannot show the time left of the training. The ETA
    is that of all epochs, which early stopping may shorten.
    """

    def __init__(self) -> None:
        self.bar: Progress | None = None

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if not screen.is_terminal:
            return
        self.bar = Progress(
            TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
            BarColumn(bar_width=28),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(elapsed_when_finished=False),
            TextColumn("{task.fields[numbers]}"),
            console=screen,
            transient=True,
        )
        per_epoch = trainer.num_training_batches
        self.task = self.bar.add_task(
            "training",
            total=trainer.max_epochs * per_epoch,
            completed=trainer.current_epoch * per_epoch,
            epoch=trainer.current_epoch + 1,
            epochs=trainer.max_epochs,
            numbers="",
        )
        self.bar.start()

    def on_train_batch_end(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.advance(self.task)

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        numbers = describe_epoch(module.history[-1])
        log.info("epoch %d/%d  %s", trainer.current_epoch + 1, trainer.max_epochs, numbers)
        if self.bar is not None:
            self.bar.update(self.task, epoch=min(trainer.current_epoch + 2, trainer.max_epochs), numbers=numbers)
        else:
            screen.print(f"epoch {trainer.current_epoch + 1:>2}/{trainer.max_epochs}  {numbers}", soft_wrap=True)

    def on_train_end(self, *_: object) -> None:
        self._stop()

    def on_exception(self, *_: object) -> None:
        self._stop()

    def _stop(self) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None


class Heartbeat(L.Callback):
    """Write the current epoch to `path`, from which other processes see that the run is alive."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.written = 0.0

    def on_train_epoch_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if time.monotonic() - self.written < HEARTBEAT_INTERVAL_S:
            return
        self.written = time.monotonic()
        with atomic_path(self.path, sync=False) as beside:  # of no use after a power cut
            beside.write_text(json.dumps({"epoch": trainer.current_epoch + 1, "epochs": trainer.max_epochs}))


class HistoryWithoutValidation(L.Callback):
    """Add the training loss of each epoch to the history of the module, which validation would do."""

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        with module.explained("the loss or a gradient"):
            module.finite_steps.check()
        row = {"epoch": module.current_epoch, "train/loss": float(module.train_loss.compute())}
        module.train_loss.reset()
        module.train_metrics.reset()  # of recordings that it learns from: not reported
        if module.make_optimizer is not None:
            row["learning_rate"] = module.optimizers().param_groups[0]["lr"]
        module.history.append({**row, "seconds": time.perf_counter() - module.epoch_started})


class SaveWhenTrained(L.Callback):
    """Save one checkpoint at the end of training.

    Lightning's ModelCheckpoint saves nothing before an optimizer step, and a classifier that is fitted at once makes
    none. `dirpath` is set by the run.
    """

    def __init__(self, filename: str) -> None:
        self.filename, self.dirpath = filename, "."

    def on_train_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        trainer.save_checkpoint(Path(self.dirpath) / self.filename, weights_only=True)


class MedianPruner(L.Callback):
    """Median stopping: end a trial that is below the median of earlier trials at the same epoch.

    The same rule as Optuna's MedianPruner, over the run directories of a search, so that trials in other processes
    count too. A pruned trial is tested as it is.

    Args:
        folder: of the whole search, which contains the run directories.
        first_epoch: no trial ends before this many epochs.
        min_trials: no trial ends before this many others have come as far.
    """

    def __init__(self, folder: str, first_epoch: int, min_trials: int) -> None:
        if first_epoch < 1 or min_trials < 1:
            raise ValueError(
                f"callbacks.median_pruner.first_epoch={first_epoch} and min_trials={min_trials} must be at least 1"
            )
        self.folder, self.first_epoch, self.min_trials = Path(folder), first_epoch, min_trials

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        own = [row[PRUNING_METRIC] for row in module.history]
        if len(own) < self.first_epoch or len(own) >= trainer.max_epochs:
            return
        if is_below_median(own, read_histories(self.folder), self.min_trials):
            trainer.should_stop = True
            info(f"[yellow]stopped after epoch {len(own)}: below the median of the trials before at that epoch[/]")


def is_below_median(own: Sequence[float], others: Sequence[Sequence[float]], min_trials: int) -> bool:
    """Whether the best value so far is below the median of the best that others had after as many epochs.

    `own` and each of `others` hold a value per epoch; others that ended earlier do not count.
    """
    reached = [max(values[: len(own)]) for values in others if len(values) >= len(own)]
    return len(reached) >= min_trials and max(own) < statistics.median(reached)


def read_histories(folder: Path, metric: str = PRUNING_METRIC) -> list[list[float]]:
    """The values per epoch of every finished training below `folder`; files that cannot be used are skipped."""
    curves = []
    for path in sorted(folder.rglob(TRAINED)):
        try:
            curve = [float(row[metric]) for row in json.loads(path.read_text(encoding="utf-8"))["history"]]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if all(map(math.isfinite, curve)):
            curves.append(curve)
    return curves
