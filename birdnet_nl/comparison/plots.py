"""Pictures of a comparison: species by set, speed against accuracy, training curves, confusion, calibration."""

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
MAX_CURVES = 60  # thin lines per set; the mean is over all
SHOWN_TYPES = ("song", "call", "alarm")


def colours_of(names: Sequence[str]) -> dict[str, str]:
    others = cycle(MORE_COLOURS)
    return {name: SET_COLOURS.get(name) or next(others) for name in names}


def draw_species(section: Section) -> Figure:
    """Balanced accuracy per species and set; a line is the run's own 95 % interval, or the range over several seeds."""
    by_case: dict[str, dict[str, list[Result]]] = {}
    for one in section.results:
        by_case.setdefault(one.subject, {}).setdefault(one.parameter_set, []).append(one)
    baseline = section.names[0]

    def height(subject: str) -> float:
        return np.nan_to_num(np.mean([one.metric("balanced_accuracy") for one in by_case[subject].get(baseline, [])]))

    order = sorted(by_case, key=lambda subject: (height(subject), subject))
    figure, axes = _axes(11.6, 0.9 + 0.17 * len(order) * max(1.6, 0.6 * len(section.names)))
    for place, (name, colour) in enumerate(colours_of(section.names).items()):
        shift = (place - (len(section.names) - 1) / 2) * 0.62 / max(2, len(section.names))
        first = True
        for row, subject in enumerate(order):
            results = by_case[subject].get(name, [])
            values = [one.metric("balanced_accuracy") for one in results]
            if not values or not np.isfinite(np.mean(values)):
                continue
            ends = results[0].interval("balanced_accuracy") if len(values) == 1 else (min(values), max(values))
            if ends:
                axes.plot(ends, [row - shift] * 2, color=colour, linewidth=1.6, alpha=0.45, solid_capstyle="round")
            axes.plot(np.mean(values), row - shift, "o", color=colour, markersize=4.6, label=name if first else None)
            first = False
    types = {len(one.types) for one in section.results}
    for count in types:
        axes.axvline(1 / count, color=INK, linewidth=0.8, linestyle=":", alpha=0.6)
    dutch = {one.subject: one.dutch for one in section.results}
    axes.set_yticks(range(len(order)), [dutch[subject] for subject in order])
    axes.set_ylim(-0.7, len(order) - 0.3)
    axes.set_xlim(0, 1.01)
    axes.grid(axis="x", color=PALE, linewidth=0.4, alpha=0.6)
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlabel("balanced accuracy on the test recordings; dotted: chance", color=INK, fontsize=8)
    return figure


def draw_speed_and_accuracy(section: Section) -> Figure:
    """A dot per species and set: times as fast as the baseline, and points of balanced accuracy more or less."""
    figure, axes = _axes(5.6, 3.8)
    colours = colours_of(section.names)
    for each in section.sets:
        found = [
            (each.speed.by_species[one.subject], 100 * one.differences["balanced_accuracy"].value)
            for one in each.species
            if one.subject in each.speed.by_species and np.isfinite(one.differences["balanced_accuracy"].value)
        ]
        if not found:
            continue
        points = np.array(found)
        colour = colours[each.parameter_set]
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
        axes.text(right, high, "claimed of fast ", ha="right", va="top", fontsize=7.5, color=INK, alpha=0.8)
    axes.set_xlabel(f"training, times as fast as {section.names[0]}", color=INK, fontsize=8)
    axes.set_ylabel("points of balanced accuracy more or less", color=INK, fontsize=8)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:+g}"))
    return figure


def draw_curves(section: Section) -> Figure | None:
    """Validation loss by epoch and balanced accuracy by minute of training; thick: means. None for older runs."""
    runs = {
        name: [run for one in section.results if one.parameter_set == name for run in one.runs if _has_curves(run)]
        for name in section.names
    }
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
    loss.set_xlabel("epoch", color=INK, fontsize=8)
    loss.set_ylabel("validation loss", color=INK, fontsize=8)
    loss.xaxis.set_major_locator(MaxNLocator(integer=True))
    accuracy.set_xlabel("minutes of training", color=INK, fontsize=8)
    accuracy.set_ylabel("balanced accuracy, validation recordings", color=INK, fontsize=8)
    accuracy.yaxis.set_major_formatter(PercentFormatter(1))
    for axes in (loss, accuracy):
        _tidy(axes)
    return figure


def draw_confusions(section: Section) -> Figure | None:
    """Counts of true types (rows) and answers, added up over species and seeds; shade: share of the true type."""
    sums = {name: _summed(section, name) for name in section.names}
    types = [name for name in SHOWN_TYPES if any(name in one.types for one in section.results)]
    if not types or not any(counts.any() for counts in sums.values()):
        return None
    places = [SHOWN_TYPES.index(name) for name in types]
    figure = Figure(figsize=(11.6, 3.4), layout="constrained")
    for axes, (name, counts) in zip(np.atleast_1d(figure.subplots(1, len(sums))), sums.items(), strict=True):
        counts = counts[np.ix_(places, places)]
        shares = counts / counts.sum(axis=1, keepdims=True).clip(min=1)
        axes.set_aspect("equal")
        for true, answer in np.ndindex(*shares.shape):
            axes.add_patch(_square(answer, true, colours_of(section.names)[name], shares[true, answer]))
            axes.text(answer, true, f"{shares[true, answer]:.0%}", ha="center", va="center", color=INK, fontsize=10)
            axes.text(answer, true + 0.33, f"{counts[true, answer]:g}", ha="center", va="center", color=INK, fontsize=7)
        axes.set(xlim=(-0.5, len(types) - 0.5), ylim=(len(types) - 0.5, -0.5))
        axes.set_xticks(range(len(types)), types)
        axes.set_yticks(range(len(types)), types)
        axes.set_xlabel("answer", color=INK, fontsize=8)
        axes.set_title(name, fontsize=9, color=INK)
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0, colors=INK, labelsize=8)
    return figure


def draw_reliability(section: Section) -> Figure | None:
    """Share of right answers against the probability given to them, in bins of equal numbers of recordings."""
    figure, axes = _axes(5.6, 3.8)
    axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=":", alpha=0.7)
    drawn = False
    for name, colour in colours_of(section.names).items():
        answers = [one.answers for one in section.results if one.parameter_set == name and one.answers is not None]
        if answers:
            confidence, right = reliability(answers)
            axes.plot(confidence, right, "o-", color=colour, markersize=4.5, linewidth=1.3, label=name)
            drawn = True
    axes.set(xlim=(0.3, 1.01), ylim=(0, 1.02))
    axes.set_xlabel("probability given to the answer", color=INK, fontsize=8)
    axes.set_ylabel("share of these answers that are right", color=INK, fontsize=8)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1))
    axes.grid(color=PALE, linewidth=0.4, alpha=0.6)
    return figure if drawn else None


def reliability(parts: Sequence[RunPredictions]) -> tuple[np.ndarray, np.ndarray]:
    """Mean probability of the answers and share of right ones, per bin of equal numbers, least sure first."""
    confidence = np.concatenate([part.probabilities.max(axis=1) for part in parts])
    right = np.concatenate([part.right for part in parts])
    order = np.argsort(confidence, kind="stable")
    bins = np.array_split(order, max(1, min(BINS, len(order) // MIN_PER_BIN)))
    return np.array([confidence[one].mean() for one in bins]), np.array([right[one].mean() for one in bins])


def _summed(section: Section, name: str) -> np.ndarray:
    """Counts [true type, answer] over all results of a set, in the order of `SHOWN_TYPES`."""
    total = np.zeros((len(SHOWN_TYPES), len(SHOWN_TYPES)))
    for one in section.results:
        counts = confusion(one.answers) if one.answers is not None else np.array(one.scores.get("confusion") or [])
        if one.parameter_set == name and counts.size and set(one.types) <= set(SHOWN_TYPES):
            places = [SHOWN_TYPES.index(kind) for kind in one.types]
            total[np.ix_(places, places)] += counts
    return total


def _has_curves(run: FinishedRun) -> bool:
    wanted = {"val/loss", "val/recording_balanced_accuracy", "seconds"}
    return bool(run.report.get("history")) and wanted <= set(run.report["history"][0])


def _line(run: FinishedRun, key: str, by_minute: bool) -> tuple[np.ndarray, np.ndarray]:
    rows: Sequence[Mapping[str, float]] = run.report["history"]
    x = np.cumsum([row["seconds"] for row in rows]) / 60 if by_minute else np.arange(1, len(rows) + 1)
    return x, np.array([row[key] for row in rows], dtype=float)


def _mean_line(lines: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[list[float], list[float]]:
    """Means epoch by epoch, as far as at least half of the runs went."""
    longest = sorted((len(x) for x, _ in lines), reverse=True)[(len(lines) - 1) // 2]
    there = [[(x[epoch], y[epoch]) for x, y in lines if len(x) > epoch] for epoch in range(longest)]
    return [float(np.mean([x for x, _ in of])) for of in there], [float(np.mean([y for _, y in of])) for of in there]


def _square(x: int, y: int, colour: str, share: float) -> Rectangle:
    return Rectangle((x - 0.48, y - 0.48), 0.96, 0.96, color=colour, alpha=0.08 + 0.62 * float(share), linewidth=0)


def _axes(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    _tidy(axes)
    return figure, axes


def _tidy(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(PALE)
    axes.tick_params(colors=INK, labelsize=8, length=0)
