"""Detections of a day for the live page: filters, rows in pages, counts; all values are bound, none is part of SQL."""

import json
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from birdnet_nl.live.refused import RefusedError
from birdnet_nl.recordings.type_set import THREE, type_order
from birdnet_nl.stations.corrections import LATEST_CORRECTION, WRONG
from birdnet_nl.stations.detection import State

PAGE_ROWS = 20
MAX_IDS = 60
MAX_VALUE = 120  # characters of a filter
MAX_ID = 2**63 - 1
CERTAINTIES = ("certain", "uncertain", "corrected", "uncorrected")
NO_TYPE = "none"

TYPE = "coalesce(nullif(corrections.type, ''), results.type, '')"
"""Type that counts: the corrected one, else the predicted one, else empty."""
IS_CERTAIN = "(coalesce(corrections.type, '') != '' OR coalesce(results.is_uncertain, 1) = 0)"
TABLES = (
    "FROM detections LEFT JOIN results ON results.id = detections.result "
    f"LEFT JOIN corrections ON corrections.id = {LATEST_CORRECTION} "
)
COLUMNS = (
    "detections.id, station, key, recorded_at, species, scientific_name, common_name, confidence, clip, source, state, "
    "reason, detections.result, results.type AS predicted, probability, probabilities, is_uncertain, model, start_s, "
    "end_s, warning, coalesce(corrections.type, '') AS corrected, person, comment, corrected_at"
)


@dataclass(frozen=True)
class Filters:
    """Detections to show; empty values select all.

    Attributes:
        species: slug, or the scientific name of a species outside our table.
        type: as predicted or corrected; `wrong`, or `none` for detections without a prediction.
        certainty: one of `CERTAINTIES`.
    """

    day: date
    species: str = ""
    type: str = ""
    certainty: str = ""

    @classmethod
    def read(cls, query: Mapping[str, str], today: date) -> "Filters":
        """Read the filters of an address; raises `RefusedError` for values that cannot be."""
        values = {name: query.get(name, "") for name in ("species", "type", "certainty")}
        if any(len(value) > MAX_VALUE or "\0" in value for value in values.values()):
            raise RefusedError(400, "A filter in the address is not possible.")
        if values["certainty"] not in ("", *CERTAINTIES):
            raise RefusedError(400, "A filter in the address is not possible.")
        return cls(read_day(query.get("day", ""), today), **values)

    def query(self, **changed: str) -> dict[str, str]:
        """Return the values for an address, without empty ones."""
        values = {"day": self.day.isoformat(), "species": self.species, "type": self.type, "certainty": self.certainty}
        return {name: value for name, value in (values | changed).items() if value}

    def sql(self) -> tuple[str, dict[str, str]]:
        """Return the condition and its values."""
        conditions = ["deleted_at IS NULL", "recorded_at >= :day", "recorded_at < :next_day"]
        values = {"day": self.day.isoformat(), "next_day": (self.day + timedelta(days=1)).isoformat()}
        if self.species:
            conditions.append("(species = :species OR (species = '' AND scientific_name = :species))")
        if self.type:
            conditions.append(f"{TYPE} = :type")
        conditions += {
            "certain": [IS_CERTAIN],
            "uncertain": [f"NOT {IS_CERTAIN}"],
            "corrected": ["coalesce(corrections.type, '') != ''"],
            "uncorrected": ["coalesce(corrections.type, '') = ''"],
        }.get(self.certainty, [])
        values |= {"species": self.species, "type": "" if self.type == NO_TYPE else self.type}
        return " AND ".join(conditions), values


def read_day(text: str, today: date) -> date:
    if not text:
        return today
    try:
        if len(text) != 10 or not text.isascii():
            raise ValueError
        day = date.fromisoformat(text)
        return day if 1900 <= day.year <= 2200 else _no_day()
    except ValueError:
        return _no_day()


def _no_day() -> date:
    raise RefusedError(400, "The day in the address is no date such as 2026-11-30.")


def read_id(text: str) -> int:
    """Read the id of a detection; raises `RefusedError` for another text."""
    if not (text.isascii() and text.isdigit() and len(text) <= 19 and int(text) <= MAX_ID):
        raise RefusedError(404, "There is no such detection.")
    return int(text)


def read_ids(text: str) -> list[int]:
    return [read_id(part) for part in text.split(",")[:MAX_IDS]]


@dataclass(frozen=True)
class Row:
    """One detection with its prediction and the correction that counts."""

    values: sqlite3.Row

    def __getattr__(self, name: str):
        try:
            return self.values[name]
        except IndexError:
            raise AttributeError(name) from None

    @property
    def time(self) -> str:
        return self.recorded_at[11:19]

    @property
    def day(self) -> str:
        return self.recorded_at[:10]

    @property
    def type(self) -> str:
        """Type that counts; `wrong` for another species, empty without a prediction."""
        return self.corrected or self.predicted or ""

    @property
    def is_certain(self) -> bool:
        return bool(self.corrected) or self.is_uncertain == 0

    @property
    def types(self) -> list[tuple[str, float]]:
        """Types of the model with their probabilities, the most probable first."""
        try:
            values = json.loads(self.probabilities or "{}")
            pairs = [(str(name), min(1.0, max(0.0, float(value)))) for name, value in values.items()]
        except (ValueError, TypeError, AttributeError):
            return []
        return sorted(pairs, key=lambda pair: -pair[1])

    @property
    def cursor(self) -> str:
        return f"{self.recorded_at}~{self.id}"


def read_rows(connection: sqlite3.Connection, filters: Filters, before: str = "") -> tuple[list[Row], str]:
    """Return a page of rows, the latest first, and the cursor of the next page (empty at the end)."""
    condition, values = filters.sql()
    if before:
        recorded_at, _, id = before.rpartition("~")
        if not recorded_at or len(recorded_at) > MAX_VALUE:
            raise RefusedError(400, "A filter in the address is not possible.")
        condition += " AND (recorded_at, detections.id) < (:before, :before_id)"
        values |= {"before": recorded_at, "before_id": read_id(id)}
    rows = connection.execute(
        f"SELECT {COLUMNS} {TABLES} WHERE {condition} "
        f"ORDER BY recorded_at DESC, detections.id DESC LIMIT {PAGE_ROWS + 1}",
        values,
    ).fetchall()
    page = [Row(row) for row in rows[:PAGE_ROWS]]
    return page, page[-1].cursor if len(rows) > PAGE_ROWS else ""


def read_rows_of_ids(connection: sqlite3.Connection, ids: Sequence[int], filters: Filters | None = None) -> list[Row]:
    """Return those of the given detections that the filters select."""
    condition, values = filters.sql() if filters else ("deleted_at IS NULL", {})
    names = ", ".join(f":id{number}" for number in range(len(ids)))
    values |= {f"id{number}": id for number, id in enumerate(ids)}
    rows = connection.execute(
        f"SELECT {COLUMNS} {TABLES} WHERE detections.id IN ({names}) AND {condition} "
        "ORDER BY recorded_at DESC, detections.id DESC",
        values,
    )
    return [Row(row) for row in rows]


def read_row(connection: sqlite3.Connection, id: int) -> Row:
    rows = read_rows_of_ids(connection, [id])
    if not rows:
        raise RefusedError(404, "There is no such detection.")
    return rows[0]


def rows_in_order(connection: sqlite3.Connection, filters: Filters, after: str, count: int) -> list[Row]:
    """Return the next rows in the order of time after a cursor, the first ones with an empty cursor."""
    condition, values = filters.sql()
    if after:
        recorded_at, _, id = after.rpartition("~")
        condition += " AND (recorded_at, detections.id) > (:after, :after_id)"
        values |= {"after": recorded_at, "after_id": int(id)}
    query = f"SELECT {COLUMNS} {TABLES} WHERE {condition} ORDER BY recorded_at, detections.id LIMIT {count:d}"
    return [Row(row) for row in connection.execute(query, values)]


def types_of(connection: sqlite3.Connection, filters: Filters) -> list[str]:
    """Return the types that the models of a day predict, and song, call and alarm, in the usual order."""
    condition, values = filters.sql()
    rows = connection.execute(
        f"SELECT DISTINCT each.key {TABLES}, json_each(iif(json_valid(probabilities) AND "
        f"json_type(probabilities) = 'object', probabilities, '{{}}')) AS each WHERE {condition}",
        values,
    )
    return sorted({*THREE.types, *(str(row[0]) for row in rows)}, key=type_order)


@dataclass(frozen=True)
class Group:
    """Number of detections of a day with the same species, type and certainty."""

    species: str
    scientific_name: str
    common_name: str
    type: str
    is_certain: bool
    is_corrected: bool
    state: str
    count: int

    @property
    def key(self) -> str:
        return self.species or self.scientific_name

    def is_selected(self, filters: Filters) -> bool:
        return (
            (not filters.species or filters.species == self.key)
            and (not filters.type or self.type == ("" if filters.type == NO_TYPE else filters.type))
            and {
                "certain": self.is_certain, "uncertain": not self.is_certain, "corrected": self.is_corrected,
                "uncorrected": not self.is_corrected,
            }.get(filters.certainty, True)
        )  # fmt: skip


def day_groups(connection: sqlite3.Connection, day: date) -> list[Group]:
    condition, values = Filters(day).sql()
    rows = connection.execute(
        f"SELECT species, scientific_name, max(common_name), {TYPE} AS counted, {IS_CERTAIN} AS certain, "
        "coalesce(corrections.type, '') != '' AS is_corrected, state, count(*) "
        f"{TABLES} WHERE {condition} "
        "GROUP BY species, scientific_name, counted, certain, is_corrected, state",
        values,
    )
    return [Group(*row[:4], bool(row[4]), bool(row[5]), *row[6:]) for row in rows]


@dataclass(frozen=True)
class DaySummary:
    """Counts of a day; `selected` of the detections that the filters select."""

    total: int
    selected: int
    species: list[tuple[Group, int]]
    types: Counter
    uncertain: int
    corrected: int
    waiting: int

    @property
    def keys(self) -> list[str]:
        return [group.key for group, _ in self.species]

    @property
    def type_counts(self) -> list[tuple[str, int]]:
        """Types with their counts, the most frequent first; `NO_TYPE` for detections without a prediction."""
        return [(name or NO_TYPE, count) for name, count in self.types.most_common()]

    @property
    def type_names(self) -> list[str]:
        return [name for name, _ in self.type_counts]

    @property
    def shown_types(self) -> list[str]:
        """Song, call and alarm, and the other types that occur."""
        return sorted({*THREE.types, *self.types} - {"", WRONG}, key=type_order)

    @classmethod
    def of(cls, groups: Sequence[Group], filters: Filters) -> "DaySummary":
        species: dict[str, tuple[Group, int]] = {}
        types, temporary = Counter(), (State.NEW, State.WAITING)
        for group in groups:
            first, count = species.get(group.key, (group, 0))
            species[group.key] = (first, count + group.count)
            types[group.type] += group.count
        return cls(
            total=sum(group.count for group in groups),
            selected=sum(group.count for group in groups if group.is_selected(filters)),
            species=sorted(species.values(), key=lambda item: -item[1]),
            types=types,
            uncertain=sum(group.count for group in groups if not group.is_certain and group.type not in ("", WRONG)),
            corrected=sum(group.count for group in groups if group.is_corrected),
            waiting=sum(group.count for group in groups if group.state in temporary),
        )


def latest_day(connection: sqlite3.Connection) -> str:
    """Return the latest day with detections, empty without any."""
    row = connection.execute("SELECT max(recorded_at) FROM detections WHERE deleted_at IS NULL").fetchone()
    return (row[0] or "")[:10]
