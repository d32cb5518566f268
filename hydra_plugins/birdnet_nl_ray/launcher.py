"""Launcher that runs Hydra jobs as Ray tasks, on this machine or on a cluster; a job that dies ends no other job."""
# Hydra imports every plugin on every start, also for --help, so Ray is imported in functions.

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, configure_log, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

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
        from birdnet_nl.util.console import screen
        from hydra_plugins.birdnet_nl_ray.progress import Progress, job_names

        cores = int(ray.cluster_resources().get("CPU", 0))
        where = self.address or "this machine"
        screen.print(f"{len(job_overrides)} jobs on Ray ({where}, {cores} in parallel)", soft_wrap=True)
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
        from birdnet_nl.util.errors import SetupError

        for name, value in QUIET.items():
            os.environ.setdefault(name, value)
        try:
            import ray
        except ImportError:
            raise SetupError('launcher=ray needs Ray, which is not installed: pip install -e ".[ray]"') from None
        if ray.is_initialized():
            return ray
        address = self.address or os.environ.get("RAY_ADDRESS")
        local = {} if address else {"num_cpus": self.workers or _cores(), "object_store_memory": OBJECT_STORE_BYTES}
        local |= {} if address else {"include_dashboard": False}
        try:
            ray.init(address=address, log_to_driver=False, logging_level="ERROR", **(local | self.init))
        except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            where = f"hydra.launcher.address={address}" if address else "a local Ray cluster"
            raise SetupError(f"{where} does not respond ({reason}); start it, or give another address") from error
        return ray


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
        from birdnet_nl.util.failure import explain

        result._return_value.sentence = explain(result._return_value)  # in the worker, since tracebacks cannot be sent
    return result


def _result_of(ray: Any, job: Any, overrides: Sequence[str]) -> JobReturn:
    """Return the result of a job; a failed job when its worker or machine died."""
    from birdnet_nl.util.errors import RunError

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


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
