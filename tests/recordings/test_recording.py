"""When a recording was made, as far as its texts say."""

from pathlib import Path

import pytest

from birdnet_nl.recordings.recording import Recording, xeno_canto_number


def recording(**known) -> Recording:
    return Recording("XC1", Path("XC1.mp3"), "merel", "song", "song", **known)


@pytest.mark.parametrize(
    ("date", "month"),
    [("2023-04-00", 4), ("2023-12-31", 12), ("2023-4-1", 4), ("2023-00-00", None), ("April", None), ("", None)],
)
def test_the_month_is_that_of_the_date_or_unknown(date, month):
    assert recording(date=date).month == month


@pytest.mark.parametrize(
    ("time", "hour"),
    [("06:30", 6), ("6:30", 6), ("23:59", 23), ("24:00", None), ("?:?", None), ("am", None), ("", None)],
)
def test_the_hour_is_that_of_the_time_or_unknown(time, hour):
    assert recording(time=time).hour == hour


@pytest.mark.parametrize(
    ("id", "number"), [("XC123", "XC123"), ("zwarte_mees/XC123", "XC123"), ("song/001", ""), ("XC12a", ""), ("", "")]
)
def test_a_number_is_found_before_and_behind_a_species(id, number):
    assert xeno_canto_number(id) == number
