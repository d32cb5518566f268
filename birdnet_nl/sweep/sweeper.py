"""Resumable sweeper of `python train.py -m`: runs every combination of the arguments with any of Hydra's launchers.

It skips finished jobs, resumes interrupted ones, tries failed ones again and continues after a worker was killed.
"""

import os
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, read_write

from birdnet_nl.sweep.arguments import MULTIRUN, CachedLoader, PlannedJobs, combine, plan_jobs, pool_of
from birdnet_nl.sweep.fingerprints import configuration_fingerprint, recordings_fingerprint
from birdnet_nl.sweep.job import LAUNCHER
from birdnet_nl.sweep.job_file import (
    FORESEEN,
    TRANSIENT,
    JobRecord,
    State,
    current_record,
    is_disk_full,
    is_running,
    read_record,
    write_record,
)
from birdnet_nl.sweep.jobs import Job, keep_folders, override_key, override_value
from birdnet_nl.sweep.launchers import check_sweep_folder, count_parallel_jobs, prints_failures, record_dead_workers
from birdnet_nl.sweep.path_arguments import quoted
from birdnet_nl.sweep.plan import Action, JobPlan, move_aside, plan_job, show_plan
from birdnet_nl.sweep.processes import this_process
from birdnet_nl.sweep.progress import finish_sweep, print_interrupted, print_start, show_progress
from birdnet_nl.sweep.sweep_file import (
    MULTIRUN_FILE,
    find_same_sweep,
    find_sweep,
    lock_sweep,
    new_sweep,
    resume_command,
    write_sweep,
)
from birdnet_nl.util.console import display_path, warn
from birdnet_nl.util.errors import RunError
from birdnet_nl.util.signals import set_advice
from hydra_plugins.birdnet_nl_submitit.results import all_results

NAME = "resumable"
PLUGIN_MODULE = "hydra_plugins.birdnet_nl"  # Hydra accepts plugins of this package only; registered under this name
WAIT_S = 20.0  # for workers whose launcher was killed: they end within seconds
MAX_FAILED_LAUNCHES = 3  # consecutive launches without progress before the sweep gives up
WORKER_KILLED = "its process was killed"


class ResumableSweeper(Sweeper):
    """Sweeper that keeps the state of every job on disk, as a replacement of Hydra's basic sweeper."""

    __module__ = PLUGIN_MODULE

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.config, self.loader = config, CachedLoader(hydra_context.config_loader)
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=HydraContext(config_loader=self.loader, callbacks=hydra_context.callbacks),
            task_function=task_function,
            config=config,
        )

    def sweep(self, arguments: list[str]) -> None:
        planned = plan_jobs(
            combine(arguments, self.loader), lambda overrides: self.loader.load_sweep_config(self.config, overrides)
        )
        self.folder = self._choose_folder(planned.jobs)
        earlier = find_sweep(self.folder)
        planned.jobs = keep_folders(planned.jobs, earlier.jobs if earlier else ())
        plans = self._plan_actions(planned)
        launcher = self.config.hydra.launcher
        check_sweep_folder(launcher, self.folder)
        workers = count_parallel_jobs(launcher, len(planned.jobs))
        if self.config.sweep.plan:
            show_plan(planned, plans, self.folder, workers)
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        with lock_sweep(self.folder):
            plans = self._wait_for_workers(planned, plans)
            for plan in plans:
                if plan.action == Action.RESTART and (kept := move_aside(self.folder / plan.job.folder)):
                    warn(
                        f"{plan.job.folder} starts again from the beginning: {plan.reason} "
                        f"(the earlier run is kept in {display_path(kept)})"
                    )
            sweep = new_sweep(self.folder, arguments, planned.jobs, workers)
            write_sweep(sweep)
            if sweep.arguments == tuple(arguments):
                OmegaConf.save(self.config, self.folder / MULTIRUN_FILE)
            print_start(sweep, plans)
            todo = [plan.job for plan in plans if plan.is_todo]
            set_advice(f"finished jobs are kept, continue with: {resume_command(self.folder)}")
            try:
                with show_progress(sweep, todo, failures_are_printed=prints_failures(launcher)):
                    self._run_all(todo)
            except KeyboardInterrupt:
                self._close_records(todo)
                print_interrupted(sweep)
                raise
        finish_sweep(sweep)

    def _choose_folder(self, jobs: Sequence[Job]) -> Path:
        given = self.config.sweep.folder
        if given is None:
            return Path(self.config.hydra.sweep.dir)
        folder = find_same_sweep(Path(self.config.paths.logs), jobs).folder if given == "resume" else Path(given)
        with read_write(self.config):
            self.config.hydra.sweep.dir = str(folder)  # read by the launcher
        return folder

    def _plan_actions(self, planned: PlannedJobs) -> list[JobPlan]:
        fingerprints = {id(cfg): configuration_fingerprint(cfg) for cfg in planned.configurations.values()}
        plans = []
        for job in planned.jobs:
            cfg, run_dir = planned.configuration(job), self.folder / job.folder
            if not run_dir.is_dir():
                plans.append(JobPlan(job, Action.START))
                continue
            recordings = recordings_fingerprint(cfg.data.source, cfg.data.root, job.species, pool_of(cfg))
            plans.append(plan_job(job, run_dir, fingerprints[id(cfg)], recordings))
        return plans

    def _wait_for_workers(self, planned: PlannedJobs, plans: list[JobPlan]) -> list[JobPlan]:
        """Wait some seconds for workers whose launcher was killed, which end by themselves."""
        deadline = time.monotonic() + WAIT_S
        while any(plan.action == Action.RUNNING for plan in plans) and time.monotonic() < deadline:
            time.sleep(0.5)
            plans = self._plan_actions(planned)
        return plans

    def _run_all(self, todo: Sequence[Job]) -> None:
        """Launch jobs until none is left; raises `RunError` for a full disk, and the error of a broken launcher."""
        failures: Counter[Job] = Counter()
        pending, failed_launches = list(todo), 0
        while pending:
            before = {job: read_record(self.folder / job.folder) for job in pending}
            returns, dead, error = self._launch(pending)
            errors = [error, *(job._return_value for job in returns if job.status == JobStatus.FAILED)]
            if any(map(is_disk_full, errors)):
                self._close_records(pending)
                raise RunError(
                    "the disk is full, so the sweep stopped; nothing finished is lost: free some space, then resume it "
                    f"with {resume_command(self.folder)}"
                )
            self._close_records(pending, dead)
            after = {job: read_record(self.folder / job.folder) for job in pending}
            if error is not None:
                has_progress = any(after[job] != before[job] for job in pending)
                failed_launches = 0 if has_progress else failed_launches + 1
                if failed_launches >= MAX_FAILED_LAUNCHES or not _is_worker_death(error, dead, after.values()):
                    raise error
                warn("a worker was killed; the sweep continues with the remaining jobs")
            pending = self._remaining(pending, before, failures, launch_failed=error is not None)

    def _launch(self, jobs: Sequence[Job]) -> tuple[Sequence[JobReturn], set[int], Exception | None]:
        """Return the results of the launcher, the workers that died by themselves, and the error that it raised."""
        sweep_dir = f"hydra.sweep.dir={quoted(str(self.folder))}"
        batch = [[*job.overrides, sweep_dir, f"hydra.sweep.subdir={quoted(job.folder)}"] for job in jobs]
        with record_dead_workers() as dead, all_results(self.launcher):
            try:
                return self.launcher.launch(batch, initial_job_idx=0), dead, None
            except Exception as error:  # the launcher's own error; failed jobs are returned
                return [], dead, error

    def _remaining(
        self, jobs: Sequence[Job], before: Mapping[Job, JobRecord | None], failures: Counter[Job], launch_failed: bool
    ) -> list[Job]:
        """Return the jobs to launch again: first those not started, then failed ones, transient failures first.

        `before` has their records from before the launch, which may not have reached all jobs if it failed.
        """
        first, later = [], []
        for job in jobs:
            record = current_record(self.folder / job.folder)
            if record.state in (State.WAITING, State.CANCELLED) and launch_failed:
                first.append(job)
            elif record.state in (State.FAILED, State.TOO_FEW) and launch_failed and record == before[job]:
                later.append((record.cause != TRANSIENT, job))  # the failure of an earlier sweep
            elif record.state == State.FAILED and record.cause != FORESEEN:
                failures[job] += 1
                if failures[job] <= self.config.sweep.retries:
                    later.append((record.cause != TRANSIENT, job))
        return first + [job for _, job in sorted(later, key=lambda pair: pair[0])]

    def _close_records(self, jobs: Sequence[Job], dead: set[int] | None = None) -> None:
        """Write the final state of jobs whose process ended without doing so; waits for processes that are ending.

        Without `dead` all of them were interrupted. Otherwise the jobs of these processes failed, and all of them
        failed when the set is empty.
        """
        deadline = time.monotonic() + WAIT_S
        for job in jobs:
            run_dir = self.folder / job.folder
            record = read_record(run_dir)
            if record is None or record.state != State.RUNNING:
                continue
            is_own = record.process == this_process()  # this process is no longer in the job
            while not is_own and is_running(run_dir, record) and time.monotonic() < deadline:
                time.sleep(0.1)
            record = read_record(run_dir)
            if record.state != State.RUNNING or (is_running(run_dir, record) and not is_own):
                continue
            state, reason = State.CANCELLED, "interrupted together with the other workers"
            if dead is not None and (not dead or record.process.pid in dead):
                state, reason = State.FAILED, f"{WORKER_KILLED}, by hand or by a system out of memory"
            with suppress(OSError):  # on a full disk the record stays as it is, and still has the right meaning
                write_record(run_dir, replace(record, state=state, reason=reason, cause=TRANSIENT, ended=time.time()))


def _is_worker_death(error: Exception, dead: set[int], records: Any) -> bool:
    """Return True when the launcher raised because a worker died, False for an error of its own."""
    names = {type(error).__name__, type(error.__cause__).__name__}
    return bool(dead or names & {"TerminatedWorkerError", "BrokenProcessPool", "WorkerCrashedError"}) or any(
        record is not None and record.reason.startswith(WORKER_KILLED) for record in records
    )


def register_sweeper() -> None:
    """Register the sweeper with Hydra as `hydra/sweeper=resumable`."""
    sys.modules[PLUGIN_MODULE] = sys.modules[__name__]
    Plugins.instance().register(ResumableSweeper)
    target = f"{ResumableSweeper.__module__}.{ResumableSweeper.__name__}"
    ConfigStore.instance().store(group="hydra/sweeper", name=NAME, node={"_target_": target}, provider="birdnet_nl")


def prepare_sweep(arguments: list[str]) -> list[str]:
    """Select the resumable sweeper unless another one is given, and mark this process as the launcher of a sweep."""
    if not MULTIRUN & set(arguments):
        return arguments
    os.environ[LAUNCHER] = str(os.getpid())
    sweepers = [
        override_value(argument) for argument in arguments if override_key(argument) in ("sweeper", "hydra/sweeper")
    ]
    if any(name != "basic" for name in sweepers):
        return arguments
    register_sweeper()
    return [*arguments, f"hydra/sweeper={NAME}"]
