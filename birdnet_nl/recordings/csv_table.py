"""CSV files as spreadsheets write them: any usual encoding, separator, line end and quoting.

Nothing is repaired silently that could move a value to another row or column: such a file raises, with its line.
"""

import codecs
import csv
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from birdnet_nl.util.errors import DataError

SEPARATORS = (",", ";", "\t", "|")
NO_SEPARATOR = "\x1f"  # of a table with one column; occurs in no text
BYTE_ORDER_MARKS = (  # UTF-32 first, since its mark begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"), (codecs.BOM_UTF8, "utf-8-sig"),
)  # fmt: skip
MAX_CELL = 1 << 24  # letters; Python's own limit is 131,072
MAX_LINES_IN_RECORD = 500  # with more lines between two quotation marks, one of them is missing
WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # xlsx and ods, xls
UNCLOSED = "a quotation mark is not closed there, so that rows would be lost; close it, or write it twice inside a text"


class BrokenTableError(ValueError):
    """A table that cannot be read without guessing; the text names the line."""


def read_csv(path: Path) -> list[dict[str, str]]:
    """Read the rows of a CSV file as `read_csv_table` does."""
    return read_csv_table(path)[1]


def read_csv_table(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Read the headings of a CSV file, and its rows by heading, without empty rows.

    Headings become lower case with `_` for blanks and hyphens, and values are stripped. Of several columns with the
    same heading the first value counts. Raises `DataError` with the line where the file is damaged.
    """
    try:
        content = path.read_bytes()
        if content.startswith(WORKBOOKS):
            raise DataError(f"{path} is a workbook of a spreadsheet, not CSV; save it as CSV from there")
        return parse_csv(decode_text(content))
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); change its permissions or move it away") from None
    except BrokenTableError as error:
        raise DataError(f"{path} is damaged: {error}") from None


def decode_text(content: bytes) -> str:
    """Decode by byte order mark, else as UTF-16 if every other byte is 0, else line by line as UTF-8 or CP1252.

    NUL bytes, which a power failure leaves at the end of a file, are removed.
    """
    for mark, encoding in BYTE_ORDER_MARKS:
        if content.startswith(mark):
            return content.decode(encoding, errors="replace").replace("\0", "")
    start = content[:4096]
    for first, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        if len(start) >= 4 and start[first::2].count(0) > 0.4 * len(start) / 2 > 4 * start[1 - first :: 2].count(0):
            return content.decode(encoding, errors="replace").replace("\0", "")
    return "".join(map(_decode_line, content.splitlines(keepends=True))).replace("\0", "")


def _decode_line(line: bytes) -> str:
    for encoding in ("utf-8", "cp1252"):
        try:
            return line.decode(encoding)
        except UnicodeDecodeError:
            continue
    return line.decode("latin-1")


def parse_csv(text: str) -> tuple[list[str], list[dict[str, str]]]:
    """Return the headings of a table, and its rows by heading; raises `BrokenTableError`."""
    csv.field_size_limit(MAX_CELL)
    lines = list(io.StringIO(text, newline=""))  # splits at \r, \n and \r\n, and keeps them for quoted values
    skipped = 0
    separator = None
    while skipped < len(lines) and not (line := lines[skipped].strip().strip('"')).strip(",;\t| "):
        skipped += 1
    if skipped < len(lines) and (match := re.fullmatch(r"sep=(\\t|.)?[,;|\s]*", line, re.IGNORECASE)):
        separator = {"\\t": "\t", None: "\t"}.get(match[1], match[1])  # a tab is stripped from the line
        skipped += 1
        while skipped < len(lines) and not lines[skipped].strip():
            skipped += 1
    if skipped == len(lines):
        return [], []
    separator = separator or _find_separator(lines[skipped])
    records = _records(lines[skipped:], separator, skipped + 1)
    names = [_heading(name) for name in next(records)[1]]
    return names, [_row(names, values, line, separator) for line, values in records if any(map(str.strip, values))]


def _find_separator(headings: str) -> str:
    """Return the separator that occurs most often in the line of headings, outside quotation marks."""
    bare = re.sub(r'"[^"]*"', "", headings)
    separator = max(SEPARATORS, key=bare.count)
    return separator if separator in bare else NO_SEPARATOR


def _heading(name: str) -> str:
    return re.sub(r"[\s-]+", "_", name.strip().strip("\ufeff").strip().lower())


def _row(names: Sequence[str], values: Sequence[str], line: int, separator: str) -> dict[str, str]:
    row = dict.fromkeys((name for name in names if name), "")
    for name, value in zip(names, values, strict=False):
        if name and not row[name]:
            row[name] = _value(value)
    if extra := sum(bool(value.strip()) for value in values[len(names) :]):
        raise BrokenTableError(
            f"line {line} has {len(names) + extra} values for {len(names)} headings; "
            f"write a value that contains {separator!r} in quotation marks"
        )
    return row


def _value(text: str) -> str:
    text = text.strip()
    return text[2:-1] if text.startswith('="') and text.endswith('"') else text  # a text, as spreadsheets protect it


def _records(lines: Sequence[str], separator: str, first_line: int) -> Iterator[tuple[int, list[str]]]:
    """Yield the line number and the values of each record."""
    try:
        reader = csv.reader(lines, delimiter=separator, strict=True, skipinitialspace=True)
        records, start = [], first_line
        for values in reader:
            if reader.line_num + first_line - start > MAX_LINES_IN_RECORD:
                raise BrokenTableError(f"line {start}: {UNCLOSED}")
            records.append((start, values))
            start = reader.line_num + first_line
    except csv.Error:  # a quotation mark inside a quoted value, or one without its partner
        records = _records_one_by_one(lines, separator, first_line)
    yield from records


def _records_one_by_one(lines: Sequence[str], separator: str, first_line: int) -> Iterator[tuple[int, list[str]]]:
    """As `_records`, but allow a quotation mark inside a quoted value that ends on the line where it starts."""
    start = 0
    while start < len(lines):
        values, end = None, start
        while values is None and end < min(start + MAX_LINES_IN_RECORD, len(lines)):
            end += 1
            try:
                (values,) = csv.reader(lines[start:end], delimiter=separator, strict=True, skipinitialspace=True)
            except csv.Error as error:
                if "unexpected end of data" not in str(error):
                    values = _parse_loosely(lines[start], separator) if end == start + 1 else None
                    break
        if values is None:
            raise BrokenTableError(f"line {start + first_line}: {UNCLOSED}")
        yield start + first_line, values
        start = end


def _parse_loosely(line: str, separator: str) -> list[str] | None:
    """Parse a line with quotation marks in quoted values; None where its last quoted value does not end."""
    end = "\x1e"  # read as a record of its own, unless it became a part of the value
    try:
        records = list(csv.reader([line.rstrip("\r\n") + "\n", end], delimiter=separator, skipinitialspace=True))
    except csv.Error:
        return None
    return records[0] if records[1:] == [[end]] else None
