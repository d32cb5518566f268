"""Plots of a run: confusion matrices, training curves, reliability, coverage and precision–recall."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from PIL import Image

from birdnet_nl.recordings.type_colours import TYPE_COLOURS, type_colours

INK, PALE = "#2b2b2b", "#b8b8b8"
SYNTHETIC_NOTE = "synthetic demo recordings"


def new_figure(width: float, height: float, title: str, synthetic: bool) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained", dpi=130)
    figure.suptitle(title + (f"  ·  {SYNTHETIC_NOTE}" if synthetic else ""), fontsize=11, color=INK)
    return figure


def encode_png(figure: Figure) -> bytes:
    """Encode as PNG with 256 colours, which are enough for one colour map, in a quarter of the bytes."""
    rgba = io.BytesIO()
    figure.savefig(rgba, format="rgba")
    width, height = figure.canvas.get_width_height(physical=True)
    image = Image.frombytes("RGBA", (width, height), rgba.getvalue()).convert("RGB")
    png = io.BytesIO()
    image.quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(png, "PNG")
    return png.getvalue()


def _label(axes: Axes, x: str, y: str) -> None:
    """Label both axes, which show shares from 0 to 1."""
    axes.set(xlim=(0, 1.02), ylim=(0, 1.02))
    axes.set_xlabel(x, fontsize=8)
    axes.set_ylabel(y, fontsize=8)


def _tidy(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=INK, labelsize=8)


def draw_confusion(results: dict[str, dict[str, Any]], types: Sequence[str], title: str, synthetic: bool) -> Figure:
    """Draw true against predicted types, per recording and per segment; shade is the share of the true type."""
    figure = new_figure(8.2, 4.2, title, synthetic)
    for axes, unit in zip(figure.subplots(1, 2), ("recording", "segment"), strict=True):
        counts = np.array(results[unit]["confusion"])
        shares = counts / counts.sum(axis=1, keepdims=True).clip(min=1)
        axes.imshow(shares, cmap="Greens", vmin=0, vmax=1)
        for true, predicted in np.ndindex(*shares.shape):
            colour = "white" if shares[true, predicted] > 0.55 else INK
            share, count = f"{shares[true, predicted]:.0%}", f"{counts[true, predicted]}"
            axes.text(predicted, true, share, ha="center", va="bottom", color=colour, fontsize=12)
            axes.text(predicted, true + 0.12, count, ha="center", va="top", color=colour, fontsize=8)
        axes.set_xticks(range(len(types)), types)
        axes.set_yticks(range(len(types)), types, rotation=90, va="center")
        axes.set_xlabel("predicted type", color=INK)
        axes.set_ylabel("true type", color=INK)
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0, colors=INK)
        balanced_accuracy = results[unit]["balanced_accuracy"]  # None where a type is not in the test split
        shown = "" if balanced_accuracy is None else f", balanced accuracy {balanced_accuracy:.0%}"
        heading = f"{results[unit]['count']} {unit}s{shown} (chance {1 / len(types):.0%})"
        axes.set_title(heading, fontsize=9, color=INK)
    return figure


def draw_curves(
    history: Sequence[dict[str, float]], best_epoch: int, n_types: int, title: str, synthetic: bool
) -> Figure:
    """Draw loss, accuracy and learning rate per epoch; a line marks the epoch whose weights were kept."""
    figure = new_figure(10.5, 3.4, title, synthetic)
    loss, accuracy, rate = figure.subplots(1, 3)
    epochs = [row["epoch"] + 1 for row in history]

    def draw(axes: Axes, name: str, label: str, colour: str, style: str = "-") -> None:
        values = [row[name] for row in history]
        axes.plot(epochs, values, style, color=colour, marker="o", markersize=2.5, linewidth=1.4, label=label)

    draw(loss, "train/loss", "train", PALE)
    draw(loss, "val/loss", "validation", TYPE_COLOURS["call"])
    loss.set_title("loss", fontsize=9)
    draw(accuracy, "train/accuracy", "train, segments", PALE)
    draw(accuracy, "val/accuracy", "validation, segments", TYPE_COLOURS["call"])
    draw(accuracy, "val/recording_balanced_accuracy", "validation, recordings (balanced)", TYPE_COLOURS["song"])
    accuracy.axhline(1 / n_types, color=TYPE_COLOURS["alarm"], linewidth=0.8, linestyle=":", label="chance")
    accuracy.set_ylim(0, 1)
    accuracy.yaxis.set_major_formatter(PercentFormatter(1))
    accuracy.set_title("accuracy", fontsize=9)
    if "learning_rate" in history[0]:  # a classifier that is fitted in one step has none
        draw(rate, "learning_rate", "learning rate", INK)
        rate.set_yscale("log")
    rate.set_title("learning rate", fontsize=9)
    for axes in (loss, accuracy, rate):
        axes.axvline(best_epoch + 1, color=PALE, linewidth=0.8, linestyle="--", label=f"kept: epoch {best_epoch + 1}")
        axes.set_xlabel("epoch", fontsize=8)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(fontsize=7, frameon=False)
        _tidy(axes)
    return figure


def draw_reliability(
    calibration: dict[str, Any],
    decision: dict[str, Any],
    n_types: int,
    title: str,
    synthetic: bool,
    choice: dict[str, Any] | None = None,
) -> Figure:
    """Draw accuracy against confidence in bins of equal mass, and accuracy against coverage.

    `choice` is how the threshold was chosen, with the coverage curve of the recordings that it was chosen on.
    """
    figure = new_figure(8.2, 3.9, title, synthetic)
    reliability, coverage = figure.subplots(1, 2)
    bins = calibration["bins"]
    reliability.plot([0, 1], [0, 1], color=PALE, linewidth=0.9, linestyle="--", label="perfect calibration")
    reliability.scatter(
        [part["confidence"] for part in bins],
        [part["accuracy"] for part in bins],
        s=[14 + 6 * part["count"] for part in bins],
        color=TYPE_COLOURS["call"],
        alpha=0.75,
        label=f"bins of about {bins[0]['count']} recordings",
    )
    _label(reliability, "probability of the predicted type", "accuracy")
    before, after = calibration["before"]["ece"], calibration["after"]["ece"]
    heading = f"ECE {before:.2f} → {after:.2f} (by chance {calibration['ece_by_chance']:.2f})"
    reliability.set_title(heading, fontsize=9, color=INK)
    points = decision["coverage"]
    coverage.plot(
        [point["coverage"] for point in points],
        [point["accuracy"] for point in points],
        color=TYPE_COLOURS["song"],
        marker="o",
        markersize=2.5,
        linewidth=1.3,
        label="test recordings, most confident first",
    )
    if choice and choice["curve"]:
        coverage.plot(
            [point["coverage"] for point in choice["curve"]],
            [point["accuracy"] for point in choice["curve"]],
            color=PALE,
            linewidth=1.3,
            label=f"{choice['recordings']} recordings that the threshold was chosen on",
        )
    if decision["target_accuracy"] is not None:
        coverage.axhline(decision["target_accuracy"], color=PALE, linewidth=0.9, linestyle="--", label="target")
    coverage.axhline(1 / n_types, color=TYPE_COLOURS["alarm"], linewidth=0.8, linestyle=":", label="chance")
    if decision["threshold"] is not None:
        label = f"p ≥ {decision['threshold']:.2f}"
        coverage.axvline(decision["certain_share"], color=INK, linewidth=0.8, linestyle="--", label=label)
    _label(coverage, "coverage: share of recordings", "accuracy of these")
    coverage.set_title("the rest is uncertain", fontsize=9, color=INK)
    for axes in (reliability, coverage):
        axes.xaxis.set_major_formatter(PercentFormatter(1))
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.legend(fontsize=7, frameon=False, loc="lower left" if axes is coverage else "upper left")
        _tidy(axes)
    return figure


def draw_precision_recall(
    probabilities: np.ndarray, true_types: np.ndarray, types: Sequence[str], title: str, synthetic: bool
) -> Figure:
    """Draw a curve per type against the rest, from [recordings, types] and [recordings]; dotted: the type's share."""
    from sklearn.metrics import precision_recall_curve  # takes a second, and comparisons use the rest of this module

    figure = new_figure(6.2, 4.2, title, synthetic)
    axes, colours = figure.subplots(), type_colours(types)
    for index in np.unique(true_types):
        name, is_type = types[index], true_types == index
        precision, recall, _ = precision_recall_curve(is_type, probabilities[:, index])
        average = float(-(np.diff(recall) * precision[:-1]).sum())
        colour = colours[name]
        label = f"{name} ({int(is_type.sum())}), average precision {average:.2f}"
        axes.plot(recall, precision, color=colour, linewidth=1.4, drawstyle="steps-post", label=label)
        axes.axhline(float(is_type.mean()), color=colour, linewidth=0.7, linestyle=":")
    _label(axes, "recall", "precision")
    axes.legend(fontsize=7, frameon=False, loc="lower left")
    _tidy(axes)
    return figure
