"""A cross-validation as one result: every recording answered once, by a network that had never met it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from birdnet_nl.comparison.pairing import Kind
from birdnet_nl.comparison.predictions import RunPredictions, balanced_accuracy, between, confusion
from birdnet_nl.comparison.results import Result


@dataclass(frozen=True)
class CrossValidation:
    """All folds of one parameter set, species (or pool) and seed.

    Attributes:
        result: their answers together, with figures and intervals as a run's own.
        calibration: ECE, Brier score and log loss of the answers.
        song_against_call: balanced accuracy and AUROC of the recordings of these two types, by the two probabilities
            alone; empty where a type lacks.
        fold_accuracies: balanced accuracy of each fold alone.
        metadata: mean over the folds of the metadata control's balanced accuracy; None when a fold has none.
    """

    kind: Kind
    result: Result
    calibration: Mapping[str, float]
    song_against_call: Mapping[str, float]
    fold_accuracies: tuple[float | None, ...]
    metadata: float | None


def cross_validations(results: Mapping[tuple[Kind, str, int], Mapping[str, Result]]) -> tuple[CrossValidation, ...]:
    """Those among the results of a pairing, by kind, species, seed and parameter set."""
    return tuple(
        _of_result(kind, result)
        for (kind, _, _), by_set in sorted(results.items())
        if kind.folds
        for result in by_set.values()
    )


def _of_result(kind: Kind, result: Result) -> CrossValidation:
    from birdnet_nl.evaluation.calibration import calibration_figures  # brings torch: seconds, and only folds need it

    answers = result.answers
    return CrossValidation(
        kind=kind,
        result=result,
        calibration=calibration_figures(answers.probabilities, answers.truth),
        song_against_call=song_against_call(answers),
        fold_accuracies=tuple(run.scores.get("balanced_accuracy") for run in result.runs),
        metadata=_mean_or_none(
            (run.report.get("controls") or {}).get("metadata", {}).get("balanced_accuracy") for run in result.runs
        ),
    )


def song_against_call(answers: RunPredictions) -> dict[str, float]:
    """Balanced accuracy and AUROC between song and call, whatever probability another type has."""
    two = between(answers, "song", "call")
    if two is None:
        return {}
    from sklearn.metrics import roc_auc_score  # as above

    is_song = two.truth == 0
    return {
        "balanced_accuracy": float(balanced_accuracy(confusion(two))),
        "auroc": float(roc_auc_score(is_song, two.probabilities[:, 0])),
    }


def over_seeds(found: Sequence[CrossValidation]) -> list[list[CrossValidation]]:
    """Those that differ in the seed only, together; the seeds in order."""
    groups: dict[tuple, list[CrossValidation]] = {}
    for one in found:
        groups.setdefault((one.kind, one.result.parameter_set, one.result.subject), []).append(one)
    return [sorted(group, key=lambda one: one.result.seed) for group in groups.values()]


def _mean_or_none(values: Iterable[float | None]) -> float | None:
    known = list(values)
    return None if not known or None in known else float(np.mean(known))
