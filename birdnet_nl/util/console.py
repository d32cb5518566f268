"""Screen output of a job; `info` and `warn` also write to the log file of the run."""

import codecs
import logging
import sys
import unicodedata
from pathlib import Path

from rich.console import Console
from rich.markup import escape, render
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from birdnet_nl.util.printed_commands import short_path


class Screen(Console):
    """Console of which each process has one: pickled as a reference, so that a launcher's workers use their own."""

    def __reduce__(self) -> str:
        return "screen"


PLAIN = {  # for terminals without these characters
    "→": "->", "✓": "+", "✗": "x", "…": "...", "–": "-", "—": "-", "×": "x", "’": "'", "‘": "'", "“": '"', "”": '"',
    "•": "*", "−": "-", "≥": ">=", "≤": "<=", "±": "+/-",
}  # fmt: skip

screen = Screen(stderr=True, highlight=False, emoji=False)
log = logging.getLogger("birdnet_nl")
log.addHandler(logging.NullHandler())  # without a run there is no log file, and the screen is enough


def output_console() -> Console:
    """Create the console for results on standard output; `:` in a path is never an emoji."""
    return Console(highlight=False, emoji=False)


def _replace_unprintable(error: UnicodeError) -> tuple[str, int]:
    """Return a plain spelling of characters that the terminal cannot show: `->`, letters without accents, or `?`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    plain = ""
    for character in error.object[error.start : error.end]:
        if "\ud800" <= character <= "\udfff":  # a byte of a file name that is no UTF-8
            plain += f"\\x{ord(character) & 0xFF:02x}"
        else:
            base = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
            plain += PLAIN.get(character) or base or ("" if unicodedata.combining(character) else "?")
    return plain, error.end


def prepare_streams() -> None:
    """Let the output streams of this process replace what their encoding cannot show, instead of raising an error."""
    codecs.register_error("birdnet_nl", _replace_unprintable)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # not a stream of a notebook or of a test, nor a closed one
            stream.reconfigure(errors="birdnet_nl")


def info(text: str) -> None:
    """Print one line (rich markup allowed) and log it without the markup."""
    screen.print(text, soft_wrap=True)
    log.info(render(text, emoji=False).plain)


def warn(text: str) -> None:
    """Print one highlighted line and log it, for facts that change the meaning of all results."""
    screen.print(f"[bold black on yellow] {text} [/]", soft_wrap=True)
    log.warning(render(text, emoji=False).plain)


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
    return escape(short_path(path))
