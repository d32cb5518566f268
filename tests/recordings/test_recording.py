"""Fields of a recording parsed from the texts of Xeno-canto."""

from pathlib import Path

import pytest

from birdnet_nl.recordings.recording import Recording, licence_code, parse_duration_s, xeno_canto_number


def make_recording(**fields) -> Recording:
    return Recording("XC1", Path("XC1.mp3"), "merel", "song", "song", **fields)


@pytest.mark.parametrize(
    ("date", "month"),
    [("2023-04-00", 4), ("2023-12-31", 12), ("2023-4-1", 4), ("2023-00-00", None), ("April", None), ("", None)],
)
def test_the_month_is_parsed_from_the_date(date, month):
    assert make_recording(date=date).month == month


@pytest.mark.parametrize(
    ("time", "hour"),
    [("06:30", 6), ("6:30", 6), ("23:59", 23), ("24:00", None), ("?:?", None), ("am", None), ("", None)],
)
def test_the_hour_is_parsed_from_the_time(time, hour):
    assert make_recording(time=time).hour == hour


@pytest.mark.parametrize(
    ("id", "number"), [("XC123", "XC123"), ("zwarte_mees/XC123", "XC123"), ("song/001", ""), ("XC12a", ""), ("", "")]
)
def test_the_xeno_canto_number_is_found_with_and_without_a_species(id, number):
    assert xeno_canto_number(id) == number


def test_durations_and_licences_are_parsed():
    assert [parse_duration_s(text) for text in ("0:02", "1:40", "1:00:05", "", "long", "12")] == [2, 100, 3605, 0, 0, 0]
    assert licence_code("//creativecommons.org/licenses/by-nc-sa/4.0/") == "by-nc-sa"
    assert licence_code("//creativecommons.org/publicdomain/zero/1.0/") == "cc0"
    assert licence_code("") == ""
