"""Screen output of a job; `info` and `warn` also write to the log file of the run."""

import logging
from pathlib import Path

from rich.console import Console
from rich.markup import escape, render
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class Screen(Console):
    """Console of which each process has one: pickled as a reference, so that a launcher's workers use their own."""

    def __reduce__(self) -> str:
        return "screen"


screen = Screen(stderr=True, highlight=False)
log = logging.getLogger("birdnet_nl")
log.addHandler(logging.NullHandler())  # without a run there is no log file, and the screen is enough


def info(text: str) -> None:
    """Print one line (rich markup allowed) and log it without the markup."""
    screen.print(text, soft_wrap=True)
    log.info(render(text).plain)


def warn(text: str) -> None:
    """Print one highlighted line and log it, for facts that change the meaning of all results."""
    screen.print(f"[bold black on yellow] {text} [/]", soft_wrap=True)
    log.warning(render(text).plain)


def progress_bar() -> Progress:
    """Create a progress bar with counts, elapsed time and ETA; it disappears when it is finished."""
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
    """Format a path with escaped markup, relative to the current folder when it is below it."""
    path = path.resolve()
    return escape(str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path))
