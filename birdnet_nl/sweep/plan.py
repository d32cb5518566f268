"""`--plan`: what a sweep would do, what is missing, and how long it may take; nothing is started or written."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from omegaconf import DictConfig
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from birdnet_nl.data.sources import SYNTHETIC, choose_sources
from birdnet_nl.species.pool import pooled_species
from birdnet_nl.species.table import find_species, get_species
from birdnet_nl.sweep.expanding import PlannedJobs, pool_of
from birdnet_nl.sweep.job_file import State
from birdnet_nl.sweep.jobs import Job
from birdnet_nl.sweep.processes import this_process
from birdnet_nl.sweep.progress import in_words
from birdnet_nl.sweep.resume_plan import Settled, Step
from birdnet_nl.sweep.table import jobs_below, read_row
from birdnet_nl.util.console import display_path
from birdnet_nl.util.errors import BirdnetNlError

DEMO, MISSING = "synthetic demo recordings", "no recordings"
NAMED = 12
MIN_TIMED = 3  # finished runs that an estimate rests on


def show_plan(planned: PlannedJobs, settled: Sequence[Settled], folder: Path, workers: int) -> None:
    out = Console(highlight=False)
    steps = Counter(one.step for one in settled)
    sets = Counter(one.job.parameter_set for one in settled)
    out.print(
        f"[bold]{len(settled)} jobs[/] ({', '.join(f'{name} {count}' for name, count in sets.items())}), "
        f"{workers} at a time, in {display_path(folder)}"
    )
    for step, count in steps.items():
        out.print(f"  {count} {step}")
    for one in settled:
        if one.step == Step.ANEW:
            out.print(f"  {one.job.folder}: {escape(one.why)}", soft_wrap=True)
    todo = [one.job for one in settled if one.step not in (Step.SKIP, Step.AT_WORK)]
    sources = {job: _recordings_of(job, planned.configuration(job)) for job in todo}
    table = Table("recordings", "species", "which")
    by_source: dict[str, list[str]] = {}
    for job, source in sources.items():
        by_source.setdefault(source, []).append(job.species)
    for source, slugs in sorted(by_source.items()):
        slugs = list(dict.fromkeys(slugs))
        more = f", and {len(slugs) - NAMED} more" if len(slugs) > NAMED else ""
        table.add_row(source, str(len(slugs)), ", ".join(slugs[:NAMED]) + more)
    if todo:
        out.print(table)
    without = dict.fromkeys(job.species for job, source in sources.items() if source == MISSING)
    lacking = [slug for slug in without if find_species(slug)]  # a pool cannot be fetched by its name
    if lacking:
        more = f" (and so for {len(lacking) - NAMED} more)" if len(lacking) > NAMED else ""
        out.print(f"to get what is missing: birdnet-nl download {' '.join(lacking[:NAMED])}{more}", soft_wrap=True)
    out.print(_estimate(todo, planned, workers), soft_wrap=True)
    out.print("nothing was started; leave out --plan to start")


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
    """From the median of finished runs of the same parameter set on this machine."""
    if not todo:
        return "nothing is left to be done"
    logs = Path(next(iter(planned.kinds.values())).paths.logs)
    timed: dict[tuple[str, bool], list[float]] = {}
    for job in jobs_below(logs) if logs.is_dir() else ():
        row = read_row(logs / job.folder, job)
        if row.state == State.DONE and row.seconds and row.host in ("", this_process().host):
            timed.setdefault((row.parameter_set, row.synthetic), []).append(row.seconds)
    total, basis = 0.0, 0
    for job in todo:
        known = timed.get((job.parameter_set, job.folder.endswith(SYNTHETIC)), [])
        if len(known) < MIN_TIMED:
            return (
                f"how long is not known: fewer than {MIN_TIMED} runs with trainer={job.parameter_set} on such "
                f"recordings are finished in {display_path(logs)}"
            )
        total, basis = total + median(known), max(basis, len(known))
    return f"about {in_words(total / workers)}, from the median of {basis} finished runs with the same parameter set"
