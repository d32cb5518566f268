"""Output of `--plan`: the actions of a sweep, missing recordings and an estimate of the time; starts nothing."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from omegaconf import DictConfig
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from birdnet_nl.data.sources import SYNTHETIC, choose_sources
from birdnet_nl.species.table import find_species, get_species, pooled_species
from birdnet_nl.sweep.arguments import PlannedJobs, pool_of
from birdnet_nl.sweep.job_file import State
from birdnet_nl.sweep.jobs import Job
from birdnet_nl.sweep.processes import this_process
from birdnet_nl.sweep.progress import format_duration
from birdnet_nl.sweep.resume_plan import Action, JobPlan
from birdnet_nl.sweep.table import find_jobs, read_row
from birdnet_nl.util.console import display_path
from birdnet_nl.util.errors import BirdnetNlError

DEMO, MISSING = "synthetic demo recordings", "no recordings"
MAX_NAMES = 12
MIN_TIMED_RUNS = 3  # finished runs needed for an estimate


def show_plan(planned: PlannedJobs, plans: Sequence[JobPlan], folder: Path, workers: int) -> None:
    out = Console(highlight=False)
    actions = Counter(plan.action for plan in plans)
    sets = Counter(plan.job.parameter_set for plan in plans)
    out.print(
        f"[bold]{len(plans)} jobs[/] ({', '.join(f'{name} {count}' for name, count in sets.items())}), "
        f"{workers} in parallel, in {display_path(folder)}"
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
    by_source: dict[str, list[str]] = {}
    for job, source in sources.items():
        by_source.setdefault(source, []).append(job.species)
    table = Table("recordings", "species", "names")
    for source, slugs in sorted(by_source.items()):
        slugs = list(dict.fromkeys(slugs))
        more = f", and {len(slugs) - MAX_NAMES} more" if len(slugs) > MAX_NAMES else ""
        table.add_row(source, str(len(slugs)), ", ".join(slugs[:MAX_NAMES]) + more)
    if sources:
        out.print(table)
    missing = [slug for slug in dict.fromkeys(by_source.get(MISSING, ())) if find_species(slug)]  # no pools
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
