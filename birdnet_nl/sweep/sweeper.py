"""The sweeper of `python train.py -m`: every combination, with any of Hydra's launchers, until all is done or told.

It skips what is finished, goes on with what is not, and survives a worker that is killed.
"""

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

from birdnet_nl.sweep.composing import QuickLoader
from birdnet_nl.sweep.dead_workers import heard_deaths
from birdnet_nl.sweep.expanding import PlannedJobs, combinations, plan_jobs, pool_of
from birdnet_nl.sweep.failure_reasons import is_disk_full
from birdnet_nl.sweep.fingerprints import configuration_fingerprint, recordings_fingerprint
from birdnet_nl.sweep.job_file import (
    FORESEEN,
    TRANSIENT,
    JobRecord,
    State,
    is_at_work,
    read_record,
    true_record,
    write_record,
)
from birdnet_nl.sweep.jobs import Job, keep_folders
from birdnet_nl.sweep.launchers import at_a_time, tells_of_jobs
from birdnet_nl.sweep.plan import show_plan
from birdnet_nl.sweep.processes import this_process
from birdnet_nl.sweep.progress import watched
from birdnet_nl.sweep.resume_plan import Settled, Step, put_aside, settle
from birdnet_nl.sweep.summary import finish, interrupted, print_start
from birdnet_nl.sweep.sweep_file import at_work_on, earlier_jobs, find_same, new_sweep, resume_command, write_sweep
from birdnet_nl.util.console import display_path, warn
from birdnet_nl.util.errors import RunError
from hydra_plugins.birdnet_nl_submitit.answers import all_answers

NAME = "resumable"
PLUGIN_MODULE = "hydra_plugins.birdnet_nl"  # Hydra takes plugins from below this package only; here under that name
WAIT_S = 20.0  # for workers of a launcher that was killed: they leave within seconds
BREAKS_WITHOUT_WORK = 3  # of a launcher, one after the other, before the sweep gives up


class ResumableSweeper(Sweeper):
    """Hydra's basic sweeper, with a memory."""

    __module__ = PLUGIN_MODULE

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        quick = HydraContext(config_loader=QuickLoader(hydra_context.config_loader), callbacks=hydra_context.callbacks)
        self.hydra_context, self.config = quick, config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=quick, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        planned = self._plan(arguments)
        self.folder = self._choose_folder(planned.jobs)
        planned.jobs = keep_folders(planned.jobs, earlier_jobs(self.folder))
        settled = self._settle(planned)
        launcher = self.config.hydra.launcher
        workers = at_a_time(launcher, len(planned.jobs))
        if self.config.sweep.plan:
            show_plan(planned, settled, self.folder, workers)
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        with at_work_on(self.folder):
            settled = self._await_others(planned, settled)
            for one in settled:
                if one.step == Step.ANEW and (aside := put_aside(self.folder / one.job.folder)):
                    warn(f"{one.job.folder} begins anew: {one.why} (what was there: {display_path(aside)})")
            sweep = new_sweep(self.folder, arguments, planned.jobs, workers)
            write_sweep(sweep)
            if sweep.arguments == tuple(arguments):
                OmegaConf.save(self.config, self.folder / "multirun.yaml")
            print_start(sweep, settled)
            todo = [one.job for one in settled if one.step not in (Step.SKIP, Step.AT_WORK)]
            try:
                with watched(sweep, todo, told=tells_of_jobs(launcher)):
                    self._work_off(todo)
            except KeyboardInterrupt:
                self._close_books(todo)
                interrupted(sweep)
                raise
        finish(sweep)

    def _plan(self, arguments: Sequence[str]) -> PlannedJobs:
        loader = self.hydra_context.config_loader
        combined = combinations(arguments, loader)
        return plan_jobs(combined, lambda overrides: loader.load_sweep_config(self.config, overrides))

    def _choose_folder(self, jobs: Sequence[Job]) -> Path:
        wanted = self.config.sweep.folder
        if wanted is None:
            return Path(self.config.hydra.sweep.dir)
        folder = find_same(Path(self.config.paths.logs), jobs).folder if wanted == "resume" else Path(wanted)
        with read_write(self.config):
            self.config.hydra.sweep.dir = str(folder)  # where the launcher looks
        return folder

    def _settle(self, planned: PlannedJobs) -> list[Settled]:
        configurations = {id(cfg): configuration_fingerprint(cfg) for cfg in planned.kinds.values()}
        settled = []
        for job in planned.jobs:
            cfg, run_dir = planned.configuration(job), self.folder / job.folder
            if not run_dir.is_dir():
                settled.append(Settled(job, Step.BEGIN))
                continue
            recordings = recordings_fingerprint(cfg.data.source, cfg.data.root, job.species, pool_of(cfg))
            settled.append(settle(job, run_dir, configurations[id(cfg)], recordings))
        return settled

    def _await_others(self, planned: PlannedJobs, settled: list[Settled]) -> list[Settled]:
        """Give workers without a launcher the seconds they need to leave."""
        deadline = time.monotonic() + WAIT_S
        while any(one.step == Step.AT_WORK for one in settled) and time.monotonic() < deadline:
            time.sleep(0.5)
            settled = self._settle(planned)
        return settled

    def _work_off(self, todo: Sequence[Job]) -> None:
        """Launch what is left until nothing is; raises `RunError` when the disk is full or the launcher cannot work."""
        failures: Counter[Job] = Counter()
        pending, breaks = list(todo), 0
        while pending:
            before = {job: read_record(self.folder / job.folder) for job in pending}
            returns, dead, error = self._launch(pending)
            if is_disk_full(error) or any(is_disk_full(value) for value in _errors(returns)):
                self._close_books(pending)
                raise RunError(
                    "the disk is full, so the sweep stopped; what is finished is safe: free some space, then go on "
                    f"with {resume_command(self.folder)}"
                )
            self._close_books(pending, dead)
            after = {job: read_record(self.folder / job.folder) for job in pending}
            if error is not None:
                worked = any(after[job] != before[job] for job in pending)
                breaks = 0 if worked else breaks + 1
                if breaks >= BREAKS_WITHOUT_WORK or not _is_death(error, dead, after.values()):
                    raise error
                warn("a worker was killed; the sweep goes on with what is left")
            pending = self._left(pending, before, failures, broken=error is not None)

    def _launch(self, jobs: Sequence[Job]) -> tuple[Sequence[JobReturn], set[int], Exception | None]:
        """What the launcher returns, which workers died by themselves, and what it raised."""
        place = f"hydra.sweep.dir='{self.folder}'"
        batch = [[*job.overrides, place, f"hydra.sweep.subdir='{job.folder}'"] for job in jobs]
        with heard_deaths() as dead, all_answers(self.launcher):
            try:
                return self.launcher.launch(batch, initial_job_idx=0), dead, None
            except Exception as error:  # the launcher's own; failing jobs come back as returns
                return [], dead, error

    def _left(
        self, jobs: Sequence[Job], before: Mapping[Job, JobRecord | None], failures: Counter[Job], broken: bool
    ) -> list[Job]:
        """Jobs to launch once more: those not begun, then failures that may go otherwise, transient ones first.

        `before` are their records before the launcher began, which may have `broken` before it came to all.
        """
        first, later = [], []
        for job in jobs:
            record = true_record(self.folder / job.folder)
            if record.state in (State.WAITING, State.CANCELLED) and broken:
                first.append(job)
            elif record.state in (State.FAILED, State.TOO_FEW) and broken and record == before[job]:
                later.append((record.cause != TRANSIENT, job))  # it is of an earlier attempt
            elif record.state == State.FAILED and record.cause != FORESEEN:
                failures[job] += 1
                if failures[job] <= self.config.sweep.retries:
                    later.append((record.cause != TRANSIENT, job))
        return first + [job for _, job in sorted(later, key=lambda one: one[0])]

    def _close_books(self, jobs: Sequence[Job], dead: set[int] | None = None) -> None:
        """Write down what jobs could not whose process is gone; waits until all of these are.

        Those of the processes in `dead` failed, and all of them when `dead` is empty; others were only interrupted.
        """
        deadline = time.monotonic() + WAIT_S
        for job in jobs:
            run_dir = self.folder / job.folder
            record = read_record(run_dir)
            if record is None or record.state != State.RUNNING:
                continue
            ours = record.process == this_process()  # and this process is no longer in the job
            while not ours and is_at_work(run_dir, record) and time.monotonic() < deadline:
                time.sleep(0.1)
            record = read_record(run_dir)
            if record.state != State.RUNNING or (is_at_work(run_dir, record) and not ours):
                continue
            guilty = dead is not None and (not dead or record.process.pid in dead)
            state, reason = (
                (State.FAILED, "its process was killed, by hand or by a system out of memory")
                if guilty
                else (State.CANCELLED, "interrupted together with the other workers")
            )
            with suppress(OSError):  # on a full disk the record stays as it is, and is understood all the same
                write_record(run_dir, replace(record, state=state, reason=reason, cause=TRANSIENT, ended=time.time()))


def _errors(returns: Sequence[JobReturn]) -> list[Any]:
    return [one._return_value for one in returns if one.status == JobStatus.FAILED]


def _is_death(error: Exception, dead: set[int], records: Any) -> bool:
    """Whether a launcher raised because a worker was gone, and not for a reason of its own."""
    names = {type(error).__name__, type(error.__cause__).__name__}
    if dead or names & {"TerminatedWorkerError", "BrokenProcessPool", "WorkerCrashedError"}:
        return True
    return any(record is not None and record.reason.startswith("its process was killed") for record in records)


def register_sweeper() -> None:
    """Make the sweeper an option of Hydra's, `hydra/sweeper=resumable`."""
    sys.modules[PLUGIN_MODULE] = sys.modules[__name__]
    Plugins.instance().register(ResumableSweeper)
    target = f"{ResumableSweeper.__module__}.{ResumableSweeper.__name__}"
    ConfigStore.instance().store(group="hydra/sweeper", name=NAME, node={"_target_": target}, provider="birdnet_nl")
