"""What a checkpoint keeps of an extractor builds it again, and nothing else."""

import numpy as np
import pytest

from birdnet_nl.embeddings.bands import Bands
from birdnet_nl.embeddings.base import build_embedding_model, stretch
from birdnet_nl.embeddings.birdnet import BirdNet
from birdnet_nl.util.errors import RunError


@pytest.mark.parametrize("kind", [Bands, BirdNet])
def test_a_description_is_plain_and_builds_the_same(kind):
    described = kind().describe()
    assert all(isinstance(value, str) for value in described.values())
    assert type(build_embedding_model(described)) is kind


def test_what_is_not_ours_names_its_licence_and_its_makers():
    described = BirdNet().describe()
    assert described["licence"] == "CC BY-NC-SA 4.0" and "Cornell" in described["credit"]


def test_other_code_is_not_run():
    with pytest.raises(RunError, match=r"must come from birdnet_nl\.features, not from os\.system"):
        build_embedding_model({"_target_": "os.system", "version": "1"})


def test_features_of_another_version_are_refused():
    with pytest.raises(RunError, match=r"features of birdnet 2\.3, which this version of birdnet_nl does not make"):
        build_embedding_model({**BirdNet().describe(), "version": "2.3"})


@pytest.mark.parametrize(
    ("start", "wanted"),
    [(0, [1, 2, 3]), (2, [3, 4, 5]), (3, [4, 5, 0]), (7, [0, 0, 0])],
)
def test_beyond_the_end_of_a_recording_there_is_silence(start, wanted):
    np.testing.assert_array_equal(stretch(np.arange(1, 6), start, 3), wanted)
