"""Labels in time: stretches of recordings with a type, in one file `annotations.csv` beside the manifest."""

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from birdnet_nl.recordings.csv_table import BrokenTableError, decode_text, parse_csv
from birdnet_nl.util.errors import DataError
from birdnet_nl.util.files import write_text_atomic

ANNOTATIONS = "annotations.csv"
COLUMNS = (
    "file", "start_s", "end_s", "species", "type", "low_hz", "high_hz", "annotator", "remarks", "source", "other",
)  # fmt: skip


@dataclass(frozen=True)
class Annotation:
    """One stretch of a recording with a label; unknown texts are empty and unknown numbers None.

    Attributes:
        recording: name or path of the sound file as written, or `XC123`; in `annotations.csv` the file below the
            species folder.
        species: as written: a name, a code such as `Parmaj`, or empty for the species of the recording.
        type_text: as written; empty for the type of the recording.
        source: name of the label file it comes from.
        other: everything else that the label file says, by its own names.

    Raises:
        ValueError: if the times are not finite, or the end is before the start.
    """

    recording: str
    start_s: float
    end_s: float
    species: str = ""
    type_text: str = ""
    low_hz: float | None = None
    high_hz: float | None = None
    annotator: str = ""
    remarks: str = ""
    source: str = ""
    other: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not (math.isfinite(self.start_s) and math.isfinite(self.end_s)):
            raise ValueError(f"start {self.start_s} and end {self.end_s} must be finite numbers of seconds")
        if self.start_s < 0 or self.end_s < self.start_s:
            raise ValueError(f"start {self.start_s:g} s must be at least 0 and at most the end, {self.end_s:g} s")


class LabelFileError(ValueError):
    """A label file that cannot be read; the text names the line and what is wrong with it."""


def number(text: str, what: str, line: int) -> float:
    """Convert a number, also with a decimal comma; raises `LabelFileError` for other text."""
    try:
        value = float(text.strip().replace(",", ".") if text.count(",") == 1 and "." not in text else text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise LabelFileError(f"line {line}: {what} {text!r} is not a number")
    return value


def optional_number(text: str, what: str, line: int) -> float | None:
    return number(text, what, line) if text.strip() else None


def make_annotation(line: int, **values) -> Annotation:
    """Build an annotation of a line of a label file; raises `LabelFileError` for times that make no sense."""
    try:
        return Annotation(**values)
    except ValueError as error:
        raise LabelFileError(f"line {line}: {error}") from None


def format_number(value: float | None) -> str:
    """Write a number with all its digits; None as nothing. The point is needed by other readers."""
    return "" if value is None else repr(float(value))


def read_table(text: str, separator: str | None = None) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """Return the headings of a table as written, and each row that is not empty with its line number.

    Without `separator` the one that occurs most in the headings. Raises `LabelFileError` for a row with more values
    than headings, or with one heading twice.
    """
    text = text.removeprefix("\ufeff")
    first = text.lstrip("\r\n").partition("\n")[0]
    separator = separator or max("\t,;", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    if separator == "\t":  # Raven and Audacity do not quote
        reader = csv.reader(io.StringIO(text, newline=""), delimiter="\t", quoting=csv.QUOTE_NONE)
    headings: list[str] = []
    rows = []
    try:
        for values in reader:
            if not any(value.strip() for value in values):
                continue
            if not headings:
                headings = [name.strip() or f"column {place}" for place, name in enumerate(values, start=1)]
                unnamed = [name for name, value in zip(headings, values, strict=True) if not value.strip()]
                if twice := next((name for name in headings if headings.count(name) > 1), None):
                    raise LabelFileError(f"line {reader.line_num}: the column {twice} is there twice; rename one")
                continue
            if any(value.strip() for value in values[len(headings) :]):
                raise LabelFileError(
                    f"line {reader.line_num}: {len(values)} values for {len(headings)} columns; write a value that "
                    f"contains {separator!r} in quotation marks"
                )
            values = [*values, *[""] * (len(headings) - len(values))]
            rows.append((reader.line_num, dict(zip(headings, values, strict=False))))
    except csv.Error as error:
        raise LabelFileError(f"line {reader.line_num}: {error}") from None
    empty = {name for name in unnamed if not any(row[name].strip() for _, row in rows)} if headings else set()
    kept = [name for name in headings if name not in empty]
    return kept, [(line, {name: row[name] for name in kept}) for line, row in rows]


def write_table(columns: Sequence[str], rows: Iterable[Sequence[str]], separator: str) -> str:
    """Return a table with a line of headings; tab-separated tables are not quoted, so that blanks replace tabs."""
    text = io.StringIO()
    if separator == "\t":
        for row in (columns, *rows):
            text.write("\t".join(" ".join(value.split()) if "\t" in value or "\n" in value else value for value in row))
            text.write("\n")
    else:
        writer = csv.writer(text, delimiter=separator, lineterminator="\n")
        writer.writerows([columns, *rows])
    return text.getvalue()


def read_annotations(folder: Path) -> list[Annotation]:
    """Read `annotations.csv` of a species folder; empty without the file.

    Raises:
        DataError: if the file is damaged, with its line.
    """
    path = folder / ANNOTATIONS
    if not path.is_file():
        return []
    try:
        headings, rows = parse_csv(decode_text(path.read_bytes()))
        if missing := [name for name in COLUMNS[:3] if name not in headings]:
            raise LabelFileError(f"line 1: the column {missing[0]} is missing; it needs {', '.join(COLUMNS[:3])}")
        return [_annotation_of(row, line) for line, row in enumerate(rows, start=2)]
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); change its permissions") from None
    except (BrokenTableError, LabelFileError) as error:
        raise DataError(f"{path} is damaged: {error}") from None


def _annotation_of(row: Mapping[str, str], line: int) -> Annotation:
    try:
        other = json.loads(row.get("other") or "{}")
    except ValueError:
        other = {"other": row["other"]}
    if not isinstance(other, dict):
        other = {"other": row["other"]}
    return make_annotation(
        line,
        recording=row["file"],
        start_s=number(row["start_s"], "start_s", line),
        end_s=number(row["end_s"], "end_s", line),
        species=row.get("species", ""),
        type_text=row.get("type", ""),
        low_hz=optional_number(row.get("low_hz", ""), "low_hz", line),
        high_hz=optional_number(row.get("high_hz", ""), "high_hz", line),
        annotator=row.get("annotator", ""),
        remarks=row.get("remarks", ""),
        source=row.get("source", ""),
        other={str(name): str(value) for name, value in other.items()},
    )


def write_annotations(folder: Path, annotations: Iterable[Annotation]) -> None:
    """Replace `annotations.csv` of a species folder, in the order of files and times."""
    ordered = sorted(annotations, key=lambda one: (one.recording, one.start_s, one.end_s, one.type_text, one.source))
    write_text_atomic(folder / ANNOTATIONS, write_table(COLUMNS, map(_row_of, ordered), ","))


def _row_of(annotation: Annotation) -> list[str]:
    other = json.dumps(dict(annotation.other), ensure_ascii=False) if annotation.other else ""
    numbers = (annotation.start_s, annotation.end_s, annotation.low_hz, annotation.high_hz)
    start, end, low, high = map(format_number, numbers)
    return [
        annotation.recording, start, end, annotation.species, annotation.type_text, low, high, annotation.annotator,
        annotation.remarks, annotation.source, other,
    ]  # fmt: skip
