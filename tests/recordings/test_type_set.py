"""Sets of vocalization types: which sounds of the type texts belong to which type."""

import pytest

from birdnet_nl.data.training_rules import read_type_set, type_set_names
from birdnet_nl.recordings.labels import MULTILABEL, OTHER, UNKNOWN, classify_type, types_in
from birdnet_nl.recordings.type_set import THREE, TypeSet, three
from birdnet_nl.util.errors import SelectionError

TEXTS = {  # text: type in three, song_call and ten
    "song": ("song", "song", "song"),
    "adult, male, song": ("song", "song", "song"),
    "call": ("call", "call", "call"),
    "alarm call": ("alarm", "call", "alarm"),
    "flight call": ("call", "call", "flight_call"),
    "call in flight": ("call", "call", "flight_call"),
    "nocturnal flight call": ("call", "call", "nocturnal_flight_call"),
    "NFC": ("call", "call", "nocturnal_flight_call"),
    "nocturnal flightcalls": ("call", "call", "nocturnal_flight_call"),
    "begging call, juvenile": ("call", "call", "begging"),
    "drumming": (OTHER, OTHER, "drumming"),
    "roffel": (OTHER, OTHER, "drumming"),
    "subsong": (OTHER, OTHER, "subsong"),
    "song, subsong": ("song", "song", MULTILABEL),
    "duet": (OTHER, OTHER, "duet"),
    "distress call": (OTHER, "call", "distress"),
    "call, flight call": ("call", "call", MULTILABEL),
    "alarm call, call": (MULTILABEL, "call", MULTILABEL),
    "drumming, call": (MULTILABEL, MULTILABEL, MULTILABEL),
    "flight call, wing sounds": ("call", "call", "flight_call"),
    "song, mimicry": ("song", "song", "song"),
    "uncertain": (UNKNOWN, UNKNOWN, UNKNOWN),
}


@pytest.mark.parametrize(("column", "name"), list(enumerate(("three", "song_call", "ten"))))
def test_a_text_has_the_type_that_the_set_gives_its_sounds(column, name):
    type_set = read_type_set(name)
    assert {text: classify_type(text, type_set) for text in TEXTS} == {text: row[column] for text, row in TEXTS.items()}


def test_the_types_of_a_recording_of_several_are_those_of_the_set():
    ten = read_type_set("ten")
    assert types_in("song, subsong, drumming", ten) == {"song", "subsong", "drumming"}
    assert types_in("flight call, alarm call", ten) == {"flight_call", "alarm"}
    assert types_in("flight call, alarm call") == {"call", "alarm"}


def test_names_of_types_are_understood_as_names_of_folders():
    for name in type_set_names():
        type_set = read_type_set(name)
        for folder in type_set.types:
            assert classify_type(folder.replace("_", " "), type_set) == folder
            assert classify_type(folder, type_set) == folder


def test_flight_calls_can_be_left_out_of_calls_only():
    assert three("call") == THREE and classify_type("flight call", three("leave_out")) == OTHER
    ten = read_type_set("ten", "leave_out")
    assert classify_type("flight call", ten) == "flight_call"


@pytest.mark.parametrize(
    ("sounds", "message"),
    [
        (
            {"song": ["song"], "call": ["cal"]},
            "data.sounds.call: cal is no sound of the type texts; choose",
        ),
        ({"song": ["song"], "call": ["call", "song"]}, "song is in song and in call; leave it in one"),
        ({"song": ["song"], "other": ["call"]}, "other cannot be the name of a type"),
        ({"song": ["song"], "flight call": ["flight call"]}, "flight call cannot be the name of a type"),
    ],
)
def test_a_set_that_makes_no_sense_is_refused(sounds, message):
    with pytest.raises(ValueError, match=message):
        TypeSet.of(sounds)


def test_a_set_that_does_not_exist_is_one_sentence():
    with pytest.raises(SelectionError, match="--types four does not exist; choose one of song_call, ten, three"):
        read_type_set("four")


OWN = TypeSet.of({"song": ["song"], "rattle": ["text:rattle", "text:Type A"], "churr": ["text:churr"]})


@pytest.mark.parametrize(
    ("text", "result", "types"),
    [
        ("rattle", "rattle", {"rattle"}),
        ("  type  a ", "rattle", {"rattle"}),
        ("adult, Rattle", "rattle", {"rattle"}),
        ("rattle, Type A", "rattle", {"rattle"}),
        ("rattle, churr", "several", {"rattle", "churr"}),
        ("rattle, song", "several", {"rattle", "song"}),
        ("rattle, drumming", "several", {"rattle"}),
        ("song", "song", {"song"}),
        ("rattles", "other", set()),
        ("call", "other", set()),
    ],
)
def test_texts_of_ones_own_are_types(text, result, types):
    assert classify_type(text, OWN) == result
    assert types_in(text, OWN) == types


def test_a_text_of_ones_own_is_in_one_type_and_a_typing_error_is_explained():
    with pytest.raises(ValueError, match="text:rattle is in rattle and in churr"):
        TypeSet.of({"rattle": ["text:rattle"], "churr": ["text:rattle"]})
    with pytest.raises(ValueError, match=r"ratle is no sound of the type texts; .* or write text:ratle for a text of"):
        TypeSet.of({"rattle": ["ratle"]})
