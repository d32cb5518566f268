"""Plot of a learning curve: metrics by number of training recordings, the fitted curve and what it predicts."""

from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator, PercentFormatter

from birdnet_nl.comparison.curve_points import LearningCurve
from birdnet_nl.evaluation.plots import INK, PALE

COLOURS = {"balanced_accuracy": "#2b7bbb", "auroc": "#2e8b57"}
NAMES = {"balanced_accuracy": "balanced accuracy", "auroc": "AUROC"}
SHOWN_BEYOND = 4  # the curve is drawn up to this multiple of the largest size, or to the number needed


def draw_curve(curve: LearningCurve) -> Figure:
    """Draw points with 95 % intervals, the fitted curves with theirs, the target, and the number needed."""
    figure = Figure(figsize=(5.6, 3.6), layout="constrained")
    axes = figure.subplots()
    decisive = curve.decisive
    sizes = [point.recordings for point in curve.points]
    end = max(SHOWN_BEYOND * decisive.largest, 1.2 * (decisive.needed or 0))
    for name, colour in COLOURS.items():
        values = [point.values[name] for point in curve.points]
        low, high = zip(*(point.intervals[name] for point in curve.points), strict=True)
        below = [value - bound for value, bound in zip(values, low, strict=True)]
        above = [bound - value for value, bound in zip(values, high, strict=True)]
        axes.errorbar(
            sizes, values, (below, above), fmt="o", color=colour, markersize=4, linewidth=1, label=NAMES[name]
        )
        rows = [row for row in curve.estimates[name].grid if row[0] <= end]
        if rows:
            x, fitted, lower, upper = zip(*rows, strict=True)
            known = sum(size <= decisive.largest for size in x)
            axes.plot(x[:known], fitted[:known], color=colour, linewidth=1.6)
            axes.plot(x[known - 1 :], fitted[known - 1 :], color=colour, linewidth=1.2, linestyle="--")
            axes.fill_between(x, lower, upper, color=colour, alpha=0.12, linewidth=0)
    axes.axhline(decisive.target, color=INK, linewidth=0.8, linestyle=":")
    if decisive.needed:
        axes.plot(decisive.needed, decisive.target, "D", color=INK, markersize=5)
        axes.annotate(f"{decisive.needed:.0f}", (decisive.needed, decisive.target), (0, 6), color=INK, fontsize=8,
                      textcoords="offset points", ha="right")  # fmt: skip
    axes.set_xscale("log")
    axes.set_xlim(0.85 * min(sizes), end)
    axes.set_ylim(min(0.3, *(point.intervals["balanced_accuracy"][0] for point in curve.points)), 1.01)
    axes.xaxis.set_major_locator(FixedLocator([n * 10**k for k in range(6) for n in (1, 2, 5)]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlabel("training recordings", color=INK, fontsize=8)
    axes.set_ylabel("per test recording; dotted: target", color=INK, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(PALE)
    axes.tick_params(colors=INK, labelsize=8, length=0)
    axes.legend(frameon=False, fontsize=8, labelcolor=INK, loc="lower right")
    return figure
