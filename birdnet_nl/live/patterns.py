"""Patterns in time: types by hour and week, first song of the year, dawn song, and alarms of several species at once.

Only certain and corrected predictions count.
"""

import math
import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from birdnet_nl.live.queries import COLUMNS, IS_CERTAIN, TABLES, TYPE, Filters, Row
from birdnet_nl.recordings.type_set import type_order
from birdnet_nl.stations.corrections import WRONG

DAWN_BEFORE, DAWN_AFTER = timedelta(hours=2), timedelta(hours=1)
BURST_GAP = timedelta(minutes=5)
BURST_SPECIES = 2
DAWN_DAYS = 30
COUNTED = f"deleted_at IS NULL AND {IS_CERTAIN} AND {TYPE} NOT IN ('', '{WRONG}')"
HIGHEST_SUN_DEG = -0.833  # of the centre at sunrise: refraction and half of the disc


def sunrise(day: date, latitude: float, longitude: float) -> datetime | None:
    """Return the local time of sunrise to about two minutes, without a zone; None where the sun does not rise.

    Formulas of NOAA's solar calculator.
    """
    days = (day - date(2000, 1, 1)).days - longitude / 360
    anomaly = math.radians((357.5291 + 0.98560028 * days) % 360)
    centre = 1.9148 * math.sin(anomaly) + 0.02 * math.sin(2 * anomaly) + 0.0003 * math.sin(3 * anomaly)
    ecliptic = math.radians((math.degrees(anomaly) + centre + 282.9372) % 360)
    transit = days + 0.0053 * math.sin(anomaly) - 0.0069 * math.sin(2 * ecliptic)  # days since 2000-01-01 12:00 UTC
    declination = math.asin(math.sin(ecliptic) * math.sin(math.radians(23.44)))
    north = math.radians(latitude)
    cosine = (math.sin(math.radians(HIGHEST_SUN_DEG)) - math.sin(north) * math.sin(declination)) / (
        math.cos(north) * math.cos(declination)
    )
    if abs(cosine) > 1:
        return None
    moment = datetime(2000, 1, 1, 12, tzinfo=UTC) + timedelta(days=transit - math.degrees(math.acos(cosine)) / 360)
    return moment.astimezone().replace(tzinfo=None)


@dataclass(frozen=True)
class DawnSong:
    """First song of a species on a day; `minutes` after sunrise, negative before it."""

    row: Row
    minutes: int


def dawn_songs(songs: Iterable[Row], location: tuple[float, float]) -> list[DawnSong]:
    """Return the first song of each species and day around dawn, in the order of the songs, which is that of time."""
    found: dict[tuple[str, str], DawnSong] = {}
    rises: dict[str, datetime | None] = {}
    for row in songs:
        day, key = row.day, (row.day, row.species or row.scientific_name)
        if day not in rises:
            rises[day] = sunrise(date.fromisoformat(day), *location)
        rise, moment = rises[day], _moment(row)
        if rise and key not in found and rise - DAWN_BEFORE <= moment <= rise + DAWN_AFTER:
            found[key] = DawnSong(row, round((moment - rise).total_seconds() / 60))
    return list(found.values())


@dataclass
class Burst:
    """Alarms of several species, each at most `BURST_GAP` after the one before."""

    rows: list[Row] = field(default_factory=list)

    @property
    def species(self) -> list[Row]:
        """Return the first alarm of each species."""
        first: dict[str, Row] = {}
        for row in self.rows:
            first.setdefault(row.species or row.scientific_name, row)
        return list(first.values())


def alarm_bursts(alarms: Sequence[Row]) -> list[Burst]:
    """Group alarms in the order of time; groups of one species are left out."""
    bursts: list[Burst] = []
    for row in alarms:
        if not bursts or _moment(row) - _moment(bursts[-1].rows[-1]) > BURST_GAP:
            bursts.append(Burst())
        bursts[-1].rows.append(row)
    return [burst for burst in bursts if len(burst.species) >= BURST_SPECIES]


def rows_of_type(connection: sqlite3.Connection, day: date, type: str, days: int = 1, species: str = "") -> list[Row]:
    """Return certain detections of a type on a day, or on `days` up to it, in the order of time."""
    condition, values = Filters(day, species, type, "certain").sql()
    values["day"] = (day - timedelta(days=days - 1)).isoformat()
    query = f"SELECT {COLUMNS} {TABLES} WHERE {condition} ORDER BY recorded_at, detections.id"
    return [Row(row) for row in connection.execute(query, values)]


def first_songs_of_year(connection: sqlite3.Connection, songs: Iterable[Row], day: date) -> list[Row]:
    """Return, of the songs of a day, the first of each species that did not sing earlier in the year."""
    first: dict[tuple[str, str], Row] = {}
    for row in songs:
        first.setdefault((row.species, row.scientific_name), row)
    query = (
        f"SELECT 1 {TABLES} WHERE species = :species AND (:species != '' OR scientific_name = :scientific_name) "
        f"AND recorded_at >= :year AND recorded_at < :day AND {COUNTED} AND {TYPE} = 'song' LIMIT 1"
    )
    new = []
    for (species, scientific_name), row in first.items():
        values = {
            "species": species, "scientific_name": scientific_name, "year": f"{day.year}-01-01", "day": day.isoformat(),
        }  # fmt: skip
        if connection.execute(query, values).fetchone() is None:
            new.append(row)
    return new


@dataclass(frozen=True)
class SpeciesPatterns:
    """Certain detections of a species in a year, counted by type.

    Attributes:
        by_hour: type -> 24 counts.
        by_week: type -> 53 counts, of ISO weeks 1 to 53; the days around New Year that belong to a week of another year
            count for the nearest week of this one.
        first_songs: year -> first song, the latest year first.
    """

    by_hour: dict[str, list[int]]
    by_week: dict[str, list[int]]
    first_songs: dict[str, Row]

    @property
    def types(self) -> list[str]:
        return list(self.by_hour)


def species_patterns(connection: sqlite3.Connection, species: str, year: int) -> SpeciesPatterns:
    values = {"species": species, "start": f"{year}-01-01", "end": f"{year + 1}-01-01"}
    of_species = "(species = :species OR (species = '' AND scientific_name = :species))"
    in_year = f"{of_species} AND recorded_at >= :start AND recorded_at < :end AND {COUNTED}"
    hours = connection.execute(
        f"SELECT {TYPE} AS counted, substr(recorded_at, 12, 2), count(*) {TABLES} WHERE {in_year} "
        "GROUP BY counted, substr(recorded_at, 12, 2)",
        values,
    ).fetchall()
    days = connection.execute(
        f"SELECT {TYPE} AS counted, substr(recorded_at, 1, 10) AS day_, count(*) {TABLES} WHERE {in_year} "
        "GROUP BY counted, day_",
        values,
    ).fetchall()
    first = connection.execute(
        f"SELECT {COLUMNS}, min(recorded_at) {TABLES} WHERE {of_species} AND {COUNTED} AND {TYPE} = 'song' "
        "GROUP BY substr(recorded_at, 1, 4) ORDER BY recorded_at DESC",
        values,
    )
    totals = Counter()
    for name, _, count in hours:
        totals[name] += count
    by_hour = {name: [0] * 24 for name in sorted(totals, key=type_order)}
    by_week = {name: [0] * 53 for name in by_hour}
    for name, hour, count in hours:
        if hour.isdigit() and int(hour) < 24:
            by_hour[name][int(hour)] += count
    for name, day, count in days:
        by_week[name][week_of(date.fromisoformat(day)) - 1] += count
    return SpeciesPatterns(by_hour, by_week, {row["recorded_at"][:4]: Row(row) for row in first})


def week_of(day: date) -> int:
    """Return the ISO week of a day, of its own year: 1 to 53."""
    year, week, _ = day.isocalendar()
    return week if year == day.year else 1 if year < day.year else 53


def species_of_year(connection: sqlite3.Connection, year: int) -> list[Row]:
    """Return species, names and number of detections of a year, the most frequent first."""
    rows = connection.execute(
        "SELECT species, scientific_name, max(common_name) AS common_name, count(*) AS count, "
        "coalesce(nullif(species, ''), scientific_name) AS key FROM detections "
        "WHERE deleted_at IS NULL AND recorded_at >= ? AND recorded_at < ? GROUP BY species, scientific_name "
        "ORDER BY count DESC",
        (f"{year}-01-01", f"{year + 1}-01-01"),
    )
    return [Row(row) for row in rows]


def years(connection: sqlite3.Connection) -> list[int]:
    """Return the years with detections, the latest first; all between the first and the last."""
    first, last = connection.execute("SELECT min(recorded_at), max(recorded_at) FROM detections").fetchone()
    if not first or not (first[:4].isdigit() and last[:4].isdigit()):
        return []
    return list(range(int(last[:4]), int(first[:4]) - 1, -1))[:100]


def _moment(row: Row) -> datetime:
    return datetime.fromisoformat(row.recorded_at[:19])
