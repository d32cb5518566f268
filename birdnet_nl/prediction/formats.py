"""Formats of the tables: all that were asked for are written in one pass over the results."""

import difflib
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, ExitStack

from birdnet_nl.prediction.audacity import audacity_labels
from birdnet_nl.prediction.csv_tables import csv_table
from birdnet_nl.prediction.json_lines import json_lines
from birdnet_nl.prediction.kaleidoscope import kaleidoscope_table
from birdnet_nl.prediction.outputs import FileRows, OutputFolder, Write
from birdnet_nl.prediction.parquet import parquet_table
from birdnet_nl.prediction.raven import raven_tables
from birdnet_nl.util.errors import SelectionError, require_extra

FORMATS: dict[str, Callable[[OutputFolder], AbstractContextManager[Write]]] = {
    "csv": csv_table,
    "raven": raven_tables,
    "audacity": audacity_labels,
    "kaleidoscope": kaleidoscope_table,
    "parquet": parquet_table,
    "json": json_lines,
}
HTML = "html"  # written by the command, after the tables


def check_formats(text: str) -> tuple[str, ...]:
    """Parse `csv,raven`; raises `SelectionError` for a format that does not exist."""
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    possible = [*FORMATS, HTML]
    for name in names:
        if name not in possible:
            close = difflib.get_close_matches(name, possible, n=1, cutoff=0.5)
            hint = f"did you mean {close[0]}? " if close else ""
            raise SelectionError(f"--format {name} does not exist; {hint}possible are {', '.join(possible)}")
    if not names:
        raise SelectionError(f"--format names no format; possible are {', '.join(possible)}")
    if "parquet" in names:
        require_extra("pyarrow", "parquet")
    return tuple(dict.fromkeys(names))


def write_tables(out: OutputFolder, names: Iterable[str], files: Iterable[FileRows]) -> None:
    """Write the tables of these formats; raises `OSError` if the folder cannot be written."""
    with ExitStack() as stack:
        writers = [stack.enter_context(FORMATS[name](out)) for name in names if name in FORMATS]
        for file in files:
            for write in writers:
                write(file)
