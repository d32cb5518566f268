"""Table for Kaleidoscope: folder, file, offset and duration of each row."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
from birdnet_nl.prediction.outputs import FileRows, OutputFolder, Write, printable

KALEIDOSCOPE_COLUMNS = ("INDIR", "FOLDER", "IN FILE", "OFFSET", "DURATION", "TOP1MATCH", "CONFIDENCE")
FORMULA = ("=", "+", "-", "@", "\t", "\r")


@contextmanager
def kaleidoscope_table(out: OutputFolder) -> Iterator[Write]:
    """Open `kaleidoscope.csv`."""
    with out.whole(out.combined("kaleidoscope.csv")) as part, part.open("w", encoding="utf-8", newline="") as file:
        writer = csv_writer(file)
        writer.writerow((*KALEIDOSCOPE_COLUMNS, *type_columns(out.options), *TIME_COLUMNS))

        def write(rows: FileRows) -> None:
            for row in rows.rows:
                path = Path(row.file)
                scientific, common = names_of(row, out.options)
                writer.writerow([
                    printable(path.parent.parent), *map(name_cell, (path.parent.name, path.name)),
                    seconds(row.start_s), seconds(row.end_s - row.start_s), common or scientific,
                    number(row.confidence), *type_cells(row, out.options), *time_cells(row),
                ])  # fmt: skip

        yield write


def name_cell(name: str) -> str:
    """Return a file name as a cell; one that a spreadsheet would compute gets `./`, which names the same file."""
    return f"./{printable(name)}" if name.startswith(FORMULA) else printable(name)
