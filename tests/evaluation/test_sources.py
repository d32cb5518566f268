"""Metrics by source: song against call for each, all types where a source has them."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from birdnet_nl.evaluation.report import describe_sources
from birdnet_nl.evaluation.sources import score_sources, song_against_call
from birdnet_nl.recordings.recording import Recording

TYPES = ["song", "call", "alarm"]


def recordings_of(sources):
    return [Recording(f"XC{index}", None, "merel", "song", "song", source=name) for index, name in enumerate(sources)]


@pytest.fixture
def predicted():
    """Probabilities and types of 24 recordings of source A with every type, then 16 of B without alarms."""
    rng = np.random.default_rng(1)
    truth = np.concatenate([np.arange(24) % 3, np.arange(16) % 2])
    probabilities = rng.dirichlet(np.ones(3), 40) + 0.2 * np.eye(3)[truth]
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    return torch.from_numpy(probabilities).float(), torch.from_numpy(truth)


def test_each_source_has_the_metrics_of_its_own_recordings(predicted):
    probabilities, truth = predicted
    scores = score_sources(recordings_of(["A"] * 24 + ["B"] * 16), probabilities, truth, TYPES)
    assert list(scores) == ["A", "B"] and scores["B"]["counts"] == {"song": 8, "call": 8, "alarm": 0}
    assert scores["B"]["recording"] is None and scores["A"]["recording"]["count"] == 24
    own = probabilities[24:, :2].numpy()
    expected = roc_auc_score(truth[24:] == 0, own[:, 0] / own.sum(axis=1))
    assert scores["B"]["song_against_call"]["auroc"] == pytest.approx(expected, abs=1e-6)
    (line,) = describe_sources({"sources": scores, "types": TYPES})
    few = {"C": scores["B"] | {"count": 9}}
    assert describe_sources({"sources": scores | few, "types": TYPES}) == [line]
    assert line.startswith("AUROC of song against call by source: A (24) ") and "all types" in line.split("; B")[0]


def test_one_source_or_none_is_no_comparison(predicted):
    assert score_sources(recordings_of(["A"] * 40), *predicted, TYPES) == {}
    assert score_sources(recordings_of([""] * 40), *predicted, TYPES) == {}
    assert describe_sources({"sources": {}, "types": TYPES}) == describe_sources({"types": TYPES}) == []


def test_a_source_with_one_of_the_two_types_has_no_song_against_call(predicted):
    probabilities, truth = predicted
    assert song_against_call(probabilities[truth == 0], truth[truth == 0], TYPES) is None
    assert song_against_call(probabilities, truth, ["song", "alarm", "other"]) is None
