"""Growth of time with the number of segments, and of species in a sweep: a straight line is expected."""

import json
import subprocess
import sys
import time
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from rich.table import Table

from benchmarks import processes
from benchmarks.processes import run_part

SEGMENTS = (300, 600, 1200, 2400)
SPECIES = ("koolmees", "merel", "vink", "winterkoning")
SMALL = ("data=demo", "data.demo.recordings_per_type=12", "data.demo.difficulty=easy", "trainer.max_epochs=3")


def measure(
    quick: bool = False,
    repeats: int = 3,
    segments: Sequence[int] = SEGMENTS,
    species: Sequence[int] = (1, 2, 4),
    plot: str | None = None,
    overrides: Sequence[str] = (),
) -> dict[str, Any]:
    """Time one epoch of `trainer=fast` for each number of segments, and a small sweep for each number of species.

    `plot` is a file for a picture; `overrides` are added to every run.
    """
    if quick:
        repeats, segments, species = 1, (60, 120, 240), (1, 2)
    with TemporaryDirectory() as folder:
        by_segments = time_epochs(folder, segments, repeats, overrides)
        by_species = time_sweeps(Path(folder), species, overrides)
    result = {"segments": by_segments, "species": by_species}
    if plot:
        draw(result, Path(plot))
    return result


def time_epochs(folder: str, counts: Sequence[int], repeats: int, overrides: Sequence[str]) -> dict[str, Any]:
    """Time the second epoch, validation included, for each number of training segments."""
    fast = ["trainer=fast", *overrides]
    noise = {
        count: processes.in_own_process("benchmarks.segments:write_noise", folder=folder, count=count, overrides=fast)
        for count in counts
    }
    rows: dict[int, list[dict[str, Any]]] = {count: [] for count in counts}
    for _ in range(repeats):
        for count in counts:
            run = [*fast, *noise[count]]
            rows[count].append(processes.in_own_process("benchmarks.timed_run:time_run", overrides=run, epochs=2))
    trained = [sum(size for epoch, size, _ in rows[count][0]["batches"] if epoch == 1) for count in counts]
    seconds = [median(row["epochs"][1] for row in rows[count]) for count in counts]  # the first epoch also warms up
    memory = [median(row["peak_memory_mb"] for row in rows[count]) for count in counts]
    return {"counts": trained, "seconds": seconds, "peak_memory_mb": memory, **linear_fit(trained, seconds)}


def time_sweeps(folder: Path, counts: Sequence[int], overrides: Sequence[str]) -> dict[str, Any]:
    """Time `python train.py -m species=…` with empty caches; `runs_s` is the part of the time spent in runs."""
    seconds, runs_s, memory = [], [], []
    for count in counts:
        logs = folder / f"logs_{count}"
        paths = [f"paths.logs={logs}", f"paths.cache={folder / f'cache_{count}'}"]
        names = f"species={','.join(SPECIES[:count])}"
        arguments = ["-m", "trainer=fast", "trainer.accelerator=cpu", names, *SMALL, *paths, *overrides]
        command = [sys.executable, str(processes.ROOT / "train.py"), *arguments]
        started = time.perf_counter()
        done = subprocess.run(command, cwd=processes.ROOT, capture_output=True, text=True)
        seconds.append(time.perf_counter() - started)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-4000:]}")
        reports = [json.loads(path.read_text(encoding="utf-8")) for path in logs.rglob("metrics.json")]
        runs_s.append(sum(report["seconds"]["total"] for report in reports))
        memory.append(max(report["peak_memory_mb"] for report in reports))
    fit = linear_fit(counts, seconds)
    return {"counts": list(counts), "seconds": seconds, "runs_s": runs_s, "peak_memory_mb": memory, **fit}


def linear_fit(counts: Sequence[float], seconds: Sequence[float]) -> dict[str, float]:
    """Fit seconds ≈ intercept_s + count · slope_s by least squares; `r_squared` is the explained share of variance."""
    x, y = np.asarray(counts, float), np.asarray(seconds, float)
    slope, intercept = np.polyfit(x, y, 1)
    unexplained = ((y - (intercept + slope * x)) ** 2).sum()
    r_squared = 1 - unexplained / ((y - y.mean()) ** 2).sum()
    return {"intercept_s": float(intercept), "slope_s": float(slope), "r_squared": float(r_squared)}


def draw(result: dict[str, Any], file: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    titles = {"segments": "one epoch of trainer=fast", "species": "a sweep over small demo species"}
    for axes, (items, title) in zip(figure.subplots(1, 2), titles.items(), strict=True):
        values = result[items]
        line = [0, max(values["counts"])]
        axes.plot(line, [values["intercept_s"] + count * values["slope_s"] for count in line], color="0.7")
        axes.plot(values["counts"], values["seconds"], "o")
        axes.set(title=f"{title}, R² {values['r_squared']:.3f}", xlabel=items, ylabel="seconds", xlim=0, ylim=0)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=120)


def table(result: dict[str, Any]) -> Table:
    shown = Table(title="Growth: a straight line has the same slope everywhere")
    for column in ("items", "count", "seconds", "seconds per item", "peak GB"):
        shown.add_column(column, justify="right" if column != "items" else "left")
    for items, values in result.items():
        for count, seconds, memory in zip(values["counts"], values["seconds"], values["peak_memory_mb"], strict=True):
            shown.add_row(items, str(count), f"{seconds:.2f}", f"{seconds / count:.4g}", f"{memory / 1024:.2f}")
        fit = f"{values['intercept_s']:.2f} + {values['slope_s']:.4g} · count"
        shown.add_row("", "", fit, f"R² {values['r_squared']:.4f}", "", end_section=True)
    return shown


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--segments", type=int, nargs="+", default=SEGMENTS)
    parser.add_argument("--species", type=int, nargs="+", default=(1, 2, 4), help="numbers of species, at most 4")
    parser.add_argument("--plot", help="write a picture to this file")


if __name__ == "__main__":
    run_part("growth")
