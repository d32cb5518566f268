"""What a sweep has to know of Hydra's launchers: how many jobs run at a time, and who tells of them."""

from omegaconf import DictConfig


def at_a_time(launcher: DictConfig, jobs: int) -> int:
    """How many of `jobs` run at a time; for a Ray cluster, whose size is not known here, this machine's cores."""
    from joblib import cpu_count

    asked = {
        "JoblibLauncher": launcher.get("n_jobs"),
        "RayLauncher": launcher.get("workers") or -1,
        "SlurmLauncher": launcher.get("array_parallelism"),
        "LocalLauncher": jobs,  # submitit's, which starts all at once
    }.get(_name(launcher)) or 1
    return asked if asked > 0 else max(1, cpu_count() + 1 + asked)


def tells_of_jobs(launcher: DictConfig) -> bool:
    """Whether a job's failure is on the screen at once without us: it runs in this process, or its launcher says so."""
    name = _name(launcher)
    return name in ("BasicLauncher", "RayLauncher") or (name == "JoblibLauncher" and launcher.get("n_jobs") == 1)


def _name(launcher: DictConfig) -> str:
    return str(launcher._target_).rpartition(".")[2]
