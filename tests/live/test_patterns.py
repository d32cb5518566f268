"""Patterns in time: sunrise, dawn song, first song of the year, alarms of several species, hours and weeks."""

import importlib.util
import time
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from birdnet_nl.live.charts import HEIGHT, bars
from birdnet_nl.live.patterns import (
    alarm_bursts,
    dawn_songs,
    first_songs_of_year,
    rows_of_type,
    species_patterns,
    sunrise,
    week_of,
)  # fmt: skip

spec = importlib.util.spec_from_file_location("live_factory", Path(__file__).with_name("factory.py"))
factory = importlib.util.module_from_spec(spec)
spec.loader.exec_module(factory)

AMERSFOORT = (52.16, 5.39)
DAY = date(2026, 4, 20)


@pytest.fixture
def amsterdam(monkeypatch):
    monkeypatch.setenv("TZ", "Europe/Amsterdam")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def connection(tmp_path):
    connection = factory.make_database(tmp_path / "detections.db")
    yield connection
    connection.close()


@pytest.mark.parametrize(
    ("day", "local"),  # published times for Amersfoort
    [
        (date(2026, 6, 21), "05:18"),
        (date(2026, 12, 21), "08:45"),
        (date(2026, 3, 20), "06:40"),
        (date(2026, 9, 23), "07:26"),
    ],
)
def test_sunrise_is_right_to_three_minutes(amsterdam, day, local):
    expected = datetime.combine(day, datetime.strptime(local, "%H:%M").time())
    assert abs(sunrise(day, *AMERSFOORT) - expected) <= timedelta(minutes=3)


def test_where_the_sun_does_not_rise_there_is_no_sunrise():
    assert sunrise(date(2026, 12, 21), 78.2, 15.6) is None


def test_the_dawn_song_is_the_first_certain_song_of_a_species_around_sunrise(connection):
    rise = sunrise(DAY, *AMERSFOORT)

    def at(minutes: int) -> datetime:
        return rise + timedelta(minutes=minutes)

    factory.add_detection(connection, at(-200), "merel", "song")  # in the night
    factory.add_detection(connection, at(-60), "merel", "song", 0.4, uncertain=True)
    factory.add_detection(connection, at(-50), "merel", "call")
    first = factory.add_detection(connection, at(-40), "merel", "song")
    factory.add_detection(connection, at(-30), "merel", "song")
    late = factory.add_detection(connection, at(20), "vink", "song")
    factory.add_detection(connection, at(90), "koolmees", "song")
    songs = dawn_songs(rows_of_type(connection, DAY, "song"), AMERSFOORT)
    assert [(song.row.id, song.minutes) for song in songs] == [(first, -40), (late, 20)]


def test_an_alarm_burst_needs_two_species_within_minutes(connection):
    def alarm(time_of_day: str, slug: str, **values) -> int:
        return factory.add_detection(connection, f"{DAY}T{time_of_day}", slug, "alarm", **values)

    alarm("05:00:00", "merel")
    alarm("05:01:00", "merel")
    first = [alarm("06:00:00", "merel"), alarm("06:04:59", "winterkoning"), alarm("06:09:00", "merel")]
    alarm("07:00:00", "merel")
    alarm("07:05:01", "vink")  # too late
    alarm("08:00:00", "merel")
    alarm("08:00:10", "vink", uncertain=True)
    (burst,) = alarm_bursts(rows_of_type(connection, DAY, "alarm"))
    assert [row.id for row in burst.rows] == first
    assert [row.species for row in burst.species] == ["merel", "winterkoning"]


def test_the_first_song_of_the_year_is_certain_and_of_this_year(connection):
    factory.add_detection(connection, "2025-12-31T08:00:00", "merel", "song")
    factory.add_detection(connection, "2026-02-01T08:00:00", "merel", "call")
    factory.add_detection(connection, "2026-02-01T09:00:00", "merel", "song", 0.4, uncertain=True)
    factory.add_detection(connection, "2026-02-01T09:00:00", "vink", "song")
    first = factory.add_detection(connection, f"{DAY}T06:00:00", "merel", "song")
    for slug in ("merel", "vink"):
        factory.add_detection(connection, f"{DAY}T07:00:00", slug, "song")
    assert [row.id for row in first_songs_of_year(connection, rows_of_type(connection, DAY, "song"), DAY)] == [first]


def test_hours_and_weeks_count_certain_detections_with_corrections_applied(connection):
    from birdnet_nl.stations.corrections import add_correction

    factory.add_detection(connection, "2026-01-01T06:30:00", "merel", "song")
    factory.add_detection(connection, "2026-12-31T06:30:00", "merel", "song")
    corrected = factory.add_detection(connection, "2026-04-20T23:59:59", "merel", "song", 0.4, uncertain=True)
    wrong = factory.add_detection(connection, "2026-04-20T05:00:00", "merel", "song")
    add_correction(connection, corrected, "alarm", "Anna")
    add_correction(connection, wrong, "wrong", "Anna")
    factory.add_detection(connection, "2025-04-20T05:00:00", "merel", "song")
    patterns = species_patterns(connection, "merel", 2026)
    assert patterns.types == ["song", "alarm"] and sum(patterns.by_hour["song"]) == 2 == patterns.by_hour["song"][6]
    assert patterns.by_hour["alarm"][23] == 1
    assert patterns.by_week["song"][0] == 1 == patterns.by_week["song"][52] and patterns.by_week["alarm"][16] == 1
    assert {year: row.day for year, row in patterns.first_songs.items()} == {"2026": "2026-01-01", "2025": "2025-04-20"}


@pytest.mark.parametrize(
    ("day", "week"), [("2027-01-01", 1), ("2027-01-04", 1), ("2024-12-30", 53), ("2026-12-31", 53), ("2026-06-15", 25)]
)
def test_days_around_new_year_stay_in_their_year(day, week):
    assert week_of(date.fromisoformat(day)) == week


def test_bars_are_stacked_to_the_total(connection):
    chart = bars({"song": [1, 0, 3], "alarm": [1, 0, 1]})
    assert chart.highest == 4 and len(chart.bars) == 4
    last = [bar for bar in chart.bars if bar.index == 2]
    assert sum(bar.height for bar in last) == pytest.approx(HEIGHT) and min(bar.y for bar in last) == pytest.approx(0)
    assert bars({}).highest == 0
