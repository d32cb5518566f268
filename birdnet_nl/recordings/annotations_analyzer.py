"""BirdNET-Analyzer's CSV: `Start (s),End (s),Scientific name,Common name,Confidence,File`, and further columns."""

from collections.abc import Sequence

from birdnet_nl.recordings.annotations import (
    Annotation,
    LabelFileError,
    format_number,
    make_annotation,
    number,
    read_table,
    write_table,
)

START, END, SCIENTIFIC, COMMON, CONFIDENCE, FILE = COLUMNS = (
    "Start (s)", "End (s)", "Scientific name", "Common name", "Confidence", "File",
)  # fmt: skip
TYPE = "Type"


def is_analyzer(text: str) -> bool:
    first = text.lstrip("\ufeff\r\n").partition("\n")[0].lower()
    return "start (s)" in first and "end (s)" in first and "\t" not in first


def read_analyzer(text: str) -> list[Annotation]:
    """Read detections as annotations; a column `Type` (ours) gives their type. Raises `LabelFileError`."""
    headings, rows = read_table(text)
    if missing := [name for name in (START, END) if name not in headings]:
        raise LabelFileError(f"line 1: the column {missing[0]} is missing, which BirdNET-Analyzer writes")
    used = {START, END, SCIENTIFIC, FILE, TYPE}
    return [
        make_annotation(
            line,
            recording=row.get(FILE, ""),
            start_s=number(row[START], START, line),
            end_s=number(row[END], END, line),
            species=row.get(SCIENTIFIC, ""),
            type_text=row.get(TYPE, ""),
            other={name: value for name, value in row.items() if name not in used},
        )
        for line, row in rows
    ]


def write_analyzer(annotations: Sequence[Annotation]) -> str:
    """Write the Analyzer's columns, then a column of the type where there is one, then all others."""
    rows = []
    for annotation in annotations:
        row = {START: format_number(annotation.start_s), END: format_number(annotation.end_s)}
        row |= {SCIENTIFIC: annotation.species, FILE: annotation.recording}
        row |= {TYPE: annotation.type_text} if annotation.type_text else {}
        rows.append(row | dict(annotation.other))
    columns = list(dict.fromkeys([*COLUMNS, *(name for row in rows for name in row)]))
    return write_table(columns, [[row.get(name, "") for name in columns] for row in rows], ",")
