"""Tables as CSV: BirdNET-Analyzer's columns first, ours at the end."""

import csv
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TextIO

from birdnet_nl.prediction.outputs import FileRows, OutputFolder, Write, printable
from birdnet_nl.prediction.rows import Row, RowOptions

ANALYZER_COLUMNS = ("Start (s)", "End (s)", "Scientific name", "Common name", "Confidence", "File")
TIME_COLUMNS = ("date", "time", "time_zone")


def type_columns(options: RowOptions) -> tuple[str, ...]:
    """Return the names of the columns about types; one for the probability of each type of the models."""
    return ("vocalization_type", "type_confidence", *(f"p_{name}" for name in options.types), "uncertain", "model")


def segment_columns(options: RowOptions) -> tuple[str, ...]:
    return (*ANALYZER_COLUMNS, *type_columns(options), *TIME_COLUMNS)


def recording_columns(options: RowOptions) -> tuple[str, ...]:
    names = ("File", "duration_s", "Scientific name", "Common name")
    return (*names, *type_columns(options), "segments", *TIME_COLUMNS, "warning")


def names_of(row: Row, options: RowOptions) -> tuple[str, str]:
    """Return the scientific and the common name."""
    if row.species is None:
        return row.label
    return row.species.scientific, options.common_name(row.species)


def number(value: float | None, digits: int = 4) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def seconds(value: float) -> str:
    """Format seconds to the millisecond, with one decimal at least: readers take `3` for a whole number."""
    text = f"{value:.3f}".rstrip("0")
    return f"{text}0" if text.endswith(".") else text


def type_cells(row: Row, options: RowOptions) -> list[str]:
    """Return the cells of `type_columns`; types that the model does not have are empty."""
    probabilities = [number(row.probabilities.get(name)) for name in options.types]
    uncertain = "" if row.uncertain is None else str(row.uncertain).lower()
    return [options.word(row.vocalization_type), number(row.type_confidence), *probabilities, uncertain, row.model]


def time_cells(row: Row) -> tuple[str, str, str]:
    return row.recorded_at.columns(row.start_s) if row.recorded_at else ("", "", "")


def cells(row: Row, options: RowOptions) -> list[str]:
    """Return the cells of `segment_columns`."""
    return [
        seconds(row.start_s), seconds(row.end_s), *names_of(row, options), number(row.confidence), printable(row.file),
        *type_cells(row, options), *time_cells(row),
    ]  # fmt: skip


def csv_writer(file: TextIO, delimiter: str = ","):
    return csv.writer(file, delimiter=delimiter, lineterminator="\n")


@contextmanager
def csv_table(out: OutputFolder) -> Iterator[Write]:
    """Open `segments.csv`."""
    with out.whole(out.combined("segments.csv")) as part, part.open("w", encoding="utf-8", newline="") as file:
        writer = csv_writer(file)
        writer.writerow(segment_columns(out.options))

        def write(rows: FileRows) -> None:
            writer.writerows(cells(row, out.options) for row in rows.rows)

        yield write


def write_csv(out: OutputFolder, name: str, columns: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """Write a table of text cells."""
    with out.whole(out.combined(name)) as part, part.open("w", encoding="utf-8", newline="") as file:
        writer = csv_writer(file)
        writer.writerow(columns)
        writer.writerows(rows)
