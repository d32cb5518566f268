"""Pictures of what a run's probabilities are worth: reliability, coverage, and precision against recall."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from torchmetrics.functional.classification import binary_precision_recall_curve

from birdnet_nl.evaluation.plots import INK, PALE, TYPE_COLOURS, new_figure, tidy


def draw_reliability(
    calibration: dict[str, Any], decision: dict[str, Any], n_types: int, title: str, synthetic: bool
) -> Figure:
    """Accuracy against confidence in bins of equal mass, and accuracy of the surest share of the recordings."""
    figure = new_figure(8.2, 3.9, title, synthetic)
    reliability, coverage = figure.subplots(1, 2)
    bins = calibration["bins"]
    reliability.plot([0, 1], [0, 1], color=PALE, linewidth=0.9, linestyle="--", label="as sure as right")
    reliability.scatter(
        [part["confidence"] for part in bins],
        [part["accuracy"] for part in bins],
        s=[14 + 6 * part["count"] for part in bins],
        color=TYPE_COLOURS["call"],
        alpha=0.75,
        label=f"{bins[0]['count']} or so recordings each",
    )
    reliability.set_xlabel("probability of the answer", fontsize=8)
    reliability.set_ylabel("share right", fontsize=8)
    before, after = calibration["before"]["ece"], calibration["after"]["ece"]
    reliability.set_title(
        f"ECE {before:.2f} → {after:.2f} (by chance {calibration['ece_by_chance']:.2f})", fontsize=9, color=INK
    )
    points = decision["coverage"]
    coverage.plot(
        [point["coverage"] for point in points],
        [point["accuracy"] for point in points],
        color=TYPE_COLOURS["song"],
        marker="o",
        markersize=2.5,
        linewidth=1.3,
        label="test recordings, the surest first",
    )
    if decision["wanted_accuracy"] is not None:
        coverage.axhline(decision["wanted_accuracy"], color=PALE, linewidth=0.9, linestyle="--", label="wanted")
    coverage.axhline(1 / n_types, color=TYPE_COLOURS["alarm"], linewidth=0.8, linestyle=":", label="chance")
    if decision["threshold"] is not None:
        coverage.axvline(
            decision["answered"], color=INK, linewidth=0.8, linestyle="--", label=f"p ≥ {decision['threshold']:.2f}"
        )
    coverage.set_xlabel("share of recordings answered", fontsize=8)
    coverage.set_ylabel("share of these right", fontsize=8)
    coverage.set_title("the rest is “onzeker”", fontsize=9, color=INK)
    for axes in (reliability, coverage):
        axes.set_xlim(0, 1.02)
        axes.set_ylim(0, 1.02)
        axes.xaxis.set_major_formatter(PercentFormatter(1))
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.legend(fontsize=7, frameon=False, loc="lower left" if axes is coverage else "upper left")
        tidy(axes)
    return figure


def draw_precision_recall(
    probabilities: torch.Tensor, true_types: torch.Tensor, types: Sequence[str], title: str, synthetic: bool
) -> Figure:
    """One curve per type against the rest, over recordings [recordings, types]; dotted is the type's share."""
    figure = new_figure(6.2, 4.2, title, synthetic)
    axes = figure.subplots()
    for kind, name in enumerate(types):
        is_type = (true_types == kind).long()
        if not is_type.any():
            continue
        precision, recall, _ = binary_precision_recall_curve(probabilities[:, kind], is_type)
        average = float(-(np.diff(recall.numpy()) * precision.numpy()[:-1]).sum())
        colour = TYPE_COLOURS[name]
        label = f"{name} ({int(is_type.sum())}), average precision {average:.2f}"
        axes.plot(recall, precision, color=colour, linewidth=1.4, drawstyle="steps-post", label=label)
        axes.axhline(float(is_type.float().mean()), color=colour, linewidth=0.7, linestyle=":")
    axes.set_xlim(0, 1.02)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("recall", fontsize=8)
    axes.set_ylabel("precision", fontsize=8)
    axes.legend(fontsize=7, frameon=False, loc="lower left")
    tidy(axes)
    return figure
