"""Simulated duration of a sweep by number of workers: `python -m benchmarks.makespan logs/sweep-… --jobs 11000`.

Durations of jobs are drawn from finished runs. A worker takes the next job when it is free, as launchers assign jobs.
It first starts (Python, torch and Lightning), and each job first copies its recordings over a link that all workers
share, one job after the other; for a disk of each worker's own, make `--mb-per-s` large.
"""

import argparse
import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from birdnet_nl.comparison.finished_runs import find_runs

DRAWS = 20


@dataclass(frozen=True)
class Makespan:
    """Medians over the draws for a number of workers: duration, and the share of the time in which workers are busy."""

    workers: int
    seconds: float
    busy: float


def schedule(
    jobs_s: Sequence[float], workers: int, start_s: float, mb_per_job: float, mb_per_s: float, start_each: bool = False
) -> float:
    """Compute the seconds until the last job ends, with jobs assigned in order to the first free worker.

    With `start_each` a process is started for every job (SLURM), otherwise once for each worker (joblib, Ray).
    """
    free = [0.0 if start_each else start_s] * min(workers, len(jobs_s))
    link_free = end = 0.0
    for job_s in jobs_s:
        ready = heapq.heappop(free) + (start_s if start_each else 0.0)
        link_free = max(ready, link_free) + mb_per_job / mb_per_s
        done = link_free + job_s
        heapq.heappush(free, done)
        end = max(end, done)
    return end


def simulate(
    measured_s: Sequence[float], jobs: int, workers: int, seed: int = 0, draws: int = DRAWS, **settings
) -> Makespan:
    """Simulate sweeps of `jobs` jobs drawn from `measured_s`; `settings` are arguments of `schedule`."""
    rng = np.random.default_rng(seed)
    ends, busy = [], []
    for _ in range(draws):
        drawn = rng.choice(np.asarray(measured_s), size=jobs)
        end = schedule(drawn.tolist(), workers, **settings)
        ends.append(end)
        busy.append(drawn.sum() / (end * workers))
    return Makespan(workers, float(np.median(ends)), float(np.median(busy)))


def read_job_seconds(folders: Sequence[Path]) -> list[float]:
    """Read the total seconds of every finished run below `folders`; raises `ValueError` when there is none."""
    seconds = [run.seconds["total"] for run in find_runs(folders).runs if "total" in run.seconds]
    if not seconds:
        raise ValueError(f"no finished run below {', '.join(map(str, folders))} reports its seconds; train some first")
    return seconds


def duration(seconds: float) -> str:
    """Format as `47 s`, `12 min`, `3.4 h` or `5.2 days`."""
    for minimum, unit, name in ((2 * 86_400, 86_400, "days"), (2 * 3_600, 3_600, "h")):
        if seconds >= minimum:
            return f"{seconds / unit:.1f} {name}"
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"


def headline(measured_s: Sequence[float], jobs: int) -> str:
    median_s, max_s = np.median(measured_s), max(measured_s)
    return f"{jobs} jobs drawn from {len(measured_s)} measured (median {median_s:.1f} s, longest {max_s:.1f} s)"


def table(results: Sequence[Makespan]) -> Table:
    shown = Table()
    for heading in ("workers", "makespan", "× one worker", "busy"):
        shown.add_column(heading, justify="right")
    for result in results:
        speed_up = results[0].seconds * results[0].workers / result.seconds
        shown.add_row(str(result.workers), duration(result.seconds), f"{speed_up:.0f}", f"{result.busy:.0%}")
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.makespan", description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path, help="folders with finished runs anywhere below")
    parser.add_argument("--jobs", type=int, default=232)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 8, 64, 512])
    parser.add_argument(
        "--start-s", type=float, default=10.0, help="seconds until a worker has imported torch and Lightning"
    )
    parser.add_argument("--start-each", action="store_true", help="a new process for every job, as SLURM does")
    parser.add_argument("--mb-per-job", type=float, default=100.0, help="size of the recordings of a species")
    parser.add_argument("--mb-per-s", type=float, default=100.0, help="speed of the link that all workers share")
    parser.add_argument("--seed", type=int, default=0)
    options = vars(parser.parse_args())
    measured_s = read_job_seconds(options.pop("folders"))
    jobs, workers = options.pop("jobs"), sorted(options.pop("workers"))
    results = [simulate(measured_s, jobs, count, **options) for count in workers]
    console = Console()
    console.print(headline(measured_s, jobs))
    console.print(table(results))


if __name__ == "__main__":
    main()
