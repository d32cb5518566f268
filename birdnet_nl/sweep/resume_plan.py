"""Resume plan of a sweep: whether each job is skipped, resumed, tried again or started from the beginning."""

import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from birdnet_nl.sweep.job_file import JOB, State, current_record, read_record
from birdnet_nl.sweep.jobs import Job
from birdnet_nl.util.run_directory import CONFIG

EARLIER = ".earlier"  # hidden, so that comparisons do not include replaced runs


class Action(StrEnum):
    SKIP = "already finished"
    RUNNING = "running in another process"
    RESUME = "to resume from the last epoch"
    RETRY = "to try again"
    START = "to start"
    RESTART = "to start again from the beginning"


@dataclass(frozen=True)
class JobPlan:
    """Action for one job; `reason` says why it starts again from the beginning, and is empty otherwise."""

    job: Job
    action: Action
    reason: str = ""

    @property
    def is_todo(self) -> bool:
        return self.action not in (Action.SKIP, Action.RUNNING)


def plan_job(job: Job, run_dir: Path, configuration: str, recordings: str) -> JobPlan:
    """Return the action for a job with these fingerprints; changes nothing on disk."""
    record, stored = current_record(run_dir), read_record(run_dir)
    if record.state == State.RUNNING:
        return JobPlan(job, Action.RUNNING)
    if stored is None:
        if record.state == State.DONE:  # finished before there were records, or the record was lost
            return JobPlan(job, Action.SKIP)
        has_run = (run_dir / CONFIG).exists()
        return JobPlan(job, Action.RESTART, "the run there has no job.json") if has_run else JobPlan(job, Action.START)
    changed = [
        name
        for name, before, now in (
            ("its configuration", stored.configuration, configuration),
            ("its recordings", stored.recordings, recordings),
        )
        if before != now
    ]
    if changed:
        return JobPlan(job, Action.RESTART, f"{' and '.join(changed)} changed")
    if record.state == State.DONE:
        return JobPlan(job, Action.SKIP)
    return JobPlan(job, Action.RESUME if record.state in (State.CANCELLED, State.WAITING) else Action.RETRY)


def move_aside(run_dir: Path) -> Path | None:
    """Move a run to `.earlier` beside it, never delete it; returns the new path, None when there was no run."""
    if not (run_dir / JOB).exists() and not (run_dir / CONFIG).exists():
        return None
    parent = run_dir.parent / EARLIER
    parent.mkdir(exist_ok=True)
    stamp = time.strftime("%Y-%m-%d_%H-%M-%S")
    suffixes = ("", *(f"-{number}" for number in range(2, 1000)))
    target = next(path for suffix in suffixes if not (path := parent / f"{run_dir.name}-{stamp}{suffix}").exists())
    run_dir.rename(target)
    return target
