"""Plain values of a comparison: JSON with everything, CSV with a row per training."""

import csv
import io
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from birdnet_nl.comparison.compare import Comparison, Section, SetComparison, SpeciesComparison
from birdnet_nl.comparison.cross_validation import CrossValidation
from birdnet_nl.comparison.results import PHASES, Result
from birdnet_nl.comparison.speed import Speed
from birdnet_nl.comparison.statistics import Overall

METRICS = ("balanced_accuracy", "macro_f1", "accuracy", "auroc", "recall/song", "recall/call", "recall/alarm")


def comparison_json(comparison: Comparison) -> str:
    """Format everything as JSON; undefined values are null, never NaN."""
    found = comparison.found
    values = _plain({
        "baseline": comparison.baseline,
        "sets": comparison.others,
        "sections": [_section(section) for section in comparison.sections],
        "cross_validations": [_cross_validation(validation) for validation in comparison.cross_validations],
        "left_out": comparison.left_out,
        "runs_found": len(found.runs),
        "unfinished": found.unfinished,
        "broken": [{"folder": folder, "reason": reason} for folder, reason in found.broken],
    })  # fmt: skip
    return json.dumps(values, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    """Convert dataclasses to tables, paths to text, and NaN and infinity to None."""
    if is_dataclass(value):
        value = asdict(value)
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(inner) for inner in value]
    if isinstance(value, Path):
        return os.fspath(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _section(section: Section) -> dict[str, Any]:
    return {
        "kind": asdict(section.kind) | {"name": section.kind.name},
        "notes": section.notes,
        "comparisons": [_set(compared) for compared in section.sets],
    }


def _set(compared: SetComparison) -> dict[str, Any]:
    return {
        "parameter_set": compared.parameter_set,
        "baseline": compared.baseline,
        "overall": {metric: _overall(overall) for metric, overall in compared.overall.items()},
        "speed": {"as_configured": _speed(compared.speed), "equal_workers": _speed(compared.speed_equal_workers)},
        "equal_worker_runs": [[run.folder for run in pair] for pair in compared.equal_runs],
        "verdicts": compared.verdicts,
        "species": [_species(species, compared) for species in compared.species],
    }


def _overall(overall: Overall) -> dict[str, Any]:
    return {
        "over_species": overall.over_species,
        "these_species": overall.these_species,
        "wilcoxon_p": overall.ranks.p,
        "hodges_lehmann": overall.ranks.shift,
        "species": overall.ranks.species,
    }


def _speed(speed: Speed) -> dict[str, Any]:
    ratios = {name: getattr(speed, name) for name in ("train", "total", "per_epoch", "per_segment")}
    return {"pairs": speed.pairs, "species": speed.species, "pairs_on_other_machines": speed.elsewhere} | ratios


def _species(species: SpeciesComparison, compared: SetComparison) -> dict[str, Any]:
    return {
        "species": species.subject,
        "dutch": species.dutch,
        "ten_test_recordings_per_type": species.enough,
        "differences": species.differences,
        "mcnemar": species.mcnemar,
        "times_as_fast": compared.speed.by_species.get(species.subject),
        "seeds": [
            {
                "seed": pair.baseline.seed,
                compared.baseline: _result(pair.baseline),
                compared.parameter_set: _result(pair.other),
            }
            for pair in species.pairs
        ],
    }


def _result(result: Result) -> dict[str, Any]:
    return {
        "runs": [run.folder for run in result.runs],
        "scores": result.scores,
        "seconds": {phase: result.seconds(phase) for phase in PHASES},
        "epochs": [run.epochs for run in result.runs],
    }


def _cross_validation(validation: CrossValidation) -> dict[str, Any]:
    result = validation.result
    return {
        "kind": asdict(validation.kind) | {"name": validation.kind.name},
        "parameter_set": result.parameter_set,
        "subject": result.subject,
        "seed": result.seed,
        "scores": result.scores,
        "calibration": validation.calibration,
        "song_against_call": validation.song_against_call,
        "fold_accuracies": validation.fold_accuracies,
        "metadata_balanced_accuracy": validation.metadata,
        "seconds": {phase: result.seconds(phase) for phase in PHASES},
        "runs": [run.folder for run in result.runs],
    }


def comparison_csv(comparison: Comparison) -> str:
    """Return a row for each parameter set, species and seed of a pair."""
    rows = [row for section in comparison.sections for row in _rows(section)]
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]) if rows else ["parameter_set"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _rows(section: Section) -> list[dict[str, Any]]:
    kind = section.kind
    baselines = {(result.subject, result.seed): result for result in section.results_of(section.names[0])}
    rows = []
    for result in section.results:
        baseline = baselines[result.subject, result.seed]
        row = {
            "synthetic": kind.synthetic, "split_by": kind.split_by, "shuffled_types": kind.shuffled,
            "pooled": kind.pooled, "folds": kind.folds or "", "variant": " ".join(kind.variant),
            "parameter_set": result.parameter_set, "species": result.subject, "dutch": result.dutch,
            "seed": result.seed, "test_recordings": sum(result.test_counts.values()),
            "epochs": sum(run.epochs for run in result.runs),
            "training_segments": sum(run.training_segments for run in result.runs),
        }  # fmt: skip
        row |= {name.replace("/", "_"): _cell(result.metric(name)) for name in METRICS}
        row |= {
            f"{name}_minus_{baseline.parameter_set}": _cell(result.metric(name) - baseline.metric(name))
            for name in ("balanced_accuracy", "macro_f1")
        }
        row |= {f"{phase}_s": _cell(result.seconds(phase)) for phase in PHASES}
        row["run"] = " ".join(os.fspath(run.folder) for run in result.runs)
        rows.append(row)
    return rows


def _cell(value: float) -> float | str:
    return round(value, 6) if math.isfinite(value) else ""
