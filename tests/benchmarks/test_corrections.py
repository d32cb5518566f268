"""Simulated corrections: nobody is in two parts, every recording is tested once, and labels help where they can."""

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.corrections import SCENES, Embedded, choose, difference, divide, simulate
from birdnet_nl.data.splits import group_of
from birdnet_nl.recordings.recording import VOCALIZATION_TYPES, Recording

NETWORK = {
    "_target_": "birdnet_nl.models.recording_classifier.RecordingClassifier",
    "blocks": [6], "pooling": ["mean", "std"], "species_score": False, "landmarks": 0, "gamma": 0.3, "l2": 0.05,
}  # fmt: skip


@pytest.fixture(scope="module")
def data():
    """Ninety recordings by thirty recordists; the types of the source `pi` look unlike those of the others."""
    rng, recordings, windows, truth = np.random.default_rng(1), [], [], []
    for index in range(90):
        type, source = index % 3, "pi" if index >= 45 else "others"
        name = f"recordist {index // 3}"
        recordings.append(Recording(str(index), Path("x"), "merel", VOCALIZATION_TYPES[type], "", name, source=source))
        centre = np.zeros(7)
        centre[1 + type + (3 if source == "pi" else 0)] = 4.0
        windows.append(torch.from_numpy(centre + rng.standard_normal((4, 7))).half())
        truth.append(type)
    return Embedded(recordings, windows, np.array(truth), list(VOCALIZATION_TYPES), NETWORK)


@pytest.mark.parametrize("scene", SCENES)
def test_no_recordist_is_in_two_parts_and_all_are_tested_once(data, scene):
    tested = []
    for parts in divide(data, scene, "pi", seed=1):
        names = [{group_of(data.recordings[index]) for index in part} for part in parts]
        assert not (names[0] & names[1] or names[0] & names[2] or names[1] & names[2])
        tested += parts[2]
        if scene == "source":
            assert {data.recordings[index].source for index in parts[0]} == {"others"}
    assert sorted(tested) == list(range(45, 90) if scene == "source" else range(90))


def test_the_least_certain_are_chosen_first():
    certainty, rng = np.array([0.9, 0.4, 0.6, 0.5]), np.random.default_rng(1)
    assert choose(certainty, 2, "uncertain", rng).tolist() == [1, 3]
    assert sorted(choose(certainty, 4, "random", rng).tolist()) == [0, 1, 2, 3]


def test_labels_of_a_new_source_help(data):
    result = simulate(data, "source", "pi", seeds=1, labels=(0, 30))
    for choice in ("random", "uncertain"):
        none, labelled = (result["refit"][choice][count]["balanced_accuracy"] for count in (0, 30))
        assert none["gain"] == [0.0, 0.0, 0.0] and labelled["gain"][1] > 0.1
        assert labelled["mean"] > 0.9 and labelled["interval"][0] <= labelled["mean"] <= labelled["interval"][1]
        assert result["head"][choice][30]["auroc"]["mean"] > none["mean"]
    assert (result["tested"], result["base"], result["pool"]) == (45, 45.0, 36.0)


def test_the_interval_of_a_difference_is_that_of_paired_draws():
    rng = np.random.default_rng(1)
    other = rng.normal(0.5, 0.1, 1001)
    middle, low, high = difference(other + 0.02, other, 50)
    assert (middle, low, high) == pytest.approx((0.02, 0.02, 0.02))
