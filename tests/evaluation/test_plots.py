"""Plots show the values of the report, and mark synthetic recordings."""

import io

import numpy as np
import pytest
import sklearn.metrics
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from birdnet_nl.evaluation.plots import (
    SYNTHETIC_NOTE,
    draw_confusion,
    draw_curves,
    draw_precision_recall,
    draw_reliability,
    encode_png,
)

TYPES = ["song", "call", "alarm"]
RESULTS = {
    "recording": {"confusion": [[7, 2, 1], [0, 5, 0], [1, 1, 2]], "count": 19, "balanced_accuracy": 0.7333},
    "segment": {"confusion": [[70, 20, 10], [3, 47, 0], [13, 11, 16]], "count": 190, "balanced_accuracy": 0.68},
}
ROW = {
    "train/loss": 1.0, "val/loss": 1.1, "train/accuracy": 0.4, "val/accuracy": 0.35,
    "val/recording_balanced_accuracy": 0.5, "learning_rate": 1e-3,
}  # fmt: skip
HISTORY = [{**ROW, "epoch": epoch, "val/loss": 1.1 - 0.1 * epoch} for epoch in range(4)]


def draw(name: str, synthetic: bool = False) -> Figure:
    if name == "confusion":
        return draw_confusion(RESULTS, TYPES, "Merel · fast", synthetic)
    return draw_curves(HISTORY, 2, 3, "Merel · fast", synthetic)


def is_drawn(figure: Figure) -> bool:
    """Return whether the rendered figure has more than a few colours."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return len(np.unique(np.asarray(canvas.buffer_rgba()).view(np.uint32))) > 20


@pytest.mark.parametrize("name", ["confusion", "curves"])
def test_every_plot_renders_marks_synthetic_recordings_and_has_titles_that_fit(name):
    figure = draw(name, synthetic=True)
    assert is_drawn(figure)
    assert figure.get_suptitle().startswith("Merel · fast") and SYNTHETIC_NOTE in figure.get_suptitle()
    assert draw(name).get_suptitle() == "Merel · fast"
    renderer = figure.canvas.get_renderer()
    title = figure._suptitle.get_window_extent(renderer)
    width, height = figure.bbox.width, figure.bbox.height
    assert title.x0 >= 0 and title.x1 <= width and title.y1 <= height + 1
    for axes in figure.axes:
        box = axes.title.get_window_extent(renderer)
        assert not box.overlaps(title)
        assert box.x0 >= -1 and box.x1 <= width + 1, axes.get_title()


def test_the_confusion_plot_shows_counts_and_shares_of_the_true_type():
    recording, segment = draw("confusion").axes
    for axes, unit in ((recording, "recording"), (segment, "segment")):
        drawn = {(*np.round(text.get_position()), text.get_text()) for text in axes.texts}
        confusion = np.array(RESULTS[unit]["confusion"])
        for true, predicted in np.ndindex(3, 3):
            share = confusion[true, predicted] / confusion[true].sum()
            assert (predicted, true, str(confusion[true, predicted])) in drawn
            assert (predicted, true, f"{share:.0%}") in drawn
    assert [label.get_text() for label in recording.get_xticklabels()] == TYPES
    assert [label.get_text() for label in recording.get_yticklabels()] == TYPES
    assert (recording.get_xlabel(), recording.get_ylabel()) == ("predicted type", "true type")
    assert recording.get_title() == "19 recordings, balanced accuracy 73% (chance 33%)"
    assert segment.get_title() == "190 segments, balanced accuracy 68% (chance 33%)"


def test_a_type_that_does_not_occur_does_not_divide_by_zero():
    results = {unit: {**RESULTS[unit], "confusion": [[1, 0], [0, 0]]} for unit in RESULTS}
    with np.errstate(all="raise"):
        figure = draw_confusion(results, TYPES[:2], "two", False)
    assert [text.get_text() for text in figure.axes[0].texts] == ["100%", "1", "0%", "0", "0%", "0", "0%", "0"]


def test_curves_show_every_epoch_and_the_best():
    loss, accuracy, rate = draw("curves").axes
    lines = {line.get_label(): line for line in loss.get_lines()}
    np.testing.assert_array_equal(lines["validation"].get_xdata(), [1, 2, 3, 4])
    np.testing.assert_allclose(lines["validation"].get_ydata(), [1.1, 1.0, 0.9, 0.8])
    assert set(lines["kept: epoch 3"].get_xdata()) == {3}
    chance = next(line for line in accuracy.get_lines() if line.get_label() == "chance")
    assert set(chance.get_ydata()) == {1 / 3}
    assert rate.get_yscale() == "log"
    assert is_drawn(draw_curves(HISTORY[:1], 0, 2, "one", False))


CALIBRATION = {
    "before": {"ece": 0.31}, "after": {"ece": 0.12}, "ece_by_chance": 0.11,
    "bins": [{"confidence": 0.5, "accuracy": 0.4, "count": 3}, {"confidence": 0.9, "accuracy": 1.0, "count": 2}],
}  # fmt: skip
DECISION = {
    "threshold": 0.6, "certain_share": 0.4, "target_accuracy": 0.8,
    "coverage": [{"coverage": 1.0, "accuracy": 0.64}, {"coverage": 0.4, "accuracy": 1.0}],
}  # fmt: skip


def test_reliability_shows_bins_and_threshold():
    figure = draw_reliability(CALIBRATION, DECISION, 3, "Merel", True)
    reliability, coverage = figure.axes
    np.testing.assert_allclose(reliability.collections[0].get_offsets(), [[0.5, 0.4], [0.9, 1.0]])
    assert reliability.get_title() == "ECE 0.31 → 0.12 (by chance 0.11)"
    lines = {line.get_label(): line for line in coverage.get_lines()}
    np.testing.assert_allclose(lines["test recordings, most confident first"].get_xydata(), [[1.0, 0.64], [0.4, 1.0]])
    assert set(lines["p ≥ 0.60"].get_xdata()) == {0.4} and set(lines["chance"].get_ydata()) == {1 / 3}
    assert "synthetic" in figure.get_suptitle()
    assert is_drawn(figure)


def test_reliability_without_a_threshold_has_no_line_for_it():
    figure = draw_reliability(CALIBRATION, DECISION | {"threshold": None}, 2, "Merel", False)
    assert not any(line.get_label().startswith("p ≥") for line in figure.axes[1].get_lines())


@pytest.mark.parametrize("types", [["song", "call", "alarm"], ["song", "alarm"]])
def test_the_average_precision_in_the_legend_equals_scikit_learns(types):
    rng = np.random.default_rng(1)
    truth = rng.integers(0, len(types), 40)
    probabilities = rng.dirichlet(np.ones(len(types)), 40).astype(np.float32)
    probabilities[np.arange(40), truth] += 0.3
    figure = draw_precision_recall(probabilities, truth, types, "Merel", False)
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    for index, label in enumerate(labels):
        expected = sklearn.metrics.average_precision_score(truth == index, probabilities[:, index])
        assert label == f"{types[index]} ({(truth == index).sum()}), average precision {expected:.2f}"
    assert is_drawn(figure)


def test_a_type_without_test_recordings_has_no_curve():
    figure = draw_precision_recall(np.eye(3)[:2], np.array([0, 1]), TYPES, "Merel", False)
    assert [text.get_text().split()[0] for text in figure.axes[0].get_legend().get_texts()] == ["song", "call"]


def test_a_png_of_256_colours_is_similar_and_small():
    figure = Figure(figsize=(6, 3), dpi=120)
    noise = np.random.default_rng(0).random((96, 200)).cumsum(axis=1) % 1
    figure.subplots().imshow(noise, cmap="magma", aspect="auto")
    whole = io.BytesIO()
    figure.savefig(whole, format="png", dpi=120)
    small = encode_png(figure)
    expected = np.asarray(Image.open(whole).convert("RGB")).astype(int)
    actual = np.asarray(Image.open(io.BytesIO(small)).convert("RGB")).astype(int)
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).mean() < 6  # of 255
    assert len(small) < whole.tell() / 2


def test_the_coverage_of_the_recordings_that_the_threshold_was_chosen_on_is_drawn_too():
    choice = {"recordings": 210, "curve": [{"coverage": 1.0, "accuracy": 0.7}, {"coverage": 0.5, "accuracy": 0.9}]}
    coverage = draw_reliability(CALIBRATION, DECISION, 3, "Merel", True, choice).axes[1]
    lines = {line.get_label(): line for line in coverage.get_lines()}
    chosen = lines["210 recordings that the threshold was chosen on"]
    np.testing.assert_allclose(chosen.get_xydata(), [[1.0, 0.7], [0.5, 0.9]])
