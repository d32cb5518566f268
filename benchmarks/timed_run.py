"""A run of birdnet_nl as `python train.py` does it, in this process and with a callback that records times."""

import gc
import json
import resource
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import lightning as L
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig

import birdnet_nl.commands.train_main  # noqa: F401  registers the species and the resolvers of the configuration
from benchmarks.processes import max_resident_mb, peak_memory_mb
from birdnet_nl.util.conf_values import conf_dir

CLOCK = "+callbacks.clock={{_target_:benchmarks.timed_run.RunClock,file:'{file}',segments:{segments},epochs:{epochs}}}"


class EndOfMeasurement(Exception):  # noqa: N818  no error
    """Ends a run that is only timed."""


class RunClock(L.Callback):
    """Records the end of each training step and epoch, and ends the run once enough is measured.

    Writes to `file`, as JSON: `batches`, a list of epoch, number of segments, and end time in seconds; `epochs`,
    seconds each with validation; `fit_s`, seconds of the whole training; `precision`, fp32 or bf16.

    Args:
        segments, epochs: raise `EndOfMeasurement` after so many; None to train to the end.
    """

    def __init__(self, file: str, segments: int | None = None, epochs: int | None = None) -> None:
        self.file = Path(file)
        self.max_segments, self.max_epochs = segments, epochs
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
        if self.max_segments is not None and self.segments >= self.max_segments:
            self._stop()

    def on_train_epoch_end(self, *_: object) -> None:
        self.epochs.append(time.perf_counter() - self.epoch_started)
        if self.max_epochs is not None and len(self.epochs) >= self.max_epochs:
            self._stop()

    def on_fit_end(self, *_: object) -> None:
        self._write()

    def _stop(self) -> None:
        self._write()
        raise EndOfMeasurement

    def _write(self) -> None:
        fit_s = time.perf_counter() - self.fit_started
        content = {"batches": self.batches, "epochs": self.epochs, "fit_s": fit_s, "precision": self.precision}
        self.file.write_text(json.dumps(content), encoding="utf-8")


def compose_run(overrides: Sequence[str]) -> DictConfig:
    """Compose the configuration of `python train.py <overrides>`, on the CPU, where all sides are timed."""
    parameter_set = next((o.partition("=")[2] for o in overrides if o.startswith("trainer=")), "fast")
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return compose("train", [f"parameter_set={parameter_set}", "trainer.accelerator=cpu", *overrides])


def time_run(overrides: Sequence[str], segments: int | None = None, epochs: int | None = None) -> dict[str, Any]:
    """Time a run that ends after so many training segments or epochs; returns what `RunClock` writes, and peak memory.

    `worker_memory_mb` is the peak of the largest DataLoader worker, most of which is shared with the process itself.
    """
    from birdnet_nl.runs.train import run

    with TemporaryDirectory() as folder:
        file = Path(folder) / "clock.json"
        clock = CLOCK.format(file=file, segments=segments or "null", epochs=epochs or "null")
        with suppress(EndOfMeasurement):
            run(compose_run([*overrides, clock]), Path(folder) / "run")
        times = json.loads(file.read_text(encoding="utf-8"))
    peak_mb = peak_memory_mb()
    gc.collect()  # ends the workers of the loader
    return {**times, "peak_memory_mb": peak_mb, "worker_memory_mb": max_resident_mb(resource.RUSAGE_CHILDREN)}


def finish_run(overrides: Sequence[str], run_dir: str) -> dict[str, Any]:
    """Train and test to the end in `run_dir`; returns training time, epochs and test balanced accuracy."""
    from birdnet_nl.runs.train import run

    file = Path(run_dir).with_suffix(".clock.json")
    run(compose_run([*overrides, CLOCK.format(file=file, segments="null", epochs="null")]), Path(run_dir))
    report = json.loads((Path(run_dir) / "metrics.json").read_text(encoding="utf-8"))
    return {
        "train_s": json.loads(file.read_text(encoding="utf-8"))["fit_s"],
        "epochs": report["epochs"],
        "balanced_accuracy": report["results"]["recording"]["balanced_accuracy"],
    }
