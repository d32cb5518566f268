"""What a person sees while a job runs; everything said also goes into the run's log file."""

import logging
from pathlib import Path

from rich.console import Console
from rich.markup import escape, render
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class Screen(Console):
    """One for each process: launchers send functions that use it to others, where it is that process's own."""

    def __reduce__(self) -> str:
        return "screen"


screen = Screen(stderr=True, highlight=False)
log = logging.getLogger("birdnet_nl")
log.addHandler(logging.NullHandler())  # without a run there is no log file, and the screen has it already


def info(text: str) -> None:
    """Print one line (rich markup allowed) and log it without the markup."""
    screen.print(text, soft_wrap=True)
    log.info(render(text).plain)


def warn(text: str) -> None:
    """As `info`, loud: for what changes the meaning of every number that follows."""
    screen.print(f"[bold black on yellow] {text} [/]", soft_wrap=True)
    log.warning(render(text).plain)


def progress_bar() -> Progress:
    """A bar with counts, elapsed time and ETA; it leaves no trace when it is finished."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
        console=screen,
        transient=True,
        disable=not screen.is_terminal,
    )


def display_path(path: Path) -> str:
    """A path as a user would type it, relative where it lies below the current folder, for `info`."""
    path = path.resolve()
    return escape(str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path))
