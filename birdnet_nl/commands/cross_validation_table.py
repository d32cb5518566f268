"""Table of the cross-validations of a comparison."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from birdnet_nl.commands.compare_tables import ABSENT, TextTable
from birdnet_nl.comparison.cross_validation import CrossValidation, over_seeds
from birdnet_nl.comparison.results import Result

HEADS = (
    "out of fold", "seed", "recordings", "balanced accuracy", "macro-F1", "AUROC", "song : call", "recalls", "ECE",
    "metadata alone", "each fold", "training s",
)  # fmt: skip


def cross_validation_table(validations: Sequence[CrossValidation]) -> TextTable | None:
    """Return a row for each cross-validation, and their mean where there are several seeds; None without any."""
    if not validations:
        return None
    rows = []
    for group in over_seeds(validations):
        rows += [_row(validation) for validation in group]
        if len(group) > 1:
            rows.append(_mean_row(group))
    recalls = "/".join(dict.fromkeys(name for validation in validations for name in validation.result.types))
    title = f"Cross-validation: each recording predicted once, by a network not trained on it (recalls: {recalls})"
    return TextTable(title, HEADS, tuple(rows))


def _row(validation: CrossValidation) -> tuple[str, ...]:
    result = validation.result
    return (
        _name(validation),
        str(result.seed),
        str(len(result.predictions.ids)),
        _with_interval(result, "balanced_accuracy", ".1%"),
        _with_interval(result, "macro_f1", ".1%"),
        _with_interval(result, "auroc", ".3f"),
        _song_against_call(validation.song_against_call),
        "/".join(_whole_percent(result.metric(f"recall/{name}")) for name in result.types),
        f"{validation.calibration['ece']:.2f}",
        _whole_percent(validation.metadata),
        " ".join(_whole_percent(value) for value in validation.fold_accuracies),
        f"{result.seconds('train'):.0f}",
    )


def _mean_row(group: Sequence[CrossValidation]) -> tuple[str, ...]:
    results = [validation.result for validation in group]

    def mean(values: list[float]) -> float:
        return float(np.mean(values))

    def mean_and_range(metric: str, form: str) -> str:
        values = [result.metric(metric) for result in results]
        return f"{mean(values):{form}} ({min(values):{form}} to {max(values):{form}})"

    song_against_call = {
        key: mean([validation.song_against_call.get(key, math.nan) for validation in group])
        for key in ("balanced_accuracy", "auroc")
    }
    metadata = [validation.metadata for validation in group]
    return (
        _name(group[0]),
        f"mean of {len(group)}",
        "",
        mean_and_range("balanced_accuracy", ".1%"),
        mean_and_range("macro_f1", ".1%"),
        mean_and_range("auroc", ".3f"),
        _song_against_call(song_against_call),
        "/".join(_whole_percent(mean([r.metric(f"recall/{name}") for r in results])) for name in results[0].types),
        f"{mean([validation.calibration['ece'] for validation in group]):.2f}",
        _whole_percent(mean(metadata)) if all(metadata) else ABSENT,
        "",
        f"{mean([result.seconds('train') for result in results]):.0f}",
    )


def _name(validation: CrossValidation) -> str:
    return f"{validation.result.parameter_set} · {validation.result.dutch} · {validation.kind.name}"


def _with_interval(result: Result, metric: str, form: str) -> str:
    value, interval = result.metric(metric), result.interval(metric)
    if not math.isfinite(value):
        return ABSENT
    if interval is None:
        return f"{value:{form}}"
    low, high = (f"{bound:{form}}".rstrip("%") for bound in interval)
    return f"{value:{form}} [{low}–{high}]"


def _song_against_call(metrics: Mapping[str, float]) -> str:
    if not metrics or not math.isfinite(metrics["auroc"]):
        return ABSENT
    return f"{metrics['balanced_accuracy']:.1%}, AUROC {metrics['auroc']:.3f}"


def _whole_percent(value: float | None) -> str:
    return ABSENT if value is None or not math.isfinite(value) else f"{value:.0%}"
