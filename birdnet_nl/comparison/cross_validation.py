"""Cross-validation as one result: every recording is predicted once, by a network that was not trained on it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from birdnet_nl.comparison.pairing import Kind
from birdnet_nl.comparison.predictions import RunPredictions, balanced_accuracy, between, confusion
from birdnet_nl.comparison.results import Result


@dataclass(frozen=True)
class CrossValidation:
    """Joined folds of one parameter set, species (or pool) and seed.

    Attributes:
        result: joined predictions, with metrics and intervals like those of a run.
        calibration: ECE, Brier score and log loss.
        song_against_call: balanced accuracy and AUROC of these two types, from their two probabilities only; empty
            where a type is missing.
        fold_accuracies: balanced accuracy of each fold.
        metadata: mean over the folds of the metadata control's balanced accuracy; None when a fold has none.
    """

    kind: Kind
    result: Result
    calibration: Mapping[str, float]
    song_against_call: Mapping[str, float]
    fold_accuracies: tuple[float | None, ...]
    metadata: float | None


def cross_validations(results: Mapping[tuple[Kind, str, int], Mapping[str, Result]]) -> tuple[CrossValidation, ...]:
    """Select the cross-validations from the results of a pairing, by kind, species, seed and parameter set."""
    return tuple(
        _cross_validation(kind, result)
        for (kind, _, _), by_set in sorted(results.items())
        if kind.folds
        for result in by_set.values()
    )


def _cross_validation(kind: Kind, result: Result) -> CrossValidation:
    from birdnet_nl.evaluation.calibration import calibration_metrics  # imports torch, which only folds need

    controls = [(run.report.get("controls") or {}).get("metadata", {}).get("balanced_accuracy") for run in result.runs]
    return CrossValidation(
        kind=kind,
        result=result,
        calibration=calibration_metrics(result.predictions.probabilities, result.predictions.truth),
        song_against_call=song_against_call(result.predictions),
        fold_accuracies=tuple(run.scores.get("balanced_accuracy") for run in result.runs),
        metadata=None if None in controls else float(np.mean(controls)),
    )


def song_against_call(predictions: RunPredictions) -> dict[str, float]:
    """Compute balanced accuracy and AUROC between song and call, ignoring the probabilities of other types."""
    restricted = between(predictions, "song", "call")
    if restricted is None:
        return {}
    from sklearn.metrics import roc_auc_score  # takes a second, and only folds need it

    return {
        "balanced_accuracy": float(balanced_accuracy(confusion(restricted))),
        "auroc": float(roc_auc_score(restricted.truth == 0, restricted.probabilities[:, 0])),
    }


def over_seeds(validations: Sequence[CrossValidation]) -> list[list[CrossValidation]]:
    """Group the cross-validations that differ only in the seed, sorted by seed."""
    groups: dict[tuple, list[CrossValidation]] = {}
    for item in validations:
        groups.setdefault((item.kind, item.result.parameter_set, item.result.subject), []).append(item)
    return [sorted(group, key=lambda item: item.result.seed) for group in groups.values()]
