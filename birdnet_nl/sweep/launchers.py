"""Properties of Hydra's launchers: number of parallel jobs, reporting of failures, and workers that died."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from omegaconf import DictConfig

from birdnet_nl.util.errors import RunError

SUBMITIT_PATTERN = re.compile(r"%\d*[AaJjNnsTtuUx%]")  # of submitit and of sbatch --output
LOKY_HOOK = "get_exitcodes_terminated_worker"  # called by loky between the death of a worker and the end of the others


def count_parallel_jobs(launcher: DictConfig, jobs: int) -> int:
    """Return how many of `jobs` run in parallel; for a Ray cluster of unknown size, the cores of this machine."""
    from joblib import cpu_count

    configured = {
        "JoblibLauncher": launcher.get("n_jobs"),
        "RayLauncher": launcher.get("workers") or -1,
        "SlurmLauncher": launcher.get("array_parallelism"),
        "LocalLauncher": jobs,  # submitit's launcher on this machine starts all jobs at once
    }.get(_name(launcher)) or 1
    return configured if configured > 0 else max(1, cpu_count() + 1 + configured)


def check_sweep_folder(launcher: DictConfig, folder: Path) -> None:
    """Raise `RunError` for a `%` in the path of a sweep that submitit or SLURM would replace, as in `%j`."""
    found = SUBMITIT_PATTERN.search(str(folder.resolve()))
    if found and _name(launcher) in ("SlurmLauncher", "LocalLauncher"):
        raise RunError(
            f"{folder} holds {found[0]}, which submitit replaces in the paths of its logs; choose another paths.logs"
        )


def prints_failures(launcher: DictConfig) -> bool:
    """Return True when the launcher, or a job in this process, prints failures itself."""
    name = _name(launcher)
    return name in ("BasicLauncher", "RayLauncher") or (name == "JoblibLauncher" and launcher.get("n_jobs") == 1)


def _name(launcher: DictConfig) -> str:
    return str(launcher._target_).rpartition(".")[2]


@contextmanager
def record_dead_workers() -> Iterator[set[int]]:
    """Collect the process numbers of joblib workers that die by themselves: loky kills all others right after that.

    The set stays empty with other launchers, and with a version of loky that lacks the hook; then the cause is unknown.
    """
    from joblib.externals.loky import process_executor

    dead: set[int] = set()
    original = getattr(process_executor, LOKY_HOOK, None)
    if original is None:
        yield dead
        return

    def record(processes):  # loky's own signature
        result = original(processes)  # waits until the system has noticed the death
        dead.update(pid for pid, process in list(processes.items()) if process.exitcode is not None)
        return result

    setattr(process_executor, LOKY_HOOK, record)
    try:
        yield dead
    finally:
        setattr(process_executor, LOKY_HOOK, original)
