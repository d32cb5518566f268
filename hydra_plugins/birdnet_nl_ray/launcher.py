"""Launcher that runs Hydra jobs as Ray tasks, on this machine or on a cluster; a job that dies ends no other job."""
# Hydra imports every plugin on every start, also for --help, so Ray is imported in functions.

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, configure_log, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict
from rich.markup import escape

from birdnet_nl.util.console import display_path, screen
from birdnet_nl.util.errors import RunError, SetupError
from birdnet_nl.util.failure import explain, mark_printed
from birdnet_nl.util.words import counted

QUIET = {  # set before Ray is imported
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_OBJECT_STORE_ALLOW_SLOW_STORAGE": "1",  # for containers with a small /dev/shm; little is stored
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
OBJECT_STORE_BYTES = 80 * 1024 * 1024  # the minimum of Ray is 75 MiB


class RayLauncher(Launcher):
    """Launcher for Ray; see `conf/hydra/launcher/ray.yaml` for its arguments."""

    def __init__(
        self, address: str | None, workers: int | None, per_job: DictConfig | dict, init: DictConfig | dict
    ) -> None:
        if workers is not None and workers < 1:
            raise ValueError(f"hydra.launcher.workers={workers} must be at least 1")
        self.address, self.workers = address, workers
        self.per_job, self.init = _plain(per_job), _plain(init)

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        setup_globals()
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        Path(self.config.hydra.sweep.dir).mkdir(parents=True, exist_ok=True)
        ray = self._start()
        cores = int(ray.cluster_resources().get("CPU", 0))
        where = self.address or "this machine"
        screen.print(f"{counted(len(job_overrides), 'job')} on Ray ({where}, {cores} in parallel)", soft_wrap=True)
        # stored once for all jobs: the 232 species and the configuration
        common = ray.put((self.hydra_context, self.task_function, self.config, Singleton.get_state(), str(Path.cwd())))
        remote = ray.remote(max_retries=0, **self.per_job)(_run)  # Ray would start a dead job again in its folder
        jobs = {
            remote.remote(common, list(overrides), initial_job_idx + index): index
            for index, overrides in enumerate(job_overrides)
        }
        results, names = [None] * len(jobs), job_names(job_overrides)
        with Progress(len(jobs)) as progress:
            waiting = list(jobs)
            while waiting:
                (done, *_), waiting = ray.wait(waiting)
                index = jobs[done]
                results[index] = _result_of(ray, done, job_overrides[index])
                progress.report(results[index], names[index])
        return results

    def _start(self) -> Any:
        """Connect to Ray; a local cluster ends with this process. Raises `SetupError`."""
        for name, value in QUIET.items():
            os.environ.setdefault(name, value)
        try:
            import ray
        except ImportError:
            raise SetupError('launcher=ray needs Ray, which is not installed: pip install -e ".[ray]"') from None
        if ray.is_initialized():
            return ray
        address = self.address or os.environ.get("RAY_ADDRESS")
        options: dict[str, Any] = {"address": address, "log_to_driver": False, "logging_level": "ERROR"}
        if not address:
            cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
            options["num_cpus"] = self.workers or cores
            options |= {"object_store_memory": OBJECT_STORE_BYTES, "include_dashboard": False}
        try:
            ray.init(**(options | self.init))
        except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            where = f"hydra.launcher.address={address}" if address else "a local Ray cluster"
            raise SetupError(f"{where} does not respond ({reason}); start it, or give another address") from error
        return ray


class Progress:
    """Counter of finished jobs; prints every failure at once, as one sentence."""

    def __init__(self, jobs: int) -> None:
        self.jobs, self.ended, self.failed = jobs, 0, []
        self.started = time.perf_counter()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        if self.failed:
            names = ", ".join(self.failed)
            screen.print(
                f"[bold red]{counted(len(self.failed), 'job')} of the sweep failed:[/] {names}", soft_wrap=True
            )

    def report(self, result: JobReturn, name: str) -> None:
        self.ended += 1
        left_s = (time.perf_counter() - self.started) / self.ended * (self.jobs - self.ended)
        eta = f", about {left_s / 60:.0f} min left" if left_s > 90 else ""
        count = f"[{self.ended}/{self.jobs}{eta}]"
        if result.status == JobStatus.COMPLETED:
            value = result._return_value
            text = f"validation {value:.0%}" if isinstance(value, float) else "done"
            screen.print(f"{escape(count)} {escape(name)}: {text}", soft_wrap=True)
            return
        error = result._return_value
        sentence = getattr(error, "sentence", None) or explain(error) or f"{type(error).__name__}: {error}"
        folder = OmegaConf.select(result.hydra_cfg, "hydra.runtime.output_dir") if result.hydra_cfg else None
        self.failed.append(display_path(Path(folder)) if folder else escape(name))
        mark_printed(error)  # train.py ends with the first failure, and need not print it again
        screen.print(f"{escape(count)} {escape(name)}: [bold red]✗[/] {escape(sentence)}", soft_wrap=True)


def job_names(jobs: Sequence[Sequence[str]]) -> list[str]:
    """Return a name for each job: its overrides without those that all jobs share."""
    shared = set.intersection(*(set(overrides) for overrides in jobs)) if len(jobs) > 1 else set()
    return [" ".join(override for override in overrides if override not in shared) for overrides in jobs]


def _run(common: tuple, overrides: list[str], number: int) -> JobReturn:
    """Run one job, in a worker."""
    hydra_context, task_function, config, singleton_state, folder = common
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as train.py does
    os.chdir(folder)  # keeps relative paths valid; on a cluster it is a shared folder
    setup_globals()
    Singleton.set_state(singleton_state)
    sweep_config = hydra_context.config_loader.load_sweep_config(config, overrides)
    with open_dict(sweep_config):
        sweep_config.hydra.job.id = f"ray-{number}"
        sweep_config.hydra.job.num = number
    result = run_job(
        hydra_context=hydra_context,
        task_function=task_function,
        config=sweep_config,
        job_dir_key="hydra.sweep.dir",
        job_subdir_key="hydra.sweep.subdir",
    )
    if result.status == JobStatus.FAILED:
        result._return_value.sentence = explain(result._return_value)  # in the worker, since tracebacks cannot be sent
    return result


def _result_of(ray: Any, job: Any, overrides: Sequence[str]) -> JobReturn:
    """Return the result of a job; a failed job when its worker or machine died."""
    try:
        return ray.get(job)
    except ray.exceptions.RayTaskError as error:
        failure = error.cause if isinstance(error.cause, Exception) else error
    except ray.exceptions.RayError as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        failure = RunError(f"{' '.join(overrides)}: its worker died ({reason})")
    return JobReturn(overrides=list(overrides), status=JobStatus.FAILED, _return_value=failure)


def _plain(values: DictConfig | dict) -> dict[str, Any]:
    return OmegaConf.to_container(values, resolve=True) if OmegaConf.is_config(values) else dict(values)
