"""Raven selection tables: one for each file, and one for all files, in which the time runs on over the files."""

from collections.abc import Iterator
from contextlib import contextmanager

from birdnet_nl.prediction.csv_tables import (
    TIME_COLUMNS,
    csv_writer,
    names_of,
    number,
    seconds,
    time_cells,
    type_cells,
    type_columns,
)
from birdnet_nl.prediction.outputs import FileRows, OutputFolder, RunningTime, Write, printable
from birdnet_nl.prediction.rows import Row

RAVEN_COLUMNS = (
    "Selection", "Begin Time (s)", "End Time (s)", "Common Name", "Scientific Name", "Species Code", "Confidence",
    "View", "Channel", "File Offset (s)", "Low Freq (Hz)", "High Freq (Hz)", "Begin Path",
)  # fmt: skip
SUFFIX = ".birdnet_nl.selection.table.txt"


@contextmanager
def raven_tables(out: OutputFolder) -> Iterator[Write]:
    """Open `raven_selection_table.txt` and write a table beside the name of each file."""
    clock, selection = RunningTime(), 0
    columns = (*RAVEN_COLUMNS, *type_columns(out.options), *TIME_COLUMNS)
    with (
        out.whole(out.combined("raven_selection_table.txt")) as part,
        part.open("w", encoding="utf-8", newline="") as file,
    ):
        combined = csv_writer(file, "\t")
        combined.writerow(columns)

        def write(rows: FileRows) -> None:
            nonlocal selection
            begin_s = clock.begin(rows)
            for row in rows.rows:
                selection += 1
                combined.writerow(_cells(row, selection, begin_s, out))
            if rows.relative:
                with (
                    out.whole(out.beside(rows.relative, SUFFIX)) as one,
                    one.open("w", encoding="utf-8", newline="") as own,
                ):
                    table = csv_writer(own, "\t")
                    table.writerow(columns)
                    table.writerows(_cells(row, index, 0.0, out) for index, row in enumerate(rows.rows, 1))

        yield write


def _cells(row: Row, selection: int, begin_s: float, out: OutputFolder) -> list[str]:
    scientific, common = names_of(row, out.options)
    return [
        str(selection), seconds(begin_s + row.start_s), seconds(begin_s + row.end_s), common, scientific,
        row.species.slug if row.species else "", number(row.confidence), "Spectrogram 1", "1", seconds(row.start_s),
        "0.0", f"{row.high_frequency_hz:.1f}", printable(row.file), *type_cells(row, out.options), *time_cells(row),
    ]  # fmt: skip
