"""Cross-validations as a table of plain words and as plain values."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from birdnet_nl.commands.compare_rows import ABSENT, WordTable
from birdnet_nl.comparison.cross_validation import CrossValidation, over_seeds
from birdnet_nl.comparison.results import PHASES

HEADS = (
    "out of fold", "seed", "recordings", "balanced accuracy", "macro-F1", "AUROC", "song : call", "recalls", "ECE",
    "metadata alone", "each fold", "training s",
)  # fmt: skip


def cross_validation_table(found: Sequence[CrossValidation]) -> WordTable | None:
    """A row per cross-validation, and one with the mean where there are several seeds; None when there are none."""
    if not found:
        return None
    rows = []
    for group in over_seeds(found):
        rows += [_row(one) for one in group]
        if len(group) > 1:
            rows.append(_mean_row(group))
    recalls = "/".join(dict.fromkeys(name for one in found for name in one.result.types))
    title = f"Cross-validation: each recording answered once, by a network that never met it (recalls: {recalls})"
    return WordTable(title, HEADS, tuple(rows))


def cross_validation_values(found: Sequence[CrossValidation]) -> list[dict[str, Any]]:
    return [
        {
            "kind": asdict(one.kind) | {"name": one.kind.name},
            "parameter_set": one.result.parameter_set,
            "subject": one.result.subject,
            "seed": one.result.seed,
            "scores": dict(one.result.scores),
            "calibration": dict(one.calibration),
            "song_against_call": dict(one.song_against_call),
            "fold_accuracies": list(one.fold_accuracies),
            "metadata_balanced_accuracy": one.metadata,
            "seconds": {phase: one.result.seconds(phase) for phase in PHASES},
            "runs": [str(run.folder) for run in one.result.runs],
        }
        for one in found
    ]


def _row(one: CrossValidation) -> tuple[str, ...]:
    result = one.result
    return (
        _name(one),
        str(result.seed),
        str(len(result.answers.ids)),
        _with_interval(one, "balanced_accuracy", ".1%"),
        _with_interval(one, "macro_f1", ".1%"),
        _with_interval(one, "auroc", ".3f"),
        _song_against_call(one.song_against_call),
        "/".join(_percent(result.metric(f"recall/{name}")) for name in result.types),
        f"{one.calibration['ece']:.2f}",
        _percent(one.metadata),
        " ".join(_percent(value) for value in one.fold_accuracies),
        f"{result.seconds('train'):.0f}",
    )


def _mean_row(group: Sequence[CrossValidation]) -> tuple[str, ...]:
    def mean(values: list[float]) -> float:
        return float(np.mean(values))

    def spread(figure: str, form: str) -> str:
        values = [one.result.metric(figure) for one in group]
        return f"{mean(values):{form}} ({min(values):{form}} to {max(values):{form}})"

    types = group[0].result.types
    against = {
        key: mean([one.song_against_call.get(key, math.nan) for one in group]) for key in ("balanced_accuracy", "auroc")
    }
    return (
        _name(group[0]),
        f"mean of {len(group)}",
        "",
        spread("balanced_accuracy", ".1%"),
        spread("macro_f1", ".1%"),
        spread("auroc", ".3f"),
        _song_against_call(against),
        "/".join(_percent(mean([one.result.metric(f"recall/{name}") for one in group])) for name in types),
        f"{mean([one.calibration['ece'] for one in group]):.2f}",
        _percent(mean([one.metadata for one in group])) if all(one.metadata for one in group) else ABSENT,
        "",
        f"{mean([one.result.seconds('train') for one in group]):.0f}",
    )


def _name(one: CrossValidation) -> str:
    return f"{one.result.parameter_set} · {one.result.dutch} · {one.kind.name}"


def _with_interval(one: CrossValidation, figure: str, form: str) -> str:
    value, interval = one.result.metric(figure), one.result.interval(figure)
    if not math.isfinite(value):
        return ABSENT
    if interval is None:
        return f"{value:{form}}"
    low, high = (f"{bound:{form}}".rstrip("%") for bound in interval)
    return f"{value:{form}} [{low}–{high}]"


def _song_against_call(figures: Mapping[str, float]) -> str:
    if not figures or not math.isfinite(figures["auroc"]):
        return ABSENT
    return f"{figures['balanced_accuracy']:.1%}, AUROC {figures['auroc']:.3f}"


def _percent(value: float | None) -> str:
    return ABSENT if value is None or not math.isfinite(value) else f"{value:.0%}"
