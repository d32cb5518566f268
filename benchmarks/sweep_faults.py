"""Sweep of all species on demo recordings with injected faults, and the outcome of every job.

Makes the demo recordings, corrupts the folders of some species (half of them full of junk, half missing), starts the
sweep, kills workers with SIGKILL at random moments and once the launcher, continues with `sweep=resume` when the
launcher is gone, and counts from the files of the runs what finished, what was lost, and what was trained twice.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from hydra import compose, initialize_config_dir
from rich.table import Table

import birdnet_nl.commands.train_main  # noqa: F401  registers the species and the resolvers of the configuration
from benchmarks.processes import ROOT, run_part
from birdnet_nl.species.table import all_species
from birdnet_nl.sweep.job_file import LOG, State, current_record
from birdnet_nl.sweep.sweep_file import find_sweeps, read_sweep
from birdnet_nl.synthetic.demo import make_demo_species
from birdnet_nl.util.conf_values import conf_dir
from birdnet_nl.util.console import progress_bar
from birdnet_nl.util.errors import RunError
from birdnet_nl.util.run_directory import METRICS

POLL_INTERVAL_S = 0.2
TIMEOUT_S = 4 * 3600


def measure(
    quick: bool = False,
    species: int = 232,
    kills: int = 10,
    broken: int = 12,
    workers: int = 2,
    seed: int = 0,
    folder: str | None = None,
    overrides: Sequence[str] = (),
) -> dict[str, Any]:
    """Run the sweep and count; `folder` keeps recordings, mels and logs, which are otherwise deleted at the end."""
    if quick:
        species, kills, broken = min(species, 12), min(kills, 3), min(broken, 2)
    top = Path(folder) if folder else Path(mkdtemp(prefix="sweep_faults_"))
    slugs = [row.slug for row in all_species()][:species]
    rng = random.Random(seed)
    corrupted = rng.sample(slugs, broken)
    try:
        started = time.perf_counter()
        root = prepare_recordings(top, slugs, corrupted, workers)
        prepared_s = time.perf_counter() - started
        command = [sys.executable, str(ROOT / "train.py"), *sweep_arguments(top, root, slugs, workers), *overrides]
        started = time.perf_counter()
        faults = sweep_with_kills(command, top / "logs", len(slugs) - broken, kills, rng)
        return {
            "species": species,
            "workers": workers,
            "seed": seed,
            "corrupted": sorted(corrupted),
            "recordings_s": round(prepared_s, 1),
            "sweep_s": round(time.perf_counter() - started, 1),
            **faults,
            **count_outcomes(top / "logs", corrupted),
        }
    finally:
        if folder is None:
            shutil.rmtree(top, ignore_errors=True)


def sweep_arguments(top: Path, root: Path, slugs: Sequence[str], workers: int) -> list[str]:
    return [
        *("-m", f"species={','.join(slugs)}", "trainer=turbo", "data=demo_small", "data.source=xeno_canto"),
        *(f"data.root={root}", "launcher=joblib", f"hydra.launcher.n_jobs={workers}"),
        *(f"paths.logs={top / 'logs'}", f"paths.cache={top / 'cache'}"),
    ]


def prepare_recordings(top: Path, slugs: Sequence[str], corrupted: Sequence[str], workers: int) -> Path:
    """Make the recordings of `data=demo_small`; the folders of `corrupted` are full of junk or missing."""
    root = top / "recordings"
    shutil.rmtree(top / "logs", ignore_errors=True)
    for slug in corrupted:
        shutil.rmtree(root / f"xeno-canto-{slug}", ignore_errors=True)
    with ProcessPoolExecutor(workers) as pool, progress_bar() as bar:
        folders = pool.map(make_demo_small, [root] * len(slugs), slugs)
        list(bar.track(folders, total=len(slugs), description="recordings"))
    for number, slug in enumerate(corrupted):
        target = root / f"xeno-canto-{slug}"
        if number % 2:
            shutil.rmtree(target)
        else:
            for path in target.rglob("*.mp3"):
                path.write_bytes(b"junk")
    return root


def make_demo_small(root: Path, slug: str) -> None:
    """Make the recordings of a species with the settings of `data=demo_small`."""
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        demo = compose("train", [f"species={slug}", "data=demo_small"]).data.demo
    settings = {name: demo[name] for name in ("recordings_per_type", "seed", "difficulty", "median_s")}
    make_demo_species(root, slug, **settings, progress=False)


def sweep_with_kills(command: list[str], logs: Path, max_jobs: int, kills: int, rng: random.Random) -> dict[str, Any]:
    """Run `command` to its end, while `kills` workers and one launcher are killed at random numbers of finished jobs.

    At most `max_jobs` jobs can finish. Each worker is killed during a job, after a random fraction of a second.
    """
    moments = sorted(rng.sample(range(max_jobs), min(kills, max_jobs)))
    launcher_moment = rng.randrange(1, max_jobs)
    finished: dict[Path, int] = {}
    workers_killed, launchers_killed, exit_codes, rewritten = 0, 0, [], set()

    def check_finished() -> None:
        for path in logs.glob(f"sweep-*/*/*/*/{METRICS}"):
            written = path.stat().st_mtime_ns
            if finished.setdefault(path, written) != written:
                rewritten.add(path)

    process = _start(command)
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        assert time.monotonic() < deadline, f"not finished after {TIMEOUT_S} s"
        time.sleep(POLL_INTERVAL_S)
        check_finished()
        if process.poll() is not None:
            exit_codes.append(process.returncode)
            if process.returncode != -signal.SIGKILL:
                break
            process = _start([*command, "sweep=resume"])
            continue
        if launchers_killed == 0 and len(finished) >= launcher_moment:
            process.kill()
            launchers_killed += 1
        elif moments and len(finished) >= moments[0] and (pid := _running_job(logs, rng)):
            time.sleep(rng.random())
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            moments.pop(0)
            workers_killed += 1
    started = time.perf_counter()
    exit_codes.append(subprocess.run([*command, "sweep=resume"], capture_output=True, check=False).returncode)
    resume_s = time.perf_counter() - started
    check_finished()  # finished jobs must not be trained again
    return {
        "workers_killed": workers_killed,
        "launchers_killed": launchers_killed,
        "exit_codes": exit_codes,
        "resume_when_done_s": round(resume_s, 1),
        "written_twice": len(rewritten),
    }


def _start(command: list[str]) -> subprocess.Popen:
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _running_job(logs: Path, rng: random.Random) -> int | None:
    """Return the process id of a running job at random; None when none is running."""
    try:
        folder = find_sweeps(logs)[0]
        records = [current_record(folder / job.folder) for job in read_sweep(folder).jobs]
    except (IndexError, RunError):  # the sweep is still starting
        return None
    pids = [record.process.pid for record in records if record.state == State.RUNNING]
    return rng.choice(pids) if pids else None


def count_outcomes(logs: Path, corrupted: Sequence[str]) -> dict[str, Any]:
    """Count the outcomes of the only sweep in `logs`, in which the species in `corrupted` must fail."""
    (folder,) = find_sweeps(logs)
    jobs = read_sweep(folder).jobs
    records = {job: current_record(folder / job.folder) for job in jobs}
    intact = [job for job in jobs if job.species not in corrupted]
    done = sorted((record for record in records.values() if record.state == State.DONE), key=lambda job: job.started)
    return {
        "states": dict(Counter(str(record.state) for record in records.values())),
        "finished": sum(records[job].state == State.DONE for job in intact),
        "lost": sorted(job.species for job in intact if records[job].state != State.DONE),
        "corrupted_that_failed": sum(records[job].state == State.FAILED for job in jobs if job.species in corrupted),
        "epochs_logged_twice": sum(_repeated_epochs(folder / job.folder / LOG) for job in intact),
        "histories_broken": sorted(
            job.species for job in intact if not _is_history_complete(folder / job.folder / METRICS)
        ),
        "worker_memory_mb": [record.memory_mb for record in done if record.memory_mb],
    }


def _repeated_epochs(log: Path) -> int:
    """Count epochs that were trained again, by the log of the run."""
    lines = log.read_text(encoding="utf-8").splitlines() if log.is_file() else []
    epochs = Counter(line.partition("] epoch ")[2].partition("/")[0] for line in lines if "] epoch " in line)
    return sum(times - 1 for times in epochs.values())


def _is_history_complete(metrics: Path) -> bool:
    """Return True when every epoch occurs once in the history of the run."""
    if not metrics.is_file():
        return False
    report = json.loads(metrics.read_text(encoding="utf-8"))
    return [row["epoch"] for row in report["history"]] == list(range(report["epochs"]))


def table(result: dict[str, Any]) -> Table:
    shown = Table("", "count", title=f"{result['species']} species, {result['workers']} workers")
    rows = {
        "workers killed": result["workers_killed"],
        "launchers killed": result["launchers_killed"],
        "species corrupted, and failed": f"{len(result['corrupted'])}, {result['corrupted_that_failed']}",
        "finished, of intact species": f"{result['finished']} of {result['species'] - len(result['corrupted'])}",
        "lost": len(result["lost"]),
        "trained twice": result["written_twice"],
        "epochs trained twice": result["epochs_logged_twice"],
        "runs with an incomplete history": len(result["histories_broken"]),
        "seconds for recordings, sweep": f"{result['recordings_s']:.0f}, {result['sweep_s']:.0f}",
        "seconds to resume when all is done": f"{result['resume_when_done_s']:.1f}",
        "largest worker at the end of a job, MB": max(result["worker_memory_mb"], default=0),
    }
    for name, value in rows.items():
        shown.add_row(name, str(value))
    return shown


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--species", type=int, default=232, help="number of species, in the order of the table")
    parser.add_argument("--kills", type=int, default=10, help="workers to kill")
    parser.add_argument("--broken", type=int, default=12, help="species whose folder is corrupted")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments and of the corrupted species")
    parser.add_argument("--folder", help="keep recordings and logs here, and use the recordings again")
    parser.add_argument("--overrides", nargs="*", default=[], help="for train.py, such as trainer.max_epochs=3")


if __name__ == "__main__":
    run_part("sweep_faults")
