"""Rows as JSON lines: one object for each row, with numbers as numbers."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from birdnet_nl.prediction.csv_tables import names_of, time_cells
from birdnet_nl.prediction.outputs import FileRows, OutputFolder, Write, printable
from birdnet_nl.prediction.rows import Row, RowOptions


@contextmanager
def json_lines(out: OutputFolder) -> Iterator[Write]:
    """Open `segments.jsonl`."""
    with out.whole(out.combined("segments.jsonl")) as part, part.open("w", encoding="utf-8", newline="\n") as file:

        def write(rows: FileRows) -> None:
            file.writelines(f"{json.dumps(values(row, out.options), ensure_ascii=False)}\n" for row in rows.rows)

        yield write


def values(row: Row, options: RowOptions) -> dict[str, Any]:
    """Return a row as plain values; what is not known is None."""
    scientific, common = names_of(row, options)
    date, time, zone = time_cells(row)
    return {
        "start_s": round(row.start_s, 3),
        "end_s": round(row.end_s, 3),
        "scientific_name": scientific,
        "common_name": common,
        "confidence": _rounded(row.confidence),
        "file": printable(row.file),
        "vocalization_type": options.word(row.vocalization_type),
        "type_confidence": _rounded(row.type_confidence),
        "probabilities": {name: _rounded(value) for name, value in row.probabilities.items()},
        "uncertain": row.uncertain,
        "model": row.model,
        "date": date or None,
        "time": time or None,
        "time_zone": zone or None,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
