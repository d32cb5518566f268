"""What a person sees of a training, a bar on a terminal or a line per epoch elsewhere; and its heartbeat for others."""

import json
import time
from pathlib import Path

import lightning as L
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from birdnet_nl.util.console import log, screen
from birdnet_nl.util.files import atomic_path

HEARTBEAT_EVERY_S = 2.0


def describe_epoch(row: dict[str, float]) -> str:
    """One line on a finished epoch, from a row of `TypeClassifier.history`."""
    return (
        f"loss {row['train/loss']:.3f}  val loss {row['val/loss']:.3f}  "
        f"val segments {row['val/accuracy']:.0%}  val recordings {row['val/recording_balanced_accuracy']:.0%}"
    )


class TrainingProgress(L.Callback):
    """Progress over the whole training; the ETA is that of all epochs, which early stopping may shorten."""

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
    """Writes the epoch a training is in to `path`, for those who look on from another process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.written = 0.0

    def on_train_epoch_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if time.monotonic() - self.written < HEARTBEAT_EVERY_S:
            return
        self.written = time.monotonic()
        with atomic_path(self.path, sync=False) as beside:  # worth nothing after a power cut
            beside.write_text(json.dumps({"epoch": trainer.current_epoch + 1, "epochs": trainer.max_epochs}))
