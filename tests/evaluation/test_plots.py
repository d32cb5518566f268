"""Figures are drawn, carry their counts, and say when the recordings are synthetic."""

import io

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imread

from birdnet_nl.evaluation.plots import SYNTHETIC_NOTE, draw_confusion, draw_curves, draw_examples

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


def figures(synthetic: bool) -> dict[str, Figure]:
    mels = np.linspace(0, 1, 5 * 16 * 24).reshape(5, 16, 24)
    truth, answers = ["song", "song", "call", "call", "alarm"], ["song", "call", "call", "call", "song"]
    names = [f"XC{number} 1.5 s" for number in range(5)]
    return {
        "confusion": draw_confusion(RESULTS, TYPES, "Merel · fast", synthetic),
        "curves": draw_curves(HISTORY, 2, 3, "Merel · fast", synthetic),
        "examples": draw_examples(mels, truth, answers, [0.9, 0.5, 0.8, 0.7, 0.6], names, "Merel · fast", synthetic),
    }


def texts_of(axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def is_drawn(figure: Figure) -> bool:
    """Whether the figure becomes a picture with more than a few colours."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    buffer.seek(0)
    return len(np.unique(imread(buffer).reshape(-1, 4), axis=0)) > 20


@pytest.mark.parametrize("name", ["confusion", "curves", "examples"])
def test_every_figure_renders_and_says_when_it_is_synthetic(name):
    real, synthetic = figures(False)[name], figures(True)[name]
    assert is_drawn(synthetic)
    assert real.get_suptitle() == "Merel · fast"
    assert synthetic.get_suptitle().startswith("Merel · fast") and SYNTHETIC_NOTE in synthetic.get_suptitle()


@pytest.mark.parametrize("name", ["confusion", "curves", "examples"])
def test_nothing_is_cut_off_or_overlaps_the_title(name):
    figure = figures(True)[name]
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


def test_counts_and_shares_of_the_true_type_are_drawn_where_they_belong():
    recording, segment = figures(False)["confusion"].axes
    for axes, unit in ((recording, "recording"), (segment, "segment")):
        drawn = {(*np.round(text.get_position()), text.get_text()) for text in axes.texts}
        confusion = np.array(RESULTS[unit]["confusion"])
        for true, answer in np.ndindex(3, 3):
            share = confusion[true, answer] / confusion[true].sum()
            assert (answer, true, str(confusion[true, answer])) in drawn
            assert (answer, true, f"{share:.0%}") in drawn
    assert [label.get_text() for label in recording.get_xticklabels()] == TYPES
    assert [label.get_text() for label in recording.get_yticklabels()] == TYPES
    assert (recording.get_xlabel(), recording.get_ylabel()) == ("answer", "true type")
    assert recording.get_title() == "19 recordings, balanced accuracy 73% (chance 33%)"
    assert segment.get_title() == "190 segments, balanced accuracy 68% (chance 33%)"


def test_a_type_that_does_not_occur_is_drawn_without_a_division_by_zero():
    results = {unit: {**RESULTS[unit], "confusion": [[1, 0], [0, 0]]} for unit in RESULTS}
    with np.errstate(all="raise"):
        figure = draw_confusion(results, TYPES[:2], "two", False)
    assert texts_of(figure.axes[0]) == ["100%", "1", "0%", "0", "0%", "0", "0%", "0"]


def test_curves_show_every_epoch_and_the_one_that_was_kept():
    loss, accuracy, rate = figures(False)["curves"].axes
    lines = {line.get_label(): line for line in loss.get_lines()}
    np.testing.assert_array_equal(lines["validation"].get_xdata(), [1, 2, 3, 4])
    np.testing.assert_allclose(lines["validation"].get_ydata(), [1.1, 1.0, 0.9, 0.8])
    assert set(lines["kept: epoch 3"].get_xdata()) == {3}
    chance = next(line for line in accuracy.get_lines() if line.get_label() == "chance")
    assert set(chance.get_ydata()) == {1 / 3}
    assert rate.get_yscale() == "log"


def test_one_epoch_is_enough_for_curves():
    assert is_drawn(draw_curves(HISTORY[:1], 0, 2, "one", False))


def test_examples_name_truth_answer_and_certainty():
    axes = figures(False)["examples"].axes
    titles = [one.get_title() for one in axes]
    assert titles[0] == "song  ✓ (90%)  XC0 1.5 s"
    assert titles[1] == "song  answered call (50%)  XC1 1.5 s"
    assert titles[5] == ""  # five examples on two rows of three
    assert axes[0].title.get_color() != axes[1].title.get_color()


def test_a_single_example_is_drawn():
    figure = draw_examples(np.zeros((1, 8, 8)), ["song"], ["song"], [0.5], ["XC1"], "one", False, columns=1)
    assert is_drawn(figure) or len(figure.axes) == 1
