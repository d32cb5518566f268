"""Screen output of a sweep: its start, a line for each job that ends, a progress bar, and a summary of failures."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.markup import escape

from birdnet_nl.sweep.job_file import JOB, State
from birdnet_nl.sweep.jobs import Job
from birdnet_nl.sweep.plan import Action, JobPlan
from birdnet_nl.sweep.processes import repeat_in_background
from birdnet_nl.sweep.sweep_file import Sweep, resume_command, status_command
from birdnet_nl.sweep.table import (
    UNSUCCESSFUL,
    JobTable,
    Row,
    format_duration,
    group_failures,
    read_row,
    shared_overrides,
)
from birdnet_nl.util.console import display_path, info, progress_bar, screen
from birdnet_nl.util.errors import RunError
from birdnet_nl.util.words import counted

POLL_INTERVAL_S = 1.0
SYMBOLS = {State.DONE: "[green]✓[/]", State.FAILED: "[bold red]✗[/]", State.TOO_FEW: "[yellow]–[/]"}
MAX_NAMES = 8  # species listed with one reason; the others are counted


def print_start(sweep: Sweep, plans: Sequence[JobPlan]) -> None:
    actions = Counter(plan.action for plan in plans)
    parts = ", ".join(f"{count} {action}" for action, count in actions.items() if action != Action.START)
    info(
        f"[bold]sweep of {counted(len(plans), 'job')}[/]{f' ({parts})' if parts else ''} → {display_path(sweep.folder)}"
        f"; follow its progress with {escape(status_command(sweep.folder))}"
    )


@contextmanager
def show_progress(sweep: Sweep, jobs: Sequence[Job], failures_are_printed: bool) -> Iterator[None]:
    """Print the result of each of `jobs` when it ends.

    With `failures_are_printed`, the launcher or the job itself prints failures and progress bars.
    """
    shared, started = shared_overrides(sweep.jobs), time.monotonic()
    modified_ns = {job: _modified_ns(sweep, job) for job in jobs}
    ended: set[Job] = set()
    bar = progress_bar()
    bar.disable = failures_are_printed or not screen.is_terminal

    def line(row: Row) -> str:
        count = f"[dim]{len(ended):>{len(str(len(jobs)))}}/{len(jobs)}[/]"
        head = f"{count} {SYMBOLS[row.state]} {escape(row.dutch)}, {row.parameter_set} {escape(row.settings)}".rstrip()
        if row.state != State.DONE:
            return head if failures_are_printed else f"{head}: {escape(row.reason)}"
        left_s = (time.monotonic() - started) / len(ended) * (len(jobs) - len(ended))
        eta = f", {format_duration(left_s)} left" if len(ended) < len(jobs) else ""
        return f"{head}  {escape(row.accuracy_text)}  {row.seconds or 0:.0f} s[dim]{eta}[/]"

    def update() -> None:
        for job in jobs:
            now_ns = _modified_ns(sweep, job)
            if now_ns == modified_ns[job]:
                continue
            modified_ns[job] = now_ns
            row = read_row(sweep.folder / job.folder, job, shared)
            if row.state in SYMBOLS:
                ended.add(job)
                screen.print(line(row), soft_wrap=True)
        bar.update(task, completed=len(ended))

    with bar:
        task = bar.add_task("sweep", total=len(jobs))
        with repeat_in_background(update, POLL_INTERVAL_S):
            yield


def _modified_ns(sweep: Sweep, job: Job) -> int:
    try:
        return (sweep.folder / job.folder / JOB).stat().st_mtime_ns
    except OSError:
        return 0


def print_interrupted(sweep: Sweep) -> None:
    command = escape(resume_command(sweep.folder))
    screen.print(f"nothing finished is lost; resume the sweep with {command}", soft_wrap=True)


def finish_sweep(sweep: Sweep) -> None:
    """Print counts and failures grouped by reason; raises `RunError` when jobs are left."""
    rows = JobTable().rows(sweep.folder, sweep.jobs)
    states = Counter(row.state for row in rows)
    counts = ", ".join(f"{states[state]} {state}" for state in State if states[state])
    info(f"[bold]sweep ended:[/] {counts} → {display_path(sweep.folder)}")
    for title, group_states in (("too few recordings", (State.TOO_FEW,)), ("not finished", UNSUCCESSFUL)):
        for reason, group in group_failures([row for row in rows if row.state in group_states]):
            info(f"[bold]{title}, {len(group)}:[/] {escape(_list_species(group))}: {escape(reason)}")
            if group_states == UNSUCCESSFUL:
                screen.print(f"  [dim]log: {display_path(group[0].log)}[/]", soft_wrap=True)
    left = sum(row.state not in (State.DONE, State.TOO_FEW) for row in rows)
    if left:
        unsuccessful = counted(left, "job of the sweep failed or is", "jobs of the sweep failed or are")
        elsewhere = f" ({states[State.RUNNING]} running in another process)" if states[State.RUNNING] else ""
        raise RunError(f"{unsuccessful} not finished{elsewhere}; try them again with " + resume_command(sweep.folder))


def _list_species(rows: Sequence[Row]) -> str:
    names = list(dict.fromkeys(row.dutch for row in rows))
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return ", ".join(names[:MAX_NAMES]) + more
