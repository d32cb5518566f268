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
    draw_examples,
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


def draw_all(synthetic: bool) -> dict[str, Figure]:
    mels = np.linspace(0, 1, 5 * 16 * 24).reshape(5, 16, 24)
    truth, predicted = ["song", "song", "call", "call", "alarm"], ["song", "call", "call", "call", "song"]
    names = [f"XC{number} 1.5 s" for number in range(5)]
    return {
        "confusion": draw_confusion(RESULTS, TYPES, "Merel · fast", synthetic),
        "curves": draw_curves(HISTORY, 2, 3, "Merel · fast", synthetic),
        "examples": draw_examples(mels, truth, predicted, [0.9, 0.5, 0.8, 0.7, 0.6], names, "Merel · fast", synthetic),
    }


def texts_of(axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def is_drawn(figure: Figure) -> bool:
    """Return whether the rendered figure has more than a few colours."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return len(np.unique(np.asarray(canvas.buffer_rgba()).view(np.uint32))) > 20


@pytest.mark.parametrize("name", ["confusion", "curves", "examples"])
def test_every_plot_renders_and_marks_synthetic_recordings(name):
    real, synthetic = draw_all(False)[name], draw_all(True)[name]
    assert is_drawn(synthetic)
    assert real.get_suptitle() == "Merel · fast"
    assert synthetic.get_suptitle().startswith("Merel · fast") and SYNTHETIC_NOTE in synthetic.get_suptitle()


@pytest.mark.parametrize("name", ["confusion", "curves", "examples"])
def test_titles_are_not_cut_off_and_do_not_overlap(name):
    figure = draw_all(True)[name]
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    title = figure._suptitle.get_window_extent(renderer)
    width, height = figure.bbox.width, figure.bbox.height
    assert title.x0 >= 0 and title.x1 <= width and title.y1 <= height + 1
    for axes in figure.axes:
        box = axes.title.get_window_extent(renderer)
        if axes.get_title():
            assert not box.overlaps(title)
            assert box.x0 >= -1 and box.x1 <= width + 1, axes.get_title()


def test_the_confusion_plot_shows_counts_and_shares_of_the_true_type():
    recording, segment = draw_all(False)["confusion"].axes
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
    assert texts_of(figure.axes[0]) == ["100%", "1", "0%", "0", "0%", "0", "0%", "0"]


def test_curves_show_every_epoch_and_the_best():
    loss, accuracy, rate = draw_all(False)["curves"].axes
    lines = {line.get_label(): line for line in loss.get_lines()}
    np.testing.assert_array_equal(lines["validation"].get_xdata(), [1, 2, 3, 4])
    np.testing.assert_allclose(lines["validation"].get_ydata(), [1.1, 1.0, 0.9, 0.8])
    assert set(lines["kept: epoch 3"].get_xdata()) == {3}
    chance = next(line for line in accuracy.get_lines() if line.get_label() == "chance")
    assert set(chance.get_ydata()) == {1 / 3}
    assert rate.get_yscale() == "log"


def test_curves_of_a_single_epoch_are_drawn():
    assert is_drawn(draw_curves(HISTORY[:1], 0, 2, "one", False))


def test_examples_show_true_and_predicted_type_and_confidence():
    axes = draw_all(False)["examples"].axes
    titles = [item.get_title() for item in axes]
    assert titles[0] == "song  ✓ (90%)  XC0 1.5 s"
    assert titles[1] == "song  predicted call (50%)  XC1 1.5 s"
    assert titles[5] == ""  # five examples on two rows of three
    assert axes[0].title.get_color() != axes[1].title.get_color()


def test_a_single_example_is_drawn():
    figure = draw_examples(np.zeros((1, 8, 8)), ["song"], ["song"], [0.5], ["XC1"], "one", False, columns=1)
    assert is_drawn(figure) or len(figure.axes) == 1


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
