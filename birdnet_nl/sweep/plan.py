"""Plan of a sweep: the action for each job, and the output of `--plan`, which starts nothing."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from statistics import median

from omegaconf import DictConfig
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from birdnet_nl.data.sources import SYNTHETIC, choose_sources
from birdnet_nl.species.table import find_species, get_species, pooled_species
from birdnet_nl.sweep.arguments import PlannedJobs, pool_of
from birdnet_nl.sweep.job_file import JOB, State, current_record, read_record
from birdnet_nl.sweep.jobs import Job
from birdnet_nl.sweep.processes import this_process
from birdnet_nl.sweep.table import find_jobs, format_duration, read_row
from birdnet_nl.util.console import display_path, output_console
from birdnet_nl.util.errors import BirdnetNlError
from birdnet_nl.util.run_directory import CONFIG
from birdnet_nl.util.words import counted

EARLIER = ".earlier"  # hidden, so that comparisons do not include replaced runs
DEMO, MISSING = "synthetic demo recordings", "no recordings"
MAX_NAMES = 12
MIN_TIMED_RUNS = 3  # finished runs needed for an estimate


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
    changed = ["its configuration"] if stored.configuration != configuration else []
    if stored.recordings != recordings:
        changed.append("its recordings")
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


def show_plan(planned: PlannedJobs, plans: Sequence[JobPlan], folder: Path, workers: int) -> None:
    out = output_console()
    actions = Counter(plan.action for plan in plans)
    sets = Counter(plan.job.parameter_set for plan in plans)
    out.print(
        f"[bold]{counted(len(plans), 'job')}[/] ({', '.join(f'{name} {count}' for name, count in sets.items())}), "
        f"{workers} in parallel, in {display_path(folder)}",
        soft_wrap=True,
    )
    for action, count in actions.items():
        out.print(f"  {count} {action}")
    for plan in plans:
        if plan.action == Action.RESTART:
            out.print(f"  {plan.job.folder}: {escape(plan.reason)}", soft_wrap=True)
    todo = [plan.job for plan in plans if plan.is_todo]
    _show_recordings(out, {job: _recordings_of(job, planned.configuration(job)) for job in todo})
    out.print(_estimate(todo, planned, workers), soft_wrap=True)
    out.print("nothing was started; leave out --plan to start")


def _show_recordings(out: Console, sources: dict[Job, str]) -> None:
    """Print a table of species by folder of recordings, and the command that downloads missing recordings."""
    by_source: dict[str, dict[str, None]] = {}  # species in the order of the jobs
    for job, source in sources.items():
        by_source.setdefault(source, {})[job.species] = None
    table = Table("recordings", "species", "names")
    for source, slugs in sorted((source, list(slugs)) for source, slugs in by_source.items()):
        more = f", and {len(slugs) - MAX_NAMES} more" if len(slugs) > MAX_NAMES else ""
        table.add_row(escape(source), str(len(slugs)), ", ".join(slugs[:MAX_NAMES]) + more)
    if sources:
        out.print(table)
    missing = [slug for slug in by_source.get(MISSING, ()) if find_species(slug)]  # no pools
    if missing:
        more = f" (and {len(missing) - MAX_NAMES} more species)" if len(missing) > MAX_NAMES else ""
        names = " ".join(missing[:MAX_NAMES])
        out.print(f"download missing recordings with birdnet-nl download {names}{more}", soft_wrap=True)


def _recordings_of(job: Job, cfg: DictConfig) -> str:
    pool = pool_of(cfg)
    try:
        members = pooled_species(pool) if pool else [get_species(job.species)]
        choices = choose_sources(cfg.data.source, cfg.data.root, members, group=isinstance(pool, str))
    except (BirdnetNlError, OSError, ValueError):
        return MISSING
    folders = [folder for choice in choices.values() for folder in choice.folders]
    return str(folders[0].parent) if folders else DEMO


def _estimate(todo: Sequence[Job], planned: PlannedJobs, workers: int) -> str:
    """Estimate the time from the median of finished runs of the same parameter set on this machine."""
    if not todo:
        return "no job is left"
    logs = Path(next(iter(planned.configurations.values())).paths.logs)
    seconds: dict[tuple[str, bool], list[float]] = {}
    for job in find_jobs(logs) if logs.is_dir() else ():
        row = read_row(logs / job.folder, job)
        if row.state == State.DONE and row.seconds and row.host in ("", this_process().host):
            seconds.setdefault((row.parameter_set, row.synthetic), []).append(row.seconds)
    total, basis = 0.0, 0
    for job in todo:
        known = seconds.get((job.parameter_set, job.folder.endswith(SYNTHETIC)), [])
        if len(known) < MIN_TIMED_RUNS:
            return (
                f"the time is unknown: {display_path(logs)} has fewer than {MIN_TIMED_RUNS} finished runs with "
                f"trainer={job.parameter_set} on such recordings"
            )
        total, basis = total + median(known), max(basis, len(known))
    duration = format_duration(total / workers)
    return f"about {duration}, from the median of {basis} finished runs with the same parameter set"
