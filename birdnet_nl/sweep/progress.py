"""What the launcher's screen shows while jobs run: a line for each that ended, and on a terminal a bar."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.markup import escape

from birdnet_nl.sweep.background import repeated
from birdnet_nl.sweep.job_file import JOB, State
from birdnet_nl.sweep.jobs import Job
from birdnet_nl.sweep.sweep_file import Sweep
from birdnet_nl.sweep.table import Row, read_row, shared_overrides
from birdnet_nl.util.console import progress_bar, screen

LOOK_EVERY_S = 1.0
MARKS = {State.DONE: "[green]✓[/]", State.FAILED: "[bold red]✗[/]", State.TOO_FEW: "[yellow]–[/]"}


@contextmanager
def watched(sweep: Sweep, jobs: Sequence[Job], told: bool) -> Iterator[None]:
    """Tell of `jobs` as they end; `told` when the screen has their failures, and bars, from somebody else."""
    watcher = _Watcher(sweep, jobs, told)
    bar = progress_bar()
    bar.disable = told or not screen.is_terminal
    with bar:
        task = bar.add_task("sweep", total=len(jobs))

        def look() -> None:
            for line in watcher.news():
                screen.print(line, soft_wrap=True)
            bar.update(task, completed=watcher.finished)

        with repeated(look, LOOK_EVERY_S):
            yield


class _Watcher:
    def __init__(self, sweep: Sweep, jobs: Sequence[Job], told: bool) -> None:
        self.told = told
        self.sweep, self.jobs = sweep, list(jobs)
        self.shared = shared_overrides(sweep.jobs)
        self.began = time.monotonic()
        self.seen = {job: self._changed(job) for job in jobs}
        self.ended: set[Job] = set()

    @property
    def finished(self) -> int:
        return len(self.ended)

    def _changed(self, job: Job) -> int:
        try:
            return (self.sweep.folder / job.folder / JOB).stat().st_mtime_ns
        except OSError:
            return 0

    def news(self) -> list[str]:
        lines = []
        for job in self.jobs:
            changed = self._changed(job)
            if changed == self.seen[job]:
                continue
            self.seen[job] = changed
            row = read_row(self.sweep.folder / job.folder, job, self.shared)
            if row.state in MARKS:
                self.ended.add(job)
                lines.append(self._line(row))
        return lines

    def _line(self, row: Row) -> str:
        count = f"[dim]{len(self.ended):>{len(str(len(self.jobs)))}}/{len(self.jobs)}[/]"
        head = f"{count} {MARKS[row.state]} {escape(row.dutch)}, {row.parameter_set} {escape(row.settings)}".rstrip()
        if row.state != State.DONE:
            return head if self.told else f"{head}: {escape(row.reason)}"
        left = (time.monotonic() - self.began) / len(self.ended) * (len(self.jobs) - len(self.ended))
        eta = f", {in_words(left)} to go" if len(self.ended) < len(self.jobs) else ""
        return f"{head}  {escape(row.figure_text)}  {row.seconds or 0:.0f} s[dim]{eta}[/]"


def in_words(seconds: float) -> str:
    """A length of time as a person would say it."""
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
