"""Detections of other programs: BirdNET-Analyzer, Raven, Audacity, Kaleidoscope, birdnet, birda, BirdNET-Pi, HawkEars.

A table is recognised by its columns, whatever its name. Each detection gives a file, a window and a label.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from birdnet_nl.prediction.table_text import DELIMITERS, Record, encoding_of, first_lines, read_records
from birdnet_nl.recordings.recording import parse_number
from birdnet_nl.util.errors import DataError

TEXT_SUFFIXES, PARQUET = (".csv", ".txt", ".tsv"), ".parquet"
START, END, DURATION, OFFSET, FILE, FOLDER, DIRECTORY = "start", "end", "duration", "offset", "file", "folder", "dir"
SCIENTIFIC, COMMON, LABEL, CONFIDENCE, DATE, TIME = "scientific", "common", "label", "confidence", "date", "time"
ROLES = {  # column in lower case with blanks for _ -> role; of several columns for a role, the first in this order
    "start (s)": START, "begin time (s)": START, "start time": START, "start": START, "window start": START,
    "start s": START, "begin time": START, "time start": START,
    "end (s)": END, "end time (s)": END, "end time": END, "end": END, "window end": END, "end s": END, "time end": END,
    "duration": DURATION, "duration (s)": DURATION,
    "file offset (s)": OFFSET, "begin file offset (s)": OFFSET,
    "file": FILE, "begin path": FILE, "in file": FILE, "input": FILE, "filepath": FILE, "recording": FILE,
    "begin file": FILE, "filename": FILE, "file name": FILE, "path": FILE, "file path": FILE, "audio file": FILE,
    "indir": DIRECTORY, "folder": FOLDER,
    "scientific name": SCIENTIFIC, "sci name": SCIENTIFIC, "scientific": SCIENTIFIC,
    "common name": COMMON, "com name": COMMON, "common": COMMON, "english name": COMMON,
    "species name": LABEL, "top1match": LABEL, "label": LABEL, "name": LABEL, "species": LABEL, "annotation": LABEL,
    "prediction": LABEL, "class": LABEL, "auto id": LABEL, "species code": LABEL,
    "confidence": CONFIDENCE, "score": CONFIDENCE, "conf": CONFIDENCE, "probability": CONFIDENCE, "logits": CONFIDENCE,
    "date": DATE, "time": TIME,
}  # fmt: skip
KALEIDOSCOPE_START = "offset"  # means the start only beside `in file`
BIRDNET_PI_COLUMNS = (
    "Date", "Time", "Sci_Name", "Com_Name", "Confidence", "Lat", "Lon", "Cutoff", "Week", "Sens", "Overlap",
)  # fmt: skip
AUDACITY_ROLES = {START: 0, END: 1, LABEL: 2, CONFIDENCE: 3}
DECIMAL_COMMA = re.compile(r"-?\d+,\d+")
OURS = "vocalization_type"
TABLE_ENDINGS = re.compile(
    r"(\.selection|\.selections|\.table|\.results?|\.kaleidoscope|\.birdnet(_nl)?|\.bat|\.\d|_labels?|\.labels?"
    r"|_birdnet|_scores|_hawkears|\.audacity|\.raven)$",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Detection:
    """Detection as its table gives it.

    Attributes:
        file: text of the file column; empty where the table has none.
        start_s, end_s: in the file; None where the table has a date and a time instead.
        names: scientific name, common name and label, the empty ones left out.
    """

    file: str
    start_s: float | None
    end_s: float | None
    names: tuple[str, ...]
    confidence: float | None
    date: str = ""
    time: str = ""


@dataclass(frozen=True, eq=False)
class DetectionTable:
    """Recognised table.

    Attributes:
        relative: path below the folder that was given.
        roles: position of the column of each role.
        columns: names of the columns; empty for a table without a header.
        skipped: records before the first detection: `sep=` and the header.
        decimal_comma: numbers are written as `0,91`.
    """

    path: Path
    relative: str
    roles: Mapping[str, int]
    columns: tuple[str, ...]
    encoding: str = ""
    delimiter: str = ""
    skipped: int = 0
    decimal_comma: bool = False

    @property
    def is_parquet(self) -> bool:
        return self.path.suffix.lower() == PARQUET

    @property
    def width(self) -> int:
        """Number of columns; 0 where it is not fixed."""
        return len(self.columns)

    @property
    def stem(self) -> str:
        """Name of the recording that the table belongs to, by the table's own name."""
        stem = self.path.name.removesuffix(self.path.suffix)
        while (shorter := TABLE_ENDINGS.sub("", stem)) not in (stem, ""):
            stem = shorter
        return stem

    def records(self) -> Iterator[tuple[Record, Detection | None]]:
        """Yield all records with their detections: None for headers, empty lines and Audacity's frequency lines."""
        for index, record in enumerate(read_records(self.path, self.encoding, self.delimiter)):
            is_detection = index >= self.skipped and any(record.cells) and not record.text.startswith("\\")
            yield record, self.detection(record.cells) if is_detection else None

    def detection(self, cells: Sequence[object]) -> Detection:
        """Read the cells of one record, [columns]."""

        def text(role: str) -> str:
            index = self.roles.get(role)
            value = cells[index] if index is not None and index < len(cells) else None
            return "" if value is None else str(value).strip().strip('"')

        start_s, end_s = parse_seconds(text(START)), parse_seconds(text(END))
        duration_s = parse_seconds(text(DURATION))
        if end_s is None and start_s is not None and duration_s is not None:
            end_s = start_s + duration_s
        offset_s = parse_seconds(text(OFFSET))
        if offset_s is not None and start_s is not None and end_s is not None:
            start_s, end_s = offset_s, offset_s + end_s - start_s  # in a combined table the time runs on over the files
        file = "/".join(part for role in (DIRECTORY, FOLDER, FILE) if (part := text(role)))
        names = tuple(name for role in (SCIENTIFIC, COMMON, LABEL) if (name := text(role)))
        confidence = parse_number(text(CONFIDENCE).replace(",", "."))
        return Detection(file, start_s, end_s, names, confidence, text(DATE), text(TIME))


def parse_seconds(text: str) -> float | None:
    """Parse `3.0`, `3,0` or `00:00:03.00`; None for anything else."""
    parts = [parse_number(part) for part in text.replace(",", ".").split(":")]
    if not text or None in parts or len(parts) > 3:
        return None
    return float(sum(part * 60**power for power, part in enumerate(reversed(parts))))


def find_tables(target: Path, skip: Path | None = None) -> tuple[list[DetectionTable], list[tuple[Path, str]]]:
    """Return the tables in a file or below a folder, and the files that are none, with the reason.

    Nothing below `skip`, the output folder, is read unless it is the folder itself or above it.

    Raises `DataError` if there is no table.
    """
    if not target.exists():
        raise DataError(f"--detections {target} does not exist; give a table or a folder of tables")
    folder = target if target.is_dir() else target.parent
    paths = sorted(path for path in target.rglob("*") if _may_be_table(path, folder)) if target.is_dir() else [target]
    own = skip.resolve() if skip else None
    if own and own != folder.resolve() and own.is_relative_to(folder.resolve()):
        paths = [path for path in paths if not path.resolve().is_relative_to(own)]
    tables, others = [], []
    for path in paths:
        try:
            tables.append(open_table(path, path.relative_to(folder).as_posix()))
        except DataError as error:
            others.append((path, str(error)))
        except OSError as error:
            others.append((path, f"cannot be read ({error.strerror})"))
    if not tables:
        why = f"; {others[0][0].name} {others[0][1]}" if others else ""
        raise DataError(
            f"--detections {target} holds no table of detections{why}; possible are those of BirdNET-Analyzer, Raven, "
            "Audacity, Kaleidoscope, birdnet, birda, HawkEars and BirdNET-Pi's BirdDB.txt"
        )
    return tables, others


def _may_be_table(path: Path, folder: Path) -> bool:
    hidden = any(part.startswith((".", "@", "#")) for part in path.relative_to(folder).parts)
    return not hidden and path.suffix.lower() in (*TEXT_SUFFIXES, PARQUET) and path.is_file()


def open_table(path: Path, relative: str) -> DetectionTable:
    """Recognise a table by its columns; raises `DataError` with the reason, without the name, if it is none."""
    if path.suffix.lower() == PARQUET:
        from birdnet_nl.prediction.parquet import parquet_columns

        columns = parquet_columns(path)
        return DetectionTable(path, relative, _roles(columns), columns)
    encoding = encoding_of(path)
    lines = first_lines(path, encoding)
    if not lines:  # Audacity labels of a recording without detections
        return DetectionTable(path, relative, AUDACITY_ROLES, (), encoding, "\t")
    skipped, delimiters = 0, DELIMITERS
    if lines[0].strip('"').lower().startswith("sep=") and len(lines) > 1:
        skipped, delimiters = 1, (lines[0].strip('"')[4:5] or "\t",)
    header, reasons = lines[skipped], []
    for delimiter in sorted(delimiters, key=lambda mark: -header.count(mark)):
        columns = tuple(cell.strip().strip('"') for cell in header.split(delimiter))
        if delimiter == "\t" and not skipped and _is_audacity(columns):
            comma = _has_decimal_comma(header, delimiter)
            return DetectionTable(path, relative, AUDACITY_ROLES, (), encoding, delimiter, decimal_comma=comma)
        if delimiter == ";" and re.fullmatch(r"\d{4}-\d\d-\d\d", columns[0]) and len(columns) >= 5:
            return DetectionTable(path, relative, _roles(BIRDNET_PI_COLUMNS), (), encoding, delimiter)
        try:
            comma = any(_has_decimal_comma(line, delimiter) for line in lines[skipped + 1 :])
            return DetectionTable(path, relative, _roles(columns), columns, encoding, delimiter, skipped + 1, comma)
        except DataError as error:
            reasons.append(error)
    raise reasons[0]  # with the delimiter that is most frequent


def _has_decimal_comma(line: str, delimiter: str) -> bool:
    """Return whether the first row of a table writes numbers as `0,91`."""
    return delimiter != "," and any(DECIMAL_COMMA.fullmatch(cell.strip().strip('"')) for cell in line.split(delimiter))


def _is_audacity(columns: Sequence[str]) -> bool:
    return len(columns) >= 2 and all(parse_number(cell.replace(",", ".")) is not None for cell in columns[:2])


def _roles(columns: Sequence[str]) -> dict[str, int]:
    """Return the position of each role's column; raises `DataError` if the columns are not those of detections."""
    names = [" ".join(column.strip("\ufeff ").lower().replace("_", " ").split()) for column in columns]
    if OURS.replace("_", " ") in names:
        raise DataError("has the columns of an earlier prediction; give the table without them")
    roles: dict[str, int] = {}
    for name, role in ROLES.items():
        if name in names:
            roles.setdefault(role, names.index(name))
    if "in file" in names and KALEIDOSCOPE_START in names:
        roles[START] = names.index(KALEIDOSCOPE_START)
    if "in file" not in names:  # folder means something else elsewhere
        roles.pop(FOLDER, None)
        roles.pop(DIRECTORY, None)
    has_window = START in roles and (END in roles or DURATION in roles)
    has_label = {SCIENTIFIC, COMMON, LABEL} & set(roles)
    if not has_label or not (has_window or {DATE, TIME} <= set(roles)):
        raise DataError("has no columns for a time and a species")
    return roles
