"""Pictures of a run: confusion matrices, curves, and example mels with the answers given."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

TYPE_COLOURS = {"song": "#2a9d5c", "call": "#3977b5", "alarm": "#d1495b"}
INK, PALE = "#2b2b2b", "#b8b8b8"
SYNTHETIC_NOTE = "synthetic demo recordings"


def new_figure(width: float, height: float, title: str, synthetic: bool) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained", dpi=130)
    figure.suptitle(title + (f"  ·  {SYNTHETIC_NOTE}" if synthetic else ""), fontsize=11, color=INK)
    return figure


def tidy(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=INK, labelsize=8)


def draw_confusion(results: dict[str, dict[str, Any]], types: Sequence[str], title: str, synthetic: bool) -> Figure:
    """True type against answer, per recording and per segment; shade is the share of the true type."""
    figure = new_figure(8.2, 4.2, title, synthetic)
    for axes, unit in zip(figure.subplots(1, 2), ("recording", "segment"), strict=True):
        counts = np.array(results[unit]["confusion"])
        shares = counts / counts.sum(axis=1, keepdims=True).clip(min=1)
        axes.imshow(shares, cmap="Greens", vmin=0, vmax=1)
        for true in range(len(types)):
            for answer in range(len(types)):
                colour = "white" if shares[true, answer] > 0.55 else INK
                axes.text(
                    answer, true, f"{shares[true, answer]:.0%}", ha="center", va="bottom", color=colour, fontsize=12
                )
                axes.text(
                    answer, true + 0.12, f"{counts[true, answer]}", ha="center", va="top", color=colour, fontsize=8
                )
        axes.set_xticks(range(len(types)), types)
        axes.set_yticks(range(len(types)), types, rotation=90, va="center")
        axes.set_xlabel("answer", color=INK)
        axes.set_ylabel("true type", color=INK)
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0, colors=INK)
        axes.set_title(
            f"{results[unit]['count']} {unit}s{_balanced_accuracy(results[unit])} (chance {1 / len(types):.0%})",
            fontsize=9,
            color=INK,
        )
    return figure


def _balanced_accuracy(scores: dict[str, Any]) -> str:
    value = scores["balanced_accuracy"]  # None where a type was not among those tested
    return "" if value is None else f", balanced accuracy {value:.0%}"


def draw_curves(
    history: Sequence[dict[str, float]], best_epoch: int, n_types: int, title: str, synthetic: bool
) -> Figure:
    """Loss, accuracy and learning rate per epoch; a line marks the epoch whose weights were kept."""
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
    draw(rate, "learning_rate", "learning rate", INK)
    rate.set_yscale("log")
    rate.set_title("learning rate", fontsize=9)
    for axes in (loss, accuracy, rate):
        axes.axvline(best_epoch + 1, color=PALE, linewidth=0.8, linestyle="--", label=f"kept: epoch {best_epoch + 1}")
        axes.set_xlabel("epoch", fontsize=8)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(fontsize=7, frameon=False)
        tidy(axes)
    return figure


def draw_examples(
    mels: np.ndarray, true_types: Sequence[str], answers: Sequence[str], certainty: Sequence[float],
    names: Sequence[str], title: str, synthetic: bool, columns: int = 3,
) -> Figure:  # fmt: skip
    """Mels of test segments [examples, mels, frames], scaled 0…1, with true type and answer; wrong answers in red."""
    rows = -(-len(mels) // columns)
    figure = new_figure(3.4 * columns, 0.5 + 1.9 * rows, title, synthetic)
    axes_grid = np.atleast_1d(figure.subplots(rows, columns)).ravel()
    for axes in axes_grid:
        axes.set_axis_off()
    for axes, mel, true, answer, share, name in zip(
        axes_grid, mels, true_types, answers, certainty, names, strict=False
    ):
        axes.imshow(mel, origin="lower", aspect="auto", cmap="magma", vmin=0, vmax=1)
        verdict = "✓" if true == answer else f"answered {answer}"
        colour = INK if true == answer else TYPE_COLOURS["alarm"]
        axes.set_title(f"{true}  {verdict} ({share:.0%})  {name}", fontsize=7.5, color=colour)
    return figure
