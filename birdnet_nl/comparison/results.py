"""Result of a parameter set for one species and seed: of a run, or of all folds of a cross-validation together."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from birdnet_nl.comparison.finished_runs import FinishedRun
from birdnet_nl.comparison.predictions import RunPredictions, join_predictions, read_run_predictions
from birdnet_nl.util.errors import DataError

PHASES = ("prepare", "train", "test", "total")


@dataclass(frozen=True)
class Result:
    """Result of one run, or of all folds of a cross-validation.

    Attributes:
        scores: metrics per recording, as in `metrics.json`; None or missing where a metric is undefined.
        predictions: on the test recordings; None for older runs.
    """

    runs: tuple[FinishedRun, ...]
    scores: Mapping[str, Any]
    predictions: RunPredictions | None

    @property
    def subject(self) -> str:
        return self.runs[0].subject

    @property
    def dutch(self) -> str:
        return self.runs[0].dutch

    @property
    def seed(self) -> int:
        return self.runs[0].seed

    @property
    def parameter_set(self) -> str:
        return self.runs[0].parameter_set

    @property
    def types(self) -> tuple[str, ...]:
        return self.runs[0].types

    @property
    def test_fingerprint(self) -> str:
        """Fingerprint of the test recordings; empty for folds, whose joined recordings are compared individually."""
        return self.runs[0].test_fingerprint if len(self.runs) == 1 else ""

    @property
    def data_fingerprints(self) -> tuple[str, ...]:
        """Fingerprints in the order of the folds; empty when a run has none."""
        fingerprints = tuple(run.report.get("data_fingerprint") or "" for run in self.runs)
        return fingerprints if all(fingerprints) else ()

    @property
    def test_counts(self) -> Mapping[str, int]:
        """Test recordings per type."""
        counts = Counter()
        for run in self.runs:
            recordings = (run.report.get("counts") or {}).get("recordings") or {}
            counts.update({name: count or 0 for name, count in (recordings.get("test") or {}).items()})
        return {name: counts[name] for name in self.types}

    def metric(self, name: str) -> float:
        """Return a score such as `macro_f1` or `recall/song`; NaN where it is undefined."""
        value: Any = self.scores
        for part in name.split("/"):
            value = value.get(part) if isinstance(value, Mapping) else None
        return float(value) if isinstance(value, int | float) else float("nan")

    def interval(self, name: str) -> tuple[float, float] | None:
        """Return the run's own 95 % interval of a metric, None without one."""
        ends = (self.scores.get("intervals") or {}).get(name)
        return (float(ends[0]), float(ends[1])) if ends and None not in ends else None

    def seconds(self, phase: str) -> float:
        """Return the sum over all folds; NaN when a run does not report it."""
        return float(sum(run.seconds.get(phase, np.nan) for run in self.runs))


def result_of(run: FinishedRun) -> Result:
    """Read a run's result; raises `DataError` when `predictions.csv` is broken or contradicts `metrics.json`."""
    predictions = read_run_predictions(run.folder, run.types)
    result = Result((run,), run.scores, predictions)
    reported, accuracy = result.metric("accuracy"), np.nan if predictions is None else predictions.correct.mean()
    if abs(accuracy - reported) > 0.002:  # false for NaN
        raise DataError(
            f"{run.folder}: predictions.csv has {accuracy:.1%} correct predictions, metrics.json {reported:.1%}; one "
            "of them is from another run"
        )
    return result


def join_folds(runs: Sequence[FinishedRun]) -> Result:
    """Join all folds to one result; raises `DataError` when a fold is missing or cannot be joined."""
    runs = sorted(runs, key=lambda run: run.fold if run.fold is not None else -1)
    folds = runs[0].folds or 0
    if missing := sorted(set(range(folds)) - {run.fold for run in runs}):
        names = ", ".join(map(str, missing))
        raise DataError(f"fold {names} of {folds} (counted from 0) {'is' if len(missing) == 1 else 'are'} missing")
    if len({run.types for run in runs}) > 1:
        raise DataError("its folds have different types")
    parts = [result_of(run).predictions for run in runs]
    if any(part is None for part in parts):
        raise DataError("a fold has no predictions.csv")
    try:
        predictions = join_predictions(parts)
    except ValueError as error:
        raise DataError(f"its folds cannot be joined: {error}") from None
    return Result(tuple(runs), score_predictions(predictions), predictions)


def score_predictions(predictions: RunPredictions) -> dict[str, Any]:
    """Compute the metrics of a run, with intervals over recordists, from its predictions."""
    import torch  # takes seconds, and only folds need it

    from birdnet_nl.evaluation.metrics import score_with_intervals

    probabilities, truth = torch.from_numpy(predictions.probabilities).float(), torch.from_numpy(predictions.truth)
    groups = np.unique(predictions.groups, return_inverse=True)[1]
    return score_with_intervals(probabilities, truth, groups, predictions.types)
