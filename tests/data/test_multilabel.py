"""Recordings of several types come into training alone, and never by a back door into what is judged."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import soundfile

from birdnet_nl.audio.cache import cache_mels
from birdnet_nl.data.multilabel import MultilabelRecordings, find_multilabel
from birdnet_nl.data.prepare import prepare_recordings
from birdnet_nl.recordings.folder import read_species_folder
from birdnet_nl.recordings.recording import Recording
from birdnet_nl.species.table import get_species

RATE_HZ = 16000


@pytest.fixture(scope="module")
def plain(tmp_path_factory, make_recordings_folder) -> list[Recording]:
    """Six songs and six calls by a person each."""
    folder = make_recordings_folder(tmp_path_factory.mktemp("plain"), "merel", {"song": 6, "call": 6}, duration_s=0.5)
    found = read_species_folder(folder, get_species("merel"), "call")
    return [replace(one, recordist=f"Person {index}") for index, one in enumerate(found)]


@pytest.fixture
def find(plain, tmp_path, wide_mel, sing) -> Callable[..., MultilabelRecordings]:
    """`find_multilabel` among the plain ones and one more file, which `more` says what it is."""

    def found(path: Path | None = None, flight_call: str = "call", **more) -> MultilabelRecordings:
        make_mels = partial(cache_mels, params=wide_mel, cache_dir=tmp_path / "cache", workers=1)
        prepared = prepare_recordings(
            plain, ["song", "call"], make_mels, wide_mel, {"train": 0.5, "val": 0.25, "test": 0.25}, 3, 1, "merel"
        )
        if path is None:
            path = tmp_path / "XC99.wav"
            soundfile.write(path, sing(99, 3.0, RATE_HZ), RATE_HZ)
        if "by" in more:
            more["recordist"] = next(one.recordist for one in plain if prepared.splits[one.id] == more["by"])
            del more["by"]
        one = {"type_text": "call, song", "recordist": "Somebody else", **more}
        return find_multilabel(
            [*plain, Recording("XC99", path, "merel", None, **one)], prepared, make_mels, wide_mel, flight_call
        )

    return found


def test_it_is_learned_as_each_of_the_types_it_names(find):
    multilabel = find()
    assert [one.id for one in multilabel.recordings] == ["XC99"] == list(multilabel.mels)
    assert multilabel.types == {"XC99": ["song", "call"]}
    assert find(by="train").types == {"XC99": ["song", "call"]}


@pytest.mark.parametrize("split", ["val", "test"])
def test_who_recorded_for_the_test_teaches_nothing(find, split):
    assert find(by=split) == MultilabelRecordings()


@pytest.mark.parametrize("text", ["alarm call, song", "uncertain", "drumming", "", "call?"])
def test_types_that_are_unknown_or_unclear_are_left_out(find, text):
    assert find(type_text=text) == MultilabelRecordings()


def test_flight_calls_follow_their_rule(find):
    assert find(type_text="flight call, song").types == {"XC99": ["song", "call"]}
    assert find(type_text="flight call, song", flight_call="leave_out").types == {"XC99": ["song"]}


def test_a_copy_of_a_recording_of_one_type_is_left_out(find, plain):
    assert find(path=plain[0].path) == MultilabelRecordings()


def test_an_excerpt_of_a_recording_of_one_type_is_left_out(find, plain, tmp_path, sing):
    whole = sing(5, 6.0, RATE_HZ)
    before = plain[0].path.read_bytes()
    try:
        soundfile.write(plain[0].path, whole, RATE_HZ)
        soundfile.write(tmp_path / "cut.wav", whole[RATE_HZ : 5 * RATE_HZ], RATE_HZ)
        assert find(path=tmp_path / "cut.wav") == MultilabelRecordings()
    finally:
        plain[0].path.write_bytes(before)


def test_a_file_that_cannot_be_decoded_is_left_out(find, tmp_path):
    (tmp_path / "XC98.mp3").write_bytes(b"no sound")
    assert find(path=tmp_path / "XC98.mp3") == MultilabelRecordings()
