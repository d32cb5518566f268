"""NIPS4Bplus: one CSV for each sound file, with rows of start, duration and label such as `Parmaj_call`."""

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

COLUMNS = ("start", "duration", "label")
HEADINGS = "headings"  # in `other`: whether the file has a line of headings, which NIPS4Bplus has not


def is_nips4bplus(text: str) -> bool:
    first = [value.strip().lower() for value in text.lstrip("\ufeff\r\n").partition("\n")[0].split(",")]
    return first[:3] == list(COLUMNS) or (len(first) == 3 and _is_number(first[0]) and _is_number(first[1]))


def read_nips4bplus(text: str) -> list[Annotation]:
    """Read start, duration and label; a label `Parmaj_call` gives a code of the species and a type.

    Raises `LabelFileError`.
    """
    text = text.removeprefix("\ufeff").lstrip("\r\n")
    has_headings = text.partition(",")[0].strip().lower() == COLUMNS[0]
    headings, rows = read_table(text if has_headings else f"{','.join(COLUMNS)}\n{text}", ",")
    headings = {name.lower(): name for name in headings}
    if missing := [name for name in COLUMNS if name not in headings]:
        raise LabelFileError(f"line 1: the column {missing[0]} is missing; it needs {','.join(COLUMNS)}")
    annotations = []
    for line, row in rows:
        line -= not has_headings
        label = row[headings["label"]].strip()
        code, _, type_text = label.partition("_")
        start_s = number(row[headings["start"]], "start", line)
        duration_s = number(row[headings["duration"]], "duration", line)
        other = {name: value for name, value in row.items() if name.lower() not in COLUMNS}
        annotations.append(
            make_annotation(
                line,
                recording="",
                start_s=start_s,
                end_s=round(start_s + duration_s, 9),
                species=code,
                type_text=type_text,
                other=other | ({HEADINGS: "yes"} if has_headings else {}),
            )
        )
    return annotations


def write_nips4bplus(annotations: Sequence[Annotation]) -> str:
    """Write the annotations of one recording; a line of headings where the file that was read has one."""
    has_headings = any(HEADINGS in annotation.other for annotation in annotations)
    further = dict.fromkeys(name for annotation in annotations for name in annotation.other if name != HEADINGS)
    rows = []
    for annotation in annotations:
        label = "_".join(filter(None, (annotation.species, annotation.type_text.replace(" ", "_"))))
        duration = format_number(round(annotation.end_s - annotation.start_s, 9))
        others = [annotation.other.get(name, "") for name in further]
        rows.append([format_number(annotation.start_s), duration, label, *others])
    text = write_table([*COLUMNS, *further], rows, ",")
    return text if has_headings or further else text.partition("\n")[2]


def _is_number(text: str) -> bool:
    try:
        return float(text) >= 0
    except ValueError:
        return False
