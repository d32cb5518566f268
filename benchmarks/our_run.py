"""birdnet_nl's own run as `python train.py` does it, in this process and with a clock in it."""

import gc
import json
import resource
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig

import train  # before torch is loaded: it chooses how waiting threads wait, and registers the species
from benchmarks.processes import peak_memory_mb

CLOCK = "+callbacks.clock={{_target_:benchmarks.run_clock.RunClock,file:'{file}',segments:{segments},epochs:{epochs}}}"


def compose_run(overrides: Sequence[str]) -> DictConfig:
    """The configuration that `python train.py <overrides>` would have; on the CPU, where both sides are timed."""
    parameter_set = next((o.partition("=")[2] for o in overrides if o.startswith("trainer=")), "fast")
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(train.CONFIG_DIR), version_base="1.3"):
        return compose("train", [f"parameter_set={parameter_set}", "trainer.accelerator=cpu", *overrides])


def time_run(overrides: Sequence[str], segments: int | None = None, epochs: int | None = None) -> dict[str, Any]:
    """What `RunClock` noted of a run that ends after so many training segments or epochs, and peak memory.

    `worker_memory_mb` is the peak of the largest DataLoader worker; most of it is shared with the process itself.
    """
    from benchmarks.run_clock import Enough
    from birdnet_nl.runs.train import run

    with TemporaryDirectory() as folder:
        file = Path(folder) / "clock.json"
        clock = CLOCK.format(file=file, segments=segments or "null", epochs=epochs or "null")
        with suppress(Enough):
            run(compose_run([*overrides, clock]), Path(folder) / "run")
        noted = json.loads(file.read_text(encoding="utf-8"))
    peak = peak_memory_mb()
    gc.collect()  # the loader's workers end with it
    return {**noted, "peak_memory_mb": peak, "worker_memory_mb": _worker_memory_mb()}


def finish_run(overrides: Sequence[str], run_dir: str) -> dict[str, Any]:
    """Train and test to the end in `run_dir`; seconds of the training and balanced accuracy on the test recordings."""
    from birdnet_nl.runs.train import run

    file = Path(run_dir).with_suffix(".clock.json")
    run(compose_run([*overrides, CLOCK.format(file=file, segments="null", epochs="null")]), Path(run_dir))
    report = json.loads((Path(run_dir) / "metrics.json").read_text(encoding="utf-8"))
    return {
        "train_s": json.loads(file.read_text(encoding="utf-8"))["fit_s"],
        "epochs": report["epochs"],
        "balanced_accuracy": report["results"]["recording"]["balanced_accuracy"],
    }


def _worker_memory_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)
