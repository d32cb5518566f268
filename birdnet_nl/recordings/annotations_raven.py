"""Raven selection tables: tab-separated, with a view, a channel, times and frequencies, and any further columns."""

from collections.abc import Sequence

from birdnet_nl.recordings.annotations import (
    Annotation,
    LabelFileError,
    format_number,
    make_annotation,
    number,
    optional_number,
    read_table,
    write_table,
)

START, END, LOW, HIGH = "Begin Time (s)", "End Time (s)", "Low Freq (Hz)", "High Freq (Hz)"
OFFSET = "File Offset (s)"
FIXED = ("Selection", "View", "Channel", START, END, LOW, HIGH)
FILES = ("Begin Path", "Begin File", "File", "Filename")  # the first that has a value
TYPES = (
    "Type", "Sound Type", "Call Type", "Call", "Song Type", "Vocalization Type", "Vocalization", "Annotation", "Label",
    "Tags", "Tag", "Class",
)  # fmt: skip
SPECIES = ("Scientific Name", "Species", "Common Name", "Species Code")
ANNOTATORS, REMARKS = ("Annotator", "Observer"), ("Remarks", "Notes", "Comments", "Comment")
WRITTEN = {"recording": "Begin Path", "species": "Species", "type_text": "Type", "annotator": "Annotator"}
WRITTEN |= {"remarks": "Remarks"}
COLUMN_OF = "column of "  # prefix in `other`: the column of the table that a value comes from


def is_raven(text: str) -> bool:
    first = text.lstrip("\ufeff\r\n").partition("\n")[0]
    return "\t" in first and "begin time" in first.lower()


def read_raven(text: str) -> list[Annotation]:
    """Read a selection table; of a table of several files the time is the one in the file (`File Offset (s)`).

    Type, species, annotator and remarks come from the first of their usual columns that the table has, in any case.
    Raises `LabelFileError`.
    """
    headings, rows = read_table(text, "\t")
    by_name = {name.casefold(): name for name in headings}
    if missing := [name for name in (START, END) if name.casefold() not in by_name]:
        raise LabelFileError(f"line 1: the column {missing[0]} is missing, which a selection table has")
    choices = {"species": SPECIES, "type_text": TYPES, "annotator": ANNOTATORS, "remarks": REMARKS}
    names = {
        target: next((by_name[name.casefold()] for name in columns if name.casefold() in by_name), "")
        for target, columns in choices.items()
    }
    annotations = []
    for line, row in rows:
        start, end = (number(row[by_name[name.casefold()]], name, line) for name in (START, END))
        offset = by_name.get(OFFSET.casefold())
        begin = start
        if offset and row[offset].strip():
            begin = number(row[offset], OFFSET, line)
        file = next((by_name[name.casefold()] for name in FILES if row.get(by_name.get(name.casefold(), ""))), "")
        low, high = (by_name.get(name.casefold(), "") for name in (LOW, HIGH))
        used = {by_name[END.casefold()], low, high, file, *names.values()}
        used |= {by_name[START.casefold()]} if begin == start else set()  # else it runs on over the files: kept
        used |= {offset} if offset and begin == start and not row[offset].strip() else set()
        kept = {name: value for name, value in row.items() if name not in used}
        places = {"recording": file, **names}
        kept |= {COLUMN_OF + target: name for target, name in places.items() if name and name != WRITTEN[target]}
        annotations.append(
            make_annotation(
                line,
                recording=row.get(file, ""),
                start_s=begin,
                end_s=round(begin + (end - start), 9) if begin != start else end,
                low_hz=optional_number(row.get(low, ""), LOW, line),
                high_hz=optional_number(row.get(high, ""), HIGH, line),
                other=kept,
                **{target: row.get(name, "") for target, name in names.items()},
            )
        )
    return annotations


def write_raven(annotations: Sequence[Annotation]) -> str:
    """Write a selection table: Raven's columns first, ours for what they have no place for, then all others."""
    rows = [_cells(index, annotation) for index, annotation in enumerate(annotations, start=1)]
    columns = list(dict.fromkeys([*FIXED, *(name for row in rows for name in row)]))
    return write_table(columns, [[row.get(name, "") for name in columns] for row in rows], "\t")


def _cells(index: int, annotation: Annotation) -> dict[str, str]:
    other = {name: value for name, value in annotation.other.items() if not name.startswith(COLUMN_OF)}
    start_s, end_s = annotation.start_s, annotation.end_s
    if START in other:  # it runs on over the files
        end_s = end_s - start_s + float(other[START].replace(",", "."))
    cells = {"Selection": str(index), "View": "Spectrogram 1", "Channel": "1", START: format_number(start_s)}
    cells |= {END: format_number(round(end_s, 9)), LOW: format_number(annotation.low_hz)}
    cells |= {HIGH: format_number(annotation.high_hz)}
    for target, usual in WRITTEN.items():
        if value := getattr(annotation, target):
            cells[annotation.other.get(COLUMN_OF + target, usual)] = value
    return cells | other
