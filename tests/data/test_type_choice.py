"""Types that suffice are kept with their splits, and of the others it is told why they do not."""

from pathlib import Path

import pytest

from birdnet_nl.data.type_choice import choose_types
from birdnet_nl.recordings.recording import Recording

TYPES = ("song", "call", "alarm")
SHARES = {"train": 0.6, "val": 0.2, "test": 0.2}
TANGLED = {"song": "AABD", "call": "CDEE", "alarm": "ABC"}
"""Recordists by type. A, B and C apart (alarm) and A, B and D apart (song) put C and D together, which call forbids."""


def recordings_by(recordists: dict[str, str]) -> list[Recording]:
    return [
        Recording(f"{kind}{number}", Path("x.mp3"), "merel", kind, kind, person.strip())
        for kind, people in recordists.items()
        for number, person in enumerate(people)
    ]


def test_types_with_too_few_recordings_are_left_out():
    chosen = choose_types(recordings_by({"song": " " * 5, "call": " " * 3, "alarm": "  "}), TYPES, SHARES, 3, seed=1)
    assert chosen.types == ["song", "call"] and chosen.left_out == {"alarm": "2 recordings, at least 3 needed"}
    assert set(chosen.splits) == {one.id for one in chosen.recordings} and len(chosen.splits) == 8


@pytest.mark.parametrize(("folds", "parts"), [(None, "three splits"), (3, "3 folds")])
def test_of_three_types_the_rarest_goes_when_recordists_cannot_be_spread(folds, parts):
    chosen = choose_types(recordings_by(TANGLED), TYPES, SHARES, 3, 1, folds, None if folds is None else 0)
    assert chosen.types == ["song", "call"]
    assert chosen.left_out == {"alarm": f"3 recordings, by recordists who cannot be spread over {parts}"}
    assert set(chosen.splits.values()) == {"train", "val", "test"}


def test_one_type_has_no_splits():
    chosen = choose_types(recordings_by({"song": " " * 5}), TYPES, SHARES, 3, seed=1)
    assert (chosen.types, chosen.splits) == (["song"], {}) and set(chosen.left_out) == {"call", "alarm"}
