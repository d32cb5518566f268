"""Audacity label tracks: start, end, label and confidence, separated by tabs, without a header."""

from collections.abc import Iterator
from contextlib import contextmanager

from birdnet_nl.prediction.csv_tables import names_of, number
from birdnet_nl.prediction.outputs import FileRows, OutputFolder, RunningTime, Write
from birdnet_nl.prediction.rows import UNCERTAIN, Row, RowOptions

SUFFIX = ".birdnet_nl.results.txt"


@contextmanager
def audacity_labels(out: OutputFolder) -> Iterator[Write]:
    """Open `audacity_labels.txt`, for all files end to end, and write labels beside the name of each file."""
    clock = RunningTime()
    with out.whole(out.combined("audacity_labels.txt")) as part, part.open("w", encoding="utf-8", newline="") as file:

        def write(rows: FileRows) -> None:
            begin_s = clock.begin(rows)
            file.writelines(_line(row, begin_s, out.options) for row in rows.rows)
            if rows.relative:
                with out.whole(out.beside(rows.relative, SUFFIX)) as one:
                    lines = "".join(_line(row, 0.0, out.options) for row in rows.rows)
                    one.write_text(lines, encoding="utf-8", newline="\n")

        yield write


def _line(row: Row, begin_s: float, options: RowOptions) -> str:
    label = f"{names_of(row, options)[1] or row.label[0]} {options.word(row.vocalization_type)}".strip()
    if row.uncertain and row.vocalization_type != UNCERTAIN:
        label += "?"
    times = f"{begin_s + row.start_s:.3f}\t{begin_s + row.end_s:.3f}"
    return f"{times}\t{' '.join(label.split())}\t{number(row.confidence)}\n"
