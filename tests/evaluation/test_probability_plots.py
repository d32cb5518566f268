"""Reliability, coverage and precision against recall are drawn from what metrics.json says."""

import io

import numpy as np
import pytest
import sklearn.metrics
import torch
from matplotlib.figure import Figure

from birdnet_nl.evaluation.probability_plots import draw_precision_recall, draw_reliability

CALIBRATION = {
    "before": {"ece": 0.31}, "after": {"ece": 0.12}, "ece_by_chance": 0.11,
    "bins": [{"confidence": 0.5, "accuracy": 0.4, "count": 3}, {"confidence": 0.9, "accuracy": 1.0, "count": 2}],
}  # fmt: skip
DECISION = {
    "threshold": 0.6, "answered": 0.4, "wanted_accuracy": 0.8,
    "coverage": [{"coverage": 1.0, "accuracy": 0.64}, {"coverage": 0.4, "accuracy": 1.0}],
}  # fmt: skip


def drawn(figure: Figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def test_reliability_shows_the_bins_and_where_answers_stop():
    figure = draw_reliability(CALIBRATION, DECISION, 3, "Merel", True)
    reliability, coverage = figure.axes
    np.testing.assert_allclose(reliability.collections[0].get_offsets(), [[0.5, 0.4], [0.9, 1.0]])
    assert reliability.get_title() == "ECE 0.31 → 0.12 (by chance 0.11)"
    lines = {line.get_label(): line for line in coverage.get_lines()}
    np.testing.assert_allclose(lines["test recordings, the surest first"].get_xydata(), [[1.0, 0.64], [0.4, 1.0]])
    assert set(lines["p ≥ 0.60"].get_xdata()) == {0.4} and set(lines["chance"].get_ydata()) == {1 / 3}
    assert "synthetic" in figure.get_suptitle()
    assert drawn(figure)


def test_without_a_threshold_no_line_is_drawn_for_one():
    figure = draw_reliability(CALIBRATION, DECISION | {"threshold": None}, 2, "Merel", False)
    assert not any(line.get_label().startswith("p ≥") for line in figure.axes[1].get_lines())


@pytest.mark.parametrize("types", [["song", "call", "alarm"], ["song", "alarm"]])
def test_the_average_precision_in_the_legend_is_scikit_learns(types):
    rng = np.random.default_rng(1)
    truth = rng.integers(0, len(types), 40)
    probabilities = rng.dirichlet(np.ones(len(types)), 40).astype(np.float32)
    probabilities[np.arange(40), truth] += 0.3
    figure = draw_precision_recall(torch.from_numpy(probabilities), torch.from_numpy(truth), types, "Merel", False)
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    for kind, label in enumerate(labels):
        expected = sklearn.metrics.average_precision_score(truth == kind, probabilities[:, kind])
        assert label == f"{types[kind]} ({(truth == kind).sum()}), average precision {expected:.2f}"
    assert drawn(figure)


def test_a_type_that_was_not_tested_has_no_curve():
    figure = draw_precision_recall(torch.eye(3)[:2], torch.tensor([0, 1]), ["song", "call", "alarm"], "Merel", False)
    assert [text.get_text().split()[0] for text in figure.axes[0].get_legend().get_texts()] == ["song", "call"]
