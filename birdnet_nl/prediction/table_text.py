"""Tables of other programs as text: each record keeps its own spelling, so that cells can be added at its end."""

import codecs
import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from birdnet_nl.util.errors import DataError

DELIMITERS = (",", "\t", ";")
BYTE_ORDER_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
SAMPLE_BYTES = 1 << 16


@dataclass(frozen=True)
class Record:
    """One record of a table: its cells, its text without line end, and the line end."""

    cells: tuple[str, ...]
    text: str
    line_end: str

    def extended(self, cells: Sequence[str], delimiter: str, width: int) -> str:
        """Return the text with cells added after column `width`, quoted where CSV needs it."""
        padding = delimiter * max(0, width - len(self.cells))
        return self.text + padding + delimiter + join_cells(cells, delimiter) + self.line_end


def join_cells(cells: Sequence[str], delimiter: str) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, lineterminator="").writerow(cells)
    return text.getvalue()


def encoding_of(path: Path) -> str:
    """Return the encoding of a text file: by its byte order mark, else UTF-8 where that is valid, else CP1252.

    Raises `DataError` if the file holds zero bytes, so that it is no text.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        start = file.read(SAMPLE_BYTES)
        for mark, encoding in BYTE_ORDER_MARKS:
            if start.startswith(mark):
                return encoding
        if b"\0" in start:
            raise DataError("is not a text table")
        try:
            while start:
                decoder.decode(start)
                start = file.read(SAMPLE_BYTES)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "cp1252"
    return "utf-8"


def read_records(path: Path, encoding: str, delimiter: str) -> Iterator[Record]:
    """Yield the records in their order; a record with quoted line breaks is one.

    Quotes mean nothing in tables with tabs, as in Raven. Raises `DataError` if the table is damaged.
    """
    quoting = csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL
    lines: list[str] = []

    def remember(file: Iterator[str]) -> Iterator[str]:
        for line in file:
            lines.append(line)
            yield line

    with path.open(encoding=encoding, newline="", errors="surrogateescape") as file:
        try:
            for cells in csv.reader(remember(file), delimiter=delimiter, quoting=quoting):
                text = "".join(lines)
                lines.clear()
                body = text.rstrip("\r\n")
                yield Record(tuple(cells), body, text[len(body) :])
        except (csv.Error, UnicodeError) as error:
            raise DataError(f"is damaged ({error})") from None


def first_lines(path: Path, encoding: str, count: int = 5) -> list[str]:
    """Return the first lines that are not empty, without line ends."""
    with path.open(encoding=encoding, newline="", errors="surrogateescape") as file:
        lines = (file.readline(SAMPLE_BYTES) for _ in range(4 * count))
        return [line.rstrip("\r\n") for line in lines if line.strip()][:count]
