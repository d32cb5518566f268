"""Parquet with the columns of the CSV, and detections in parquet; needs pyarrow."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from birdnet_nl.prediction.csv_tables import names_of, segment_columns, time_cells, type_columns
from birdnet_nl.prediction.outputs import FileRows, OutputFolder, Write, printable
from birdnet_nl.prediction.rows import Row, RowOptions
from birdnet_nl.util.errors import DataError, require_extra

ROWS_PER_GROUP = 50_000
NUMBERS = ("Start (s)", "End (s)", "Confidence", "type_confidence")


@contextmanager
def parquet_table(out: OutputFolder) -> Iterator[Write]:
    """Open `segments.parquet`."""
    import pyarrow
    from pyarrow.parquet import ParquetWriter

    names, kinds = segment_columns(out.options), _kinds(out.options)
    schema = pyarrow.schema([(name, kinds.get(name, pyarrow.string())) for name in names])
    waiting: list[list] = []

    with out.whole(out.combined("segments.parquet")) as part, ParquetWriter(part, schema) as writer:

        def flush() -> None:
            columns = [list(column) for column in zip(*waiting, strict=True)]
            writer.write_table(pyarrow.table(dict(zip(names, columns, strict=True)), schema=schema))
            waiting.clear()

        def write(rows: FileRows) -> None:
            for row in rows.rows:
                waiting.append(_values(row, out.options))
                if len(waiting) == ROWS_PER_GROUP:
                    flush()

        yield write
        if waiting:
            flush()


def _kinds(options: RowOptions) -> dict:
    """Kinds of the columns that are not text."""
    import pyarrow

    numbers = (*NUMBERS, *(f"p_{name}" for name in options.types))
    return {name: pyarrow.float64() for name in numbers} | {"uncertain": pyarrow.bool_()}


def _values(row: Row, options: RowOptions) -> list:
    """Return the values of `segment_columns`."""
    return [
        row.start_s, row.end_s, *names_of(row, options), row.confidence, printable(row.file),
        *_type_values(row, options), *(text or None for text in time_cells(row)),
    ]  # fmt: skip


def parquet_columns(path: Path) -> tuple[str, ...]:
    """Return the names of the columns; raises `DataError` if the file cannot be read."""
    require_extra("pyarrow", "parquet")
    import pyarrow
    from pyarrow.parquet import read_schema

    try:
        return tuple(read_schema(path).names)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"is not a parquet file ({error})") from None


def parquet_records(path: Path) -> Iterator[tuple]:
    """Yield the cells of each row, [columns]."""
    from pyarrow.parquet import ParquetFile

    with ParquetFile(path) as file:
        for batch in file.iter_batches(ROWS_PER_GROUP):
            yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def append_columns(source: Path, target: Path, rows: Iterable[Row], options: RowOptions) -> None:
    """Write a parquet file with the columns of the types added; `rows` are those of `source`, in its order."""
    import pyarrow
    from pyarrow.parquet import ParquetFile, ParquetWriter

    names, kinds = type_columns(options), _kinds(options)
    rows = iter(rows)
    with ParquetFile(source) as file:
        schema = file.schema_arrow
        for name in names:
            schema = schema.append(pyarrow.field(name, kinds.get(name, pyarrow.string())))
        with ParquetWriter(target, schema) as writer:
            for batch in file.iter_batches(ROWS_PER_GROUP):
                table = pyarrow.Table.from_batches([batch])
                values = [_type_values(row, options) for row in islice(rows, batch.num_rows)]
                for name, column in zip(names, zip(*values, strict=True), strict=True):
                    table = table.append_column(schema.field(name), [list(column)])
                writer.write_table(table.cast(schema))


def _type_values(row: Row, options: RowOptions) -> list:
    probabilities = (row.probabilities.get(name) for name in options.types)
    return [options.word(row.vocalization_type), row.type_confidence, *probabilities, row.uncertain, row.model]
