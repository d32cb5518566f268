"""Metrics of annotated segments, compared with arithmetic by hand."""

import numpy as np
import pytest
import torch

from birdnet_nl.evaluation.annotated import describe_annotated, describe_annotated_line


def test_only_segments_with_a_type_of_their_own_are_scored():
    probabilities = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4], [0.1, 0.9], [0.1, 0.9]])
    types = torch.tensor([0, 0, 1, 1, -1, -2])  # the last two: background, and a recording without annotations
    recordings = torch.tensor([0, 0, 1, 1, 1, 2])
    report = describe_annotated(probabilities, types, recordings, np.array([0, 1, 2]), ["song", "call"])
    scores = report["annotated_segments"]
    assert scores["count"] == 4 and scores["recordings"] == 2 and scores["background"] == 1
    assert scores["recall"] == {"song": 1.0, "call": 0.5} and scores["balanced_accuracy"] == 0.75
    assert scores["precision"] == {"song": pytest.approx(2 / 3), "call": 1.0} and scores["auroc"] == 1.0
    (line,) = describe_annotated_line(report)
    assert "4 of 2 recordings" in line and "balanced accuracy 75%" in line and "call 50%/100%" in line


def test_without_such_segments_there_is_nothing_to_report():
    values = torch.tensor([[0.9, 0.1]]), torch.tensor([-2]), torch.tensor([0]), np.array([0]), ["song", "call"]
    assert describe_annotated(*values) == {} and describe_annotated_line({}) == []
