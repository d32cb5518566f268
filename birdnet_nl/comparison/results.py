"""A parameter set's result for one species and seed: of one run, or of all folds of a cross-validation together."""

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
    """One run, or all folds of one.

    Attributes:
        scores: figures per recording, as in `metrics.json`; None or missing where a figure is absent.
        answers: on the test recordings; None for older runs.
    """

    runs: tuple[FinishedRun, ...]
    scores: Mapping[str, Any]
    answers: RunPredictions | None

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
        """Empty for folds, whose joined recordings are compared one by one."""
        return self.runs[0].test_fingerprint if len(self.runs) == 1 else ""

    @property
    def data_fingerprints(self) -> tuple[str, ...]:
        """In the order of the folds; empty when a run does not say."""
        said = tuple(run.report.get("data_fingerprint") or "" for run in self.runs)
        return said if all(said) else ()

    @property
    def test_counts(self) -> Mapping[str, int]:
        """Test recordings per type."""
        counts = Counter()
        for run in self.runs:
            counts.update(run.report.get("counts", {}).get("recordings", {}).get("test") or {})
        return {name: counts[name] for name in self.types}

    def metric(self, name: str) -> float:
        """A score such as `macro_f1` or `recall/song`; NaN where it is absent."""
        value: Any = self.scores
        for part in name.split("/"):
            value = value.get(part) if isinstance(value, Mapping) else None
        return float(value) if isinstance(value, int | float) else float("nan")

    def interval(self, name: str) -> tuple[float, float] | None:
        """The run's own 95 % interval of a figure."""
        found = (self.scores.get("intervals") or {}).get(name)
        return (float(found[0]), float(found[1])) if found and None not in found else None

    def seconds(self, phase: str) -> float:
        """Of all folds together; NaN when a run does not say."""
        return float(sum(run.seconds.get(phase, np.nan) for run in self.runs))


def result_of(run: FinishedRun) -> Result:
    """Raises `DataError` when the run's `predictions.csv` is broken or tells other figures than its `metrics.json`."""
    answers = read_run_predictions(run.folder, run.types)
    result = Result((run,), run.scores, answers)
    if answers is not None and (said := result.metric("accuracy")) == said and abs(answers.right.mean() - said) > 0.002:
        raise DataError(
            f"{run.folder}: predictions.csv has {answers.right.mean():.1%} right answers, metrics.json {said:.1%}; "
            "one of them is not of this run"
        )
    return result


def join_folds(runs: Sequence[FinishedRun]) -> Result:
    """All folds as one result; raises `DataError` when one is missing or cannot be joined."""
    runs = sorted(runs, key=lambda run: run.fold if run.fold is not None else -1)
    folds = runs[0].folds or 0
    missing = sorted(set(range(folds)) - {run.fold for run in runs})
    if missing:
        names = ", ".join(str(fold) for fold in missing)
        raise DataError(f"fold {names} of {folds} (counted from 0) {'is' if len(missing) == 1 else 'are'} missing")
    if len({run.types for run in runs}) > 1:
        raise DataError("its folds tell other types apart")
    parts = [result_of(run).answers for run in runs]
    if any(part is None for part in parts):
        raise DataError("a fold left no predictions.csv")
    try:
        answers = join_predictions(parts)
    except ValueError as error:
        raise DataError(f"its folds cannot be joined: {error}") from None
    return Result(tuple(runs), score_predictions(answers), answers)


def score_predictions(answers: RunPredictions) -> dict[str, Any]:
    """The figures of a run with their intervals over recordists, from answers on recordings of several folds."""
    import torch  # seconds, and only folds need it

    from birdnet_nl.evaluation.metrics import score_with_intervals

    probabilities, truth = torch.from_numpy(answers.probabilities).float(), torch.from_numpy(answers.truth)
    groups = np.unique(answers.groups, return_inverse=True)[1]
    return score_with_intervals(probabilities, truth, groups, answers.types)
