"""Every set of types has colours that differ."""

import pytest

from birdnet_nl.data.training_rules import read_type_set, type_set_names
from birdnet_nl.recordings.type_colours import OTHER_COLOURS, type_colour, type_colours


@pytest.mark.parametrize("name", type_set_names())
def test_the_types_of_a_set_have_different_colours(name):
    types = read_type_set(name).types
    assert len(set(type_colours(types).values())) == len(types)


def test_types_of_ones_own_differ_as_long_as_there_are_colours():
    names = [f"type_{number}" for number in range(len(OTHER_COLOURS))]
    assert set(type_colours(names).values()) == set(OTHER_COLOURS)
    assert len(type_colours([*names, "one_more"])) == len(OTHER_COLOURS) + 1


def test_a_type_has_the_same_colour_alone_and_beside_others():
    assert type_colours(["song", "rattle"]) == {"song": type_colour("song"), "rattle": type_colour("rattle")}
