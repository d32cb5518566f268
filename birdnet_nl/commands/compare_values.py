"""A comparison as plain values: JSON with everything, CSV with a row per training."""

import csv
import io
import math
import os
from dataclasses import asdict
from typing import Any

from birdnet_nl.commands.cross_validation_table import cross_validation_values
from birdnet_nl.comparison.compare import Comparison, Section, SetComparison, SpeciesComparison
from birdnet_nl.comparison.results import PHASES, Result
from birdnet_nl.comparison.speed import Speed
from birdnet_nl.comparison.statistics import Estimate, Overall

FIGURES = ("balanced_accuracy", "macro_f1", "accuracy", "auroc", "recall/song", "recall/call", "recall/alarm")


def as_values(comparison: Comparison) -> dict[str, Any]:
    """Types that JSON knows; what is absent is null, never NaN."""
    found = comparison.found
    return _plain({
        "baseline": comparison.baseline,
        "sets": list(comparison.others),
        "sections": [_section(section) for section in comparison.sections],
        "cross_validations": cross_validation_values(comparison.cross_validations),
        "left_out": [asdict(one) for one in comparison.left_out],
        "runs_found": len(found.runs),
        "unfinished": [os.fspath(folder) for folder in found.unfinished],
        "broken": [{"folder": os.fspath(folder), "reason": reason} for folder, reason in found.broken],
    })  # fmt: skip


def as_csv(comparison: Comparison) -> str:
    """A row for each parameter set, species and seed that is in a pair."""
    rows = [row for section in comparison.sections for row in _rows(section)]
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]) if rows else ["parameter_set"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _rows(section: Section) -> list[dict[str, Any]]:
    kind = section.kind
    baseline = {(one.subject, one.seed): one for one in section.results if one.parameter_set == section.names[0]}
    rows = []
    for one in section.results:
        before = baseline[one.subject, one.seed]
        row = {
            "synthetic": kind.synthetic, "split_by": kind.split_by, "shuffled_types": kind.shuffled,
            "pooled": kind.pooled, "folds": kind.folds or "", "variant": " ".join(kind.variant),
            "parameter_set": one.parameter_set, "species": one.subject, "dutch": one.dutch, "seed": one.seed,
            "test_recordings": sum(one.test_counts.values()), "epochs": sum(run.epochs for run in one.runs),
            "training_segments": sum(run.training_segments for run in one.runs),
        }  # fmt: skip
        row |= {figure.replace("/", "_"): _cell(one.metric(figure)) for figure in FIGURES}
        row |= {f"{name}_minus_{before.parameter_set}": _cell(one.metric(name) - before.metric(name))
                for name in ("balanced_accuracy", "macro_f1")}  # fmt: skip
        row |= {f"{phase}_s": _cell(one.seconds(phase)) for phase in PHASES}
        row["run"] = " ".join(os.fspath(run.folder) for run in one.runs)
        rows.append(row)
    return rows


def _section(section: Section) -> dict[str, Any]:
    return {
        "kind": asdict(section.kind) | {"name": section.kind.name},
        "notes": list(section.notes),
        "comparisons": [_set(each) for each in section.sets],
    }


def _set(each: SetComparison) -> dict[str, Any]:
    return {
        "parameter_set": each.parameter_set,
        "baseline": each.baseline,
        "overall": {figure: _overall(overall) for figure, overall in each.overall.items()},
        "speed": {"as_configured": _speed(each.speed), "equal_workers": _speed(each.speed_equal_workers)},
        "equal_worker_runs": [[os.fspath(run.folder) for run in pair] for pair in each.equal_runs],
        "verdicts": [asdict(verdict) for verdict in each.verdicts],
        "species": [_species(one, each) for one in each.species],
    }


def _overall(overall: Overall) -> dict[str, Any]:
    return {
        "over_species": _estimate(overall.over_species),
        "these_species": _estimate(overall.these_species),
        "wilcoxon_p": overall.ranks.p,
        "hodges_lehmann": _estimate(overall.ranks.shift),
        "species": overall.ranks.species,
    }


def _speed(speed: Speed) -> dict[str, Any]:
    ratios = {name: _estimate(getattr(speed, name)) for name in ("train", "total", "per_epoch", "per_segment")}
    return {"pairs": speed.pairs, "species": speed.species, "pairs_on_other_machines": speed.elsewhere} | ratios


def _species(one: SpeciesComparison, each: SetComparison) -> dict[str, Any]:
    return {
        "species": one.subject,
        "dutch": one.dutch,
        "ten_test_recordings_per_type": one.enough,
        "differences": {figure: _estimate(found) for figure, found in one.differences.items()},
        "mcnemar": asdict(one.mcnemar) if one.mcnemar else None,
        "times_as_fast": each.speed.by_species.get(one.subject),
        "seeds": [
            {"seed": pair.baseline.seed, each.baseline: _result(pair.baseline), each.parameter_set: _result(pair.other)}
            for pair in one.pairs
        ],
    }


def _result(result: Result) -> dict[str, Any]:
    return {
        "runs": [os.fspath(run.folder) for run in result.runs],
        "scores": dict(result.scores),
        "seconds": {phase: result.seconds(phase) for phase in PHASES},
        "epochs": [run.epochs for run in result.runs],
    }


def _estimate(estimate: Estimate | None) -> dict[str, Any] | None:
    return asdict(estimate) if estimate else None


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _cell(value: float) -> float | str:
    return round(value, 6) if math.isfinite(value) else ""
