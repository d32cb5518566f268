"""The table of BirdNET-Pi's detections, in short readings."""

import logging
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from birdnet_nl.stations.birdnet_pi_connection import ReadOnlyDatabase
from birdnet_nl.stations.birdnet_pi_rows import COLUMNS, Row
from birdnet_nl.stations.station import StationUnavailableError

log = logging.getLogger("birdnet_nl")
TABLE = "detections"
INSERTED_VALUES = 12  # by BirdNET-Pi, without names of columns: a table with more or fewer loses every detection
CHUNK = 200  # rows in one reading: about 0.3 ms, on a Raspberry Pi 3 about 3 ms
WALK = 2000  # row numbers in one reading of a table without an index


class Head(NamedTuple):
    """State of a database at one moment.

    Attributes:
        file: device and inode.
        counter: number of transactions written so far, modulo 2^32; None in WAL mode, which does not count them.
        version: changes whenever another program has written, only meaningful while the table is open.
        last_row: highest row number; SQLite uses it again after a deletion, and VACUUM renumbers.
    """

    file: tuple[int, int]
    counter: int | None
    version: int
    last_row: int


class DetectionsTable:
    """The table `detections` of one file, opened when it is needed and again when another file takes its place."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._database = ReadOnlyDatabase(path)
        self._has_index = False
        self._walked: tuple[int, dict[Any, array[int]]] | None = None
        self._warned = ""

    def close(self) -> None:
        self._database.close()

    def head(self) -> Head:
        """Return the state of the database.

        Raises:
            StationUnavailableError: as every method, if the file cannot be read now.
        """
        self._open()
        ((last_row,),) = self._read(f"SELECT max(rowid) FROM {TABLE}")
        ((version,),) = self._read("PRAGMA data_version")
        return Head(self._database.file, self._database.counter(), version, last_row or 0)

    def rows_after(self, number: int) -> tuple[list[Row], int]:
        """Return the rows whose number is higher, at most `CHUNK` in their order, and the last number."""
        columns = ", ".join(COLUMNS)
        query = f"SELECT rowid, {columns} FROM {TABLE} WHERE rowid > ? ORDER BY rowid LIMIT ?"
        rows = self._read(query, (number, CHUNK))
        return [Row(*values) for _, *values in rows], rows[-1][0] if rows else number

    def dates(self) -> list[Any]:
        """Return the different values of the column Date, of any type, the latest text first."""
        if not self._has_index:
            return sorted(self._walk(), key=lambda date: (isinstance(date, str), str(date)), reverse=True)
        dates = []
        ((date,),) = self._read(f"SELECT max(Date) FROM {TABLE}")
        while date is not None:  # one look into the index for each, instead of one long reading
            dates.append(date)
            mark, value = _bound(date)
            ((date,),) = self._read(f"SELECT max(Date) FROM {TABLE} WHERE Date < {mark}", (value,), rest=True)
        has_null = self._read(f"SELECT 1 FROM {TABLE} WHERE Date IS NULL LIMIT 1")
        return dates + [None] * bool(has_null)

    def count(self, date: Any) -> int:
        """Return the number of rows with a date, counted in the index."""
        if not self._has_index:
            return len(self._walk().get(date, ()))
        mark, value = _bound(date)
        ((count,),) = self._read(f"SELECT count(*) FROM {TABLE} WHERE Date IS {mark}", (value,), rest=True)
        return count

    def rows_of(self, date: Any) -> Iterator[Row]:
        """Return the rows of a date in the order of their numbers, read in parts."""
        mark, value = _bound(date)
        if self._has_index:
            query = f"SELECT rowid FROM {TABLE} WHERE Date IS {mark} ORDER BY rowid"
            numbers: Sequence[int] = array("q", (number for (number,) in self._read(query, (value,), rest=True)))
        else:
            numbers = self._walk().get(date, ())
        for start in range(0, len(numbers), CHUNK):
            part = numbers[start : start + CHUNK]
            marks = ", ".join("?" * len(part))
            yield from self._rows(f"rowid IN ({marks}) AND +Date IS {mark} ORDER BY rowid", (*part, value), rest=True)

    def first_moment(self) -> tuple[Any, Any] | None:
        """Return date and time of the earliest row; None without rows."""
        if not self._has_index:
            dates = [date for date in self._walk() if isinstance(date, str)]
            return (min(dates), "") if dates else None
        rows = self._read(f"SELECT Date, Time FROM {TABLE} WHERE Date >= '' ORDER BY Date, Time LIMIT 1")
        return rows[0] if rows else None

    def _rows(self, condition: str, values: Iterable[Any], rest: bool = False) -> list[Row]:
        return [
            Row(*row) for row in self._read(f"SELECT {', '.join(COLUMNS)} FROM {TABLE} WHERE {condition}", values, rest)
        ]

    def _walk(self) -> dict[Any, "array[int]"]:
        """Return the row numbers of each date by reading the whole table in parts; kept until it changes."""
        ((version,),) = self._read("PRAGMA data_version")
        if self._walked is None or self._walked[0] != version:
            numbers: dict[Any, array[int]] = {}
            last = None
            while rows := self._read(
                f"SELECT rowid, Date FROM {TABLE} WHERE rowid > ? ORDER BY rowid LIMIT ?",
                (-(1 << 63) if last is None else last, WALK),
                rest=True,
            ):
                for number, date in rows:
                    numbers.setdefault(date, array("q")).append(number)
                last = rows[-1][0]
            self._walked = (version, numbers)
        return self._walked[1]

    def _read(self, query: str, values: Iterable[Any] = (), rest: bool = False) -> list[tuple[Any, ...]]:
        self._open()
        return self._database.read(query, values, rest)

    def _open(self) -> None:
        if self._database.open():
            self._walked = None
            try:
                self._check_schema()
            except StationUnavailableError:
                self.close()  # checked again
                raise

    def _check_schema(self) -> None:
        names = [name for _, name, *_ in self._read(f"PRAGMA table_xinfo({TABLE})")]
        if not names:
            raise StationUnavailableError(
                f"{self.path} has no table {TABLE}; give BirdNET-Pi's database with --db, or wait until it is made"
            )
        lower = {name.lower() for name in names}
        if missing := [name for name in COLUMNS if name.lower() not in lower]:
            raise StationUnavailableError(
                f"the table {TABLE} of {self.path} has no column {', '.join(missing)} (it has {', '.join(names)}); "
                "give the database of BirdNET-Pi with --db"
            )
        if len(names) != INSERTED_VALUES and self._warned != (described := f"{len(names)} columns"):
            self._warned = described
            log.warning(
                "%s: the table %s has %s instead of %d, so BirdNET-Pi cannot store its detections; they are %s",
                self.path, TABLE, described, INSERTED_VALUES, ", ".join(names),
            )  # fmt: skip
        self._has_index = self._find_index()

    def _find_index(self) -> bool:
        """Return whether an index of the whole table begins with the date."""
        for _, name, _, _, is_partial in self._read(f"PRAGMA index_list({TABLE})"):
            columns = self._read(f"PRAGMA index_info({_identifier(name)})")
            if not is_partial and columns and str(columns[0][2]).lower() == "date":
                return True
        return False


def _bound(value: Any) -> tuple[str, Any]:
    """Return the placeholder and the value for a query; text that is no UTF-8 can only be bound as bytes."""
    if isinstance(value, str) and not value.isascii():
        return "CAST(? AS TEXT)", value.encode("utf-8", "surrogateescape")
    return "?", value


def _identifier(name: str) -> str:
    doubled = name.replace('"', '""')
    return f'"{doubled}"'
