"""CSV of the detections that the filters select; cells that a spreadsheet would run as a formula are neutralised."""

import csv
import io
from collections.abc import Iterator, Sequence

from birdnet_nl.live.connections import Connections
from birdnet_nl.live.queries import Filters, Row, rows_in_order, types_of

BLOCK_ROWS = 1_000
COLUMNS = (
    "date", "time", "station", "source", "scientific_name", "common_name", "confidence", "state", "type", "probability",
)  # fmt: skip
FURTHER_COLUMNS = (
    "uncertain", "model", "start_s", "end_s", "corrected", "person", "comment", "clip", "key",
)  # fmt: skip
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def csv_blocks(connections: Connections, filters: Filters) -> Iterator[str]:
    """Yield the table in blocks; each is read when it is needed, so that memory does not grow with the table.

    Each type that a model predicts has a column with its probability.
    """
    with connections.reading() as connection:
        types = types_of(connection, filters)
    yield _text([[*COLUMNS, *map(neutral, types), *FURTHER_COLUMNS]])
    after = ""
    while True:
        with connections.reading() as connection:
            rows = rows_in_order(connection, filters, after, BLOCK_ROWS)
        if rows:
            yield _text([cells(row, types) for row in rows])
        if len(rows) < BLOCK_ROWS:
            return
        after = rows[-1].cursor


def cells(row: Row, types: Sequence[str]) -> list[object]:
    probabilities = dict(row.types)
    return [
        row.day, row.time, *map(neutral, (row.station, row.source, row.scientific_name, row.common_name)),
        row.confidence, row.state, neutral(row.predicted), row.probability,
        *(probabilities.get(name) for name in types),
        row.is_uncertain, neutral(row.model), row.start_s, row.end_s,
        *map(neutral, (row.corrected, row.person, row.comment, row.clip, row.key)),
    ]  # fmt: skip


def neutral(text: str | None) -> str:
    """Return a text that no spreadsheet takes for a formula: preceded by `'` where it begins like one."""
    text = (text or "").encode("utf-8", "replace").decode()
    return f"'{text}" if text.lstrip(" ").startswith(FORMULA) else text


def _text(rows: list) -> str:
    file = io.StringIO()
    csv.writer(file).writerows(rows)
    return file.getvalue()
