"""Plots of a comparison: species by set, speed against accuracy, training curves, confusion, reliability."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from birdnet_nl.comparison.compare import Section
from birdnet_nl.comparison.finished_runs import FinishedRun
from birdnet_nl.comparison.predictions import RunPredictions, confusion
from birdnet_nl.comparison.results import Result
from birdnet_nl.comparison.verdicts import CLAIMED, MARGIN, SAVED
from birdnet_nl.evaluation.plots import INK, PALE

SET_COLOURS = {"legacy": "#7f8793", "fast": "#e08a1e", "turbo": "#7b5cc4"}
MORE_COLOURS = ("#2a9d8f", "#c2478d", "#4c78c8", "#8a9a2b")
BINS = 15  # of equal numbers of recordings
MIN_PER_BIN = 8
MAX_CURVES = 60  # thin lines per set; the mean is over all runs


def colours_of(names: Sequence[str]) -> dict[str, str]:
    others = cycle(MORE_COLOURS)
    return {name: SET_COLOURS.get(name) or next(others) for name in names}


def draw_species(section: Section) -> Figure:
    """Draw balanced accuracy per species and set, with the 95 % interval of a single run or the range over seeds."""
    by_case: dict[tuple[str, str], list[Result]] = defaultdict(list)
    for result in section.results:
        by_case[result.subject, result.parameter_set].append(result)
    dutch = {result.subject: result.dutch for result in section.results}

    def height(subject: str) -> float:
        of_baseline = [result.metric("balanced_accuracy") for result in by_case[subject, section.names[0]]]
        return np.nan_to_num(np.mean(of_baseline))

    order = sorted(dutch, key=lambda subject: (height(subject), subject))
    figure, axes = _axes(11.6, 0.9 + 0.17 * len(order) * max(1.6, 0.6 * len(section.names)))
    for place, (name, colour) in enumerate(colours_of(section.names).items()):
        shift = (place - (len(section.names) - 1) / 2) * 0.62 / max(2, len(section.names))
        label = name  # of the first dot
        for row, subject in enumerate(order):
            results = by_case[subject, name]
            values = [result.metric("balanced_accuracy") for result in results]
            if not values or not np.isfinite(np.mean(values)):
                continue
            ends = results[0].interval("balanced_accuracy") if len(values) == 1 else (min(values), max(values))
            if ends:
                axes.plot(ends, [row - shift] * 2, color=colour, linewidth=1.6, alpha=0.45, solid_capstyle="round")
            axes.plot(np.mean(values), row - shift, "o", color=colour, markersize=4.6, label=label)
            label = None
    for count in {len(result.types) for result in section.results}:
        axes.axvline(1 / count, color=INK, linewidth=0.8, linestyle=":", alpha=0.6)
    axes.set_yticks(range(len(order)), [dutch[subject] for subject in order])
    axes.set_ylim(-0.7, len(order) - 0.3)
    axes.set_xlim(0, 1.01)
    axes.grid(axis="x", color=PALE, linewidth=0.4, alpha=0.6)
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    _label(axes, "balanced accuracy on the test recordings; dotted: chance")
    return figure


def draw_speed_and_accuracy(section: Section) -> Figure:
    """Draw speed-up and difference in balanced accuracy against the baseline: a dot per species and set."""
    figure, axes = _axes(5.6, 3.8)
    colours = colours_of(section.names)
    for compared in section.sets:
        speed_ups = compared.speed.by_species
        differences = {species.subject: species.differences["balanced_accuracy"].value for species in compared.species}
        points = np.array([
            (speed_ups[subject], 100 * difference)
            for subject, difference in differences.items()
            if subject in speed_ups and np.isfinite(difference)
        ])  # fmt: skip
        if not len(points):
            continue
        colour = colours[compared.parameter_set]
        axes.scatter(*points.T, s=20, color=colour, alpha=0.55, linewidths=0, zorder=3)
        mean = np.exp(np.log(points[:, 0]).mean()), points[:, 1].mean()
        axes.plot(*mean, "D", color=colour, markeredgecolor=INK, markeredgewidth=0.8, markersize=7, zorder=4)
    axes.axhline(0, color=INK, linewidth=0.7, alpha=0.6)
    axes.axvline(1, color=INK, linewidth=0.7, alpha=0.6)
    if (section.sets[0].parameter_set, section.sets[0].baseline) == CLAIMED:
        (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
        right, high, low = max(right, 1.9 / (1 - SAVED) / 1.5), max(high, 6), min(low, -6)
        axes.fill_between([1 / (1 - SAVED), right], -100 * MARGIN, high, color=colours["fast"], alpha=0.1, linewidth=0)
        axes.set(xlim=(left, right), ylim=(low, high))
        axes.text(right, high, "claim for fast ", ha="right", va="top", fontsize=7.5, color=INK, alpha=0.8)
    _label(axes, f"training, times as fast as {section.names[0]}", "difference in balanced accuracy (points)")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:+g}"))
    return figure


def draw_curves(section: Section) -> Figure | None:
    """Draw validation loss by epoch and balanced accuracy by minute; thick: means. None for runs without history."""
    runs = {name: [run for run in section.runs_of(name) if _has_curves(run)] for name in section.names}
    if not any(runs.values()):
        return None
    figure = Figure(figsize=(11.6, 3.4), layout="constrained")
    loss, accuracy = figure.subplots(1, 2)
    for name, colour in colours_of(section.names).items():
        for axes, key, by_minute in ((loss, "val/loss", False), (accuracy, "val/recording_balanced_accuracy", True)):
            lines = [_line(run, key, by_minute) for run in runs[name]]
            for x, y in lines[:MAX_CURVES]:
                axes.plot(x, y, color=colour, linewidth=0.6, alpha=max(0.12, 0.6 / max(1, len(lines) ** 0.5)))
            if lines:
                axes.plot(*_mean_line(lines), color=colour, linewidth=2.2)
    _label(loss, "epoch", "validation loss")
    loss.xaxis.set_major_locator(MaxNLocator(integer=True))
    _label(accuracy, "minutes of training", "balanced accuracy, validation recordings")
    accuracy.yaxis.set_major_formatter(PercentFormatter(1))
    for axes in (loss, accuracy):
        _tidy(axes)
    return figure


def draw_confusions(section: Section) -> Figure | None:
    """Draw counts of true types (rows) and predicted types over species and seeds; shade: share of the true type."""
    types = list(dict.fromkeys(name for result in section.results for name in result.types))
    sums = {name: _summed(section, name, types) for name in section.names}
    if not types or not any(counts.any() for counts in sums.values()):
        return None
    colours = colours_of(section.names)
    figure = Figure(figsize=(11.6, 3.4), layout="constrained")
    for axes, (name, counts) in zip(np.atleast_1d(figure.subplots(1, len(sums))), sums.items(), strict=True):
        shares = counts / counts.sum(axis=1, keepdims=True).clip(min=1)
        axes.set_aspect("equal")
        for true, predicted in np.ndindex(*shares.shape):
            share, count = shares[true, predicted], counts[true, predicted]
            alpha = 0.08 + 0.62 * float(share)
            corner = (predicted - 0.48, true - 0.48)
            axes.add_patch(Rectangle(corner, 0.96, 0.96, color=colours[name], alpha=alpha, linewidth=0))
            axes.text(predicted, true, f"{share:.0%}", ha="center", va="center", color=INK, fontsize=10)
            axes.text(predicted, true + 0.33, f"{count:g}", ha="center", va="center", color=INK, fontsize=7)
        axes.set(xlim=(-0.5, len(types) - 0.5), ylim=(len(types) - 0.5, -0.5))
        axes.set_xticks(range(len(types)), types)
        axes.set_yticks(range(len(types)), types)
        _label(axes, "predicted type")
        axes.set_title(name, fontsize=9, color=INK)
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0, colors=INK, labelsize=8)
    return figure


def draw_reliability(section: Section) -> Figure | None:
    """Draw accuracy against confidence, in bins of equal numbers of recordings; None without predictions."""
    figure, axes = _axes(5.6, 3.8)
    axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=":", alpha=0.7)
    drawn = False
    for name, colour in colours_of(section.names).items():
        predictions = [result.predictions for result in section.results_of(name) if result.predictions is not None]
        if predictions:
            axes.plot(*_reliability(predictions), "o-", color=colour, markersize=4.5, linewidth=1.3, label=name)
            drawn = True
    axes.set(xlim=(0.3, 1.01), ylim=(0, 1.02))
    _label(axes, "probability of the predicted type", "accuracy")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1))
    axes.grid(color=PALE, linewidth=0.4, alpha=0.6)
    return figure if drawn else None


def _reliability(parts: Sequence[RunPredictions]) -> tuple[np.ndarray, np.ndarray]:
    """Compute mean confidence and accuracy per bin of equal numbers of recordings, in order of rising confidence."""
    confidence = np.concatenate([part.probabilities.max(axis=1) for part in parts])
    correct = np.concatenate([part.correct for part in parts])
    order = np.argsort(confidence, kind="stable")
    bins = np.array_split(order, max(1, min(BINS, len(order) // MIN_PER_BIN)))
    return np.array([confidence[part].mean() for part in bins]), np.array([correct[part].mean() for part in bins])


def _summed(section: Section, name: str, types: Sequence[str]) -> np.ndarray:
    """Counts [true type, predicted type] over all results of a set, in the order of `types`."""
    total = np.zeros((len(types), len(types)))
    for result in section.results_of(name):
        known = result.predictions is not None
        counts = confusion(result.predictions) if known else np.array(result.scores.get("confusion") or [])
        if counts.size:
            indices = [types.index(type_name) for type_name in result.types]
            total[np.ix_(indices, indices)] += counts
    return total


def _has_curves(run: FinishedRun) -> bool:
    needed = {"val/loss", "val/recording_balanced_accuracy", "seconds"}
    return bool(run.report.get("history")) and needed <= set(run.report["history"][0])


def _line(run: FinishedRun, key: str, by_minute: bool) -> tuple[np.ndarray, np.ndarray]:
    rows: Sequence[Mapping[str, float]] = run.report["history"]
    x = np.cumsum([row["seconds"] for row in rows]) / 60 if by_minute else np.arange(1, len(rows) + 1)
    return x, np.array([row[key] for row in rows], dtype=float)


def _mean_line(lines: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[list[float], list[float]]:
    """Average epoch by epoch, up to the last epoch that at least half of the runs reached."""
    longest = sorted((len(x) for x, _ in lines), reverse=True)[(len(lines) - 1) // 2]
    epochs = [[(x[epoch], y[epoch]) for x, y in lines if len(x) > epoch] for epoch in range(longest)]
    means = [np.mean(points, axis=0) for points in epochs]
    return [float(x) for x, _ in means], [float(y) for _, y in means]


def _axes(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    _tidy(axes)
    return figure, axes


def _label(axes: Axes, x: str, y: str = "") -> None:
    axes.set_xlabel(x, color=INK, fontsize=8)
    axes.set_ylabel(y, color=INK, fontsize=8)


def _tidy(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(PALE)
    axes.tick_params(colors=INK, labelsize=8, length=0)
