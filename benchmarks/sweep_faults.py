"""A sweep of all species on demo recordings with faults injected, and what became of every job.

    python -m benchmarks.sweep_faults --json faults.json
    python -m benchmarks.sweep_faults --quick            # 12 species

It makes the demo recordings, spoils the folders of some species (half of them full of junk, half missing), starts the
sweep, kills workers with SIGKILL at random moments and once the launcher, goes on with `sweep=resume` when the launcher
is gone, and counts from the runs' own files what finished, what was lost, and what was trained twice.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from argparse import ArgumentParser
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from hydra import compose, initialize_config_dir
from rich.table import Table

from benchmarks.command_line import run_part
from benchmarks.processes import ROOT
from benchmarks.sweep_outcome import count
from birdnet_nl.species.table import all_species
from birdnet_nl.sweep.job_file import State, true_record
from birdnet_nl.sweep.sweep_file import find_sweeps, read_sweep
from birdnet_nl.synthetic.demo import make_demo_species
from birdnet_nl.util.console import progress_bar
from birdnet_nl.util.errors import RunError
from birdnet_nl.util.run_directory import METRICS

LOOK_EVERY_S = 0.2
LONGEST_S = 4 * 3600


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
    """`folder` keeps recordings, mels and logs from one time to the next; without one they go when all is done."""
    if quick:
        species, kills, broken = min(species, 12), min(kills, 3), min(broken, 2)
    top = Path(folder) if folder else Path(mkdtemp(prefix="sweep_faults_"))
    slugs = [one.slug for one in all_species()][:species]
    rng = random.Random(seed)
    spoilt = rng.sample(slugs, broken)
    try:
        started = time.perf_counter()
        root = prepare_recordings(top, slugs, spoilt, workers)
        prepared_s = time.perf_counter() - started
        command = [
            *(sys.executable, str(ROOT / "train.py"), "-m", f"species={','.join(slugs)}", "trainer=turbo"),
            *("data=demo_small", "data.source=xeno_canto", f"data.root={root}", "launcher=joblib"),
            *(f"hydra.launcher.n_jobs={workers}", f"paths.logs={top / 'logs'}", f"paths.cache={top / 'cache'}"),
            *overrides,
        ]
        started = time.perf_counter()
        happened = sweep_with_kills(command, top / "logs", len(slugs) - broken, kills, rng)
        return {
            "species": species,
            "workers": workers,
            "seed": seed,
            "spoilt": sorted(spoilt),
            "recordings_s": round(prepared_s, 1),
            "sweep_s": round(time.perf_counter() - started, 1),
            **happened,
            **count(top / "logs", spoilt),
        }
    finally:
        if folder is None:
            shutil.rmtree(top, ignore_errors=True)


def prepare_recordings(top: Path, slugs: Sequence[str], spoilt: Sequence[str], workers: int) -> Path:
    """Demo recordings of `slugs` as of `data=demo_small`; the folders of `spoilt` are full of junk or missing."""
    root = top / "recordings"
    shutil.rmtree(top / "logs", ignore_errors=True)
    for slug in spoilt:
        shutil.rmtree(root / f"xeno-canto-{slug}", ignore_errors=True)
    with ProcessPoolExecutor(workers) as pool, progress_bar() as bar:
        made = pool.map(_make, [root] * len(slugs), slugs)
        list(bar.track(made, total=len(slugs), description="recordings"))
    for number, slug in enumerate(spoilt):
        target = root / f"xeno-canto-{slug}"
        if number % 2:
            shutil.rmtree(target)
        else:
            for path in target.rglob("*.mp3"):
                path.write_bytes(b"junk")
    return root


def _make(root: Path, slug: str) -> None:
    import train

    with initialize_config_dir(str(train.CONFIG_DIR), version_base="1.3"):
        demo = compose("train", [f"species={slug}", "data=demo_small"]).data.demo
    make_demo_species(
        root,
        slug,
        recordings_per_type=demo.recordings_per_type,
        seed=demo.seed,
        difficulty=demo.difficulty,
        median_s=demo.median_s,
        progress=False,
    )


def sweep_with_kills(command: list[str], logs: Path, most: int, kills: int, rng: random.Random) -> dict[str, Any]:
    """Run `command` to its end through `kills` dead workers and one dead launcher, at random numbers of finished jobs.

    `most` jobs can finish. A kill hits a job in the middle: one that is running, after a random fraction of a second.
    """
    moments = sorted(rng.sample(range(most), min(kills, most)))
    launcher_at = rng.randrange(1, most)
    finished: dict[Path, int] = {}
    killed, launchers, codes, twice = 0, 0, [], set()

    def look() -> None:
        for path in logs.glob(f"sweep-*/*/*/*/{METRICS}"):
            written = path.stat().st_mtime_ns
            if finished.setdefault(path, written) != written:
                twice.add(path)

    process = _start(command)
    deadline = time.monotonic() + LONGEST_S
    while True:
        assert time.monotonic() < deadline, f"not finished after {LONGEST_S} s"
        time.sleep(LOOK_EVERY_S)
        look()
        if process.poll() is not None:
            codes.append(process.returncode)
            if process.returncode != -signal.SIGKILL:
                break
            process = _start([*command, "sweep=resume"])
            continue
        if launchers == 0 and len(finished) >= launcher_at:
            process.kill()
            launchers += 1
        elif moments and len(finished) >= moments[0] and (pid := _one_at_work(logs, rng)):
            time.sleep(rng.random())
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            moments.pop(0)
            killed += 1
    started = time.perf_counter()
    again = subprocess.run([*command, "sweep=resume"], capture_output=True, check=False).returncode
    resume_s = time.perf_counter() - started
    look()  # what is done must not have been trained once more
    return {
        "workers_killed": killed,
        "launchers_killed": launchers,
        "exit_codes": [*codes, again],
        "resume_when_done_s": round(resume_s, 1),
        "written_twice": len(twice),
    }


def _start(command: list[str]) -> subprocess.Popen:
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _one_at_work(logs: Path, rng: random.Random) -> int | None:
    """The process of a job that is running now."""
    try:
        folder = find_sweeps(logs)[0]
        records = [true_record(folder / job.folder) for job in read_sweep(folder).jobs]
    except (IndexError, RunError):  # the sweep has only just been started
        return None
    pids = [record.process.pid for record in records if record.state == State.RUNNING]
    return rng.choice(pids) if pids else None


def table(result: dict[str, Any]) -> Table:
    shown = Table("what", "count", title=f"{result['species']} species, {result['workers']} workers")
    rows = {
        "workers killed": result["workers_killed"],
        "launchers killed": result["launchers_killed"],
        "species spoilt, and failed for it": f"{len(result['spoilt'])}, {result['spoilt_that_failed']}",
        "finished of those in order": f"{result['finished']} of {result['species'] - len(result['spoilt'])}",
        "lost": len(result["lost"]),
        "trained twice": result["written_twice"],
        "epochs trained twice": result["epochs_logged_twice"],
        "runs without a whole history": len(result["histories_broken"]),
        "seconds for recordings, sweep": f"{result['recordings_s']:.0f}, {result['sweep_s']:.0f}",
        "seconds to resume when all is done": f"{result['resume_when_done_s']:.1f}",
        "largest worker at the end of a job, MB": max(result["worker_memory_mb"], default=0),
    }
    for name, value in rows.items():
        shown.add_row(name, str(value))
    return shown


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--species", type=int, default=232, help="the first so many of the table")
    parser.add_argument("--kills", type=int, default=10, help="workers to kill")
    parser.add_argument("--broken", type=int, default=12, help="species whose folder is spoilt")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0, help="of the moments and of the species spoilt")
    parser.add_argument("--folder", help="keep recordings and logs here, and use the recordings again")
    parser.add_argument("--overrides", nargs="*", default=[], help="of train.py, as trainer.max_epochs=3")


if __name__ == "__main__":
    run_part("sweep_faults")
