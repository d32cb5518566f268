"""Log lines on standard error: with the time on a terminal, plain elsewhere, with priorities for the journal."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from birdnet_nl.util.console import screen

PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}  # syslog's


class LineFormatter(logging.Formatter):
    """One line for each record; a traceback follows on lines of its own."""

    def __init__(self, is_terminal: bool, is_journal: bool) -> None:
        super().__init__("%(asctime)s %(message)s" if is_terminal else "%(message)s", "%H:%M:%S")
        self.is_journal = is_journal

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  the name of the library
        """Return the message on one line: names of a station may hold line breaks and codes of a terminal."""
        return "".join(char if char.isprintable() else " " for char in super().formatMessage(record))

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        if self.is_journal:
            mark = f"<{PRIORITIES.get(record.levelno, 6)}>"
            return "\n".join(mark + line for line in text.split("\n"))
        return text if record.levelno < logging.WARNING else f"{record.levelname.lower()}: {text}"


def is_of_a_decoder(record: logging.LogRecord) -> bool:
    """Return whether a record is one of the messages of a decoder, of which a damaged clip gives several."""
    return str(record.msg).startswith("%s: decoder: ")


@contextmanager
def logging_to_stderr(level: int = logging.INFO) -> Iterator[None]:
    """Print the log of this package in the block, and nothing twice: `util.console.info` logs too."""
    log, is_terminal = logging.getLogger("birdnet_nl"), sys.stderr.isatty()
    handler = logging.StreamHandler()
    handler.setFormatter(LineFormatter(is_terminal, "JOURNAL_STREAM" in os.environ and not is_terminal))
    handler.addFilter(lambda record: not is_of_a_decoder(record))
    before = log.level
    log.addHandler(handler)
    log.setLevel(level)
    screen.quiet = True
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(before)
        screen.quiet = False
