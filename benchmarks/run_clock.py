"""A callback that notes when each training step and epoch of a run ends, and ends the run when it has seen enough."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L

Batches = Sequence[tuple[int, int, float]]  # epoch, segments, when it ended in seconds


class Enough(Exception):  # noqa: N818  nothing is wrong
    """Ends a run that was started for its timing alone."""


class RunClock(L.Callback):
    """Writes `file`, a JSON: when `batches` ended, `epochs` in seconds with validation, `fit_s` of the whole training.

    Beside them `precision`, fp32 or bf16.

    Args:
        segments, epochs: raise `Enough` after so many; None to let the run go to its end.
    """

    def __init__(self, file: str, segments: int | None = None, epochs: int | None = None) -> None:
        self.file = Path(file)
        self.enough_segments, self.enough_epochs = segments, epochs
        self.batches: list[tuple[int, int, float]] = []
        self.epochs: list[float] = []
        self.segments = 0

    def on_fit_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self.fit_started = time.perf_counter()
        self.precision = "bf16" if "bf16" in str(trainer.precision) else "fp32"

    def on_train_epoch_start(self, *_: object) -> None:
        self.epoch_started = time.perf_counter()

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, _: int
    ) -> None:
        self.batches.append((trainer.current_epoch, len(batch[0]), time.perf_counter()))
        self.segments += len(batch[0])
        if self.enough_segments is not None and self.segments >= self.enough_segments:
            self._stop()

    def on_train_epoch_end(self, *_: object) -> None:
        self.epochs.append(time.perf_counter() - self.epoch_started)
        if self.enough_epochs is not None and len(self.epochs) >= self.enough_epochs:
            self._stop()

    def on_fit_end(self, *_: object) -> None:
        self._write()

    def _stop(self) -> None:
        self._write()
        raise Enough

    def _write(self) -> None:
        fit_s = time.perf_counter() - self.fit_started
        content = {"batches": self.batches, "epochs": self.epochs, "fit_s": fit_s, "precision": self.precision}
        self.file.write_text(json.dumps(content), encoding="utf-8")
