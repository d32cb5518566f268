"""Synthetic songs, calls and alarms become the types of the set that their sounds belong to."""

import numpy as np
import pytest

from birdnet_nl.data.embedded import EmbeddedSplits, synthetic_batch
from birdnet_nl.data.training_rules import read_type_set
from birdnet_nl.embeddings.synthetic import SyntheticEmbeddings
from birdnet_nl.recordings.type_set import THREE, TypeSet
from birdnet_nl.synthetic.generator import synthetic_types

SONG_CALL_ALARM = ["song", "call", "alarm"] * 2


@pytest.fixture
def embedded() -> SyntheticEmbeddings:
    """Six recordings of two windows each; the second number of a window is that of its recording."""
    recordings = np.repeat(np.arange(6), 2)
    return SyntheticEmbeddings(np.stack([recordings, recordings], axis=1).astype("f2"), recordings, SONG_CALL_ALARM)


@pytest.mark.parametrize(
    ("type_set", "types", "expected"),
    [
        (THREE, ["song", "call", "alarm"], {"song": "song", "call": "call", "alarm": "alarm"}),
        (THREE, ["song", "call"], {"song": "song", "call": "call"}),
        (read_type_set("song_call"), ["song", "call"], {"song": "song", "call": "call", "alarm": "call"}),
        (read_type_set("ten"), ["call", "flight_call", "drumming"], {"call": "call"}),
        (TypeSet.of({"voice": ["song", "call"], "drum": ["drumming"]}), ["voice", "drum"],
         {"song": "voice", "call": "voice"}),
        (read_type_set("ten"), ["drumming", "duet"], {}),
    ],
)  # fmt: skip
def test_synthetic_recordings_have_the_types_of_their_sounds(type_set, types, expected):
    assert synthetic_types(type_set, types) == expected


def test_alarms_are_calls_where_the_types_are_song_and_call(embedded):
    type_set = read_type_set("song_call")
    windows, types, recordings = synthetic_batch(
        embedded, ["song", "call"], synthetic_types(type_set, ["song", "call"])
    )
    assert types.tolist() == [0, 0, 1, 1, 1, 1] * 2
    assert recordings.tolist() == np.repeat(np.arange(6), 2).tolist()
    assert windows[:, 1].tolist() == recordings.tolist()


def test_recordings_of_no_type_are_left_out_without_gaps(embedded):
    batch = synthetic_batch(embedded, ["call", "drumming"], {"call": "call"})
    assert (
        batch[1].tolist() == [0] * 4 and batch[2].tolist() == [0, 0, 1, 1] and batch[0][:, 1].tolist() == [1, 1, 4, 4]
    )
    assert EmbeddedSplits({}, None, batch).synthetic_recordings == 2
    assert EmbeddedSplits({}, None, None).synthetic_recordings == 0
