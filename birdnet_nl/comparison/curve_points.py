"""Points of a learning curve: runs with `data.training_share`, joined by size, with intervals over recordists."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from birdnet_nl.comparison.finished_runs import FinishedRun
from birdnet_nl.comparison.learning_curve import TARGET, Estimate, estimate
from birdnet_nl.comparison.predictions import RunPredictions, read_run_predictions
from birdnet_nl.evaluation.intervals import draw_weights, interval, weighted_metrics
from birdnet_nl.util.errors import DataError

KEY = "data.training_share"
DECISIVE = "balanced_accuracy"
METRICS = (DECISIVE, "auroc")
DRAWS = 300  # each with two fits for every metric


@dataclass(frozen=True)
class Point:
    """Metrics at one size, joined over folds and seeds.

    Attributes:
        recordings: training recordings of one type, the mean over the runs.
        values, intervals: by metric, per test recording, with 95 % intervals over recordists.
    """

    share: float
    recordings: float
    runs: int
    values: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class LearningCurve:
    """Learning curve of a species, or of a pool of species, with one parameter set.

    Attributes:
        total: usable recordings of one type that there are, by type, in all splits.
        points: by size, the smallest first.
        estimates: by metric; only that of `balanced_accuracy` has a target.
        left_out: runs (as text) that could not be used, because others of the same fold and seed are missing.
    """

    species: str
    dutch: str
    parameter_set: str
    synthetic: bool
    types: tuple[str, ...]
    total: Mapping[str, int]
    points: tuple[Point, ...]
    estimates: Mapping[str, Estimate]
    left_out: tuple[str, ...] = field(default=())

    @property
    def decisive(self) -> Estimate:
        return self.estimates[DECISIVE]

    @property
    def training_recordings(self) -> float:
        """Training recordings at share 1, also where only smaller shares were measured."""
        return self.points[-1].recordings / self.points[-1].share

    @property
    def total_per_training(self) -> float:
        """All recordings for one in the training split."""
        return sum(self.total.values()) / self.training_recordings


def learning_curves(runs: Sequence[FinishedRun], target: float = TARGET, draws: int = DRAWS) -> list[LearningCurve]:
    """Make a curve of each species and parameter set among `runs`; runs without a training share are ignored.

    Raises `DataError` where there is none, or where the runs of a species are not about the same test recordings.
    """
    by_case: dict[tuple[str, str], list[FinishedRun]] = defaultdict(list)
    for run in runs:
        if share_of(run) is not None:
            by_case[run.subject, run.parameter_set].append(run)
    if not by_case:
        raise DataError(f"no finished run with {KEY}; measure some with birdnet-nl curve <species>")
    return [_curve(case, target, draws) for _, case in sorted(by_case.items())]


def share_of(run: FinishedRun) -> float | None:
    """Return the share of the training split that a run was trained on; None for a usual run."""
    for override in run.variant:
        key, _, value = override.partition("=")
        if key.lstrip("+") == KEY:
            try:
                return float(value)
            except ValueError:  # null
                return None
    return None


def _curve(runs: Sequence[FinishedRun], target: float, draws: int) -> LearningCurve:
    by_share: dict[float, dict[tuple, FinishedRun]] = defaultdict(dict)
    for run in runs:
        by_share[share_of(run)][run.fold or 0, run.seed] = run
    shares = sorted(by_share)
    complete = sorted(set.intersection(*(set(cells) for cells in by_share.values())))
    first = runs[0]
    if not complete:
        raise DataError(
            f"{first.subject}: no fold and seed is finished with each of the shares {', '.join(map(str, shares))}; "
            "run the same command again"
        )
    left_out = tuple(
        f"share {share:g}, fold {fold}, seed {seed}"
        for share in shares
        for fold, seed in sorted(set(by_share[share]) - set(complete))
    )
    joined = [_join([by_share[share][cell] for cell in complete], first.subject) for share in shares]
    for other in joined[1:]:
        if (other.ids, other.types) != (joined[0].ids, joined[0].types) or (other.truth != joined[0].truth).any():
            raise DataError(
                f"{first.subject}: its runs have different test recordings or types, so they are no curve; run the "
                "same command again"
            )
    groups = np.unique(joined[0].groups, return_inverse=True)[1]
    weights = draw_weights(int(groups.max()) + 1, draws, seed=0)
    points, values, drawn = [], defaultdict(list), defaultdict(list)
    for share, predictions in zip(shares, joined, strict=True):
        exact, resampled = (
            weighted_metrics(predictions.probabilities, predictions.truth, groups, predictions.types, part)
            for part in (np.ones((1, weights.shape[1])), weights)
        )
        for name in METRICS:
            values[name].append(float(exact[name][0]))
            drawn[name].append(resampled[name])
        cells = [by_share[share][cell] for cell in complete]
        points.append(
            Point(
                share=share,
                recordings=float(np.mean([_counts(run)["train"].total() for run in cells])),
                runs=len(cells),
                values={name: values[name][-1] for name in METRICS},
                intervals={
                    name: interval(values[name][-1], resampled[name], weights.shape[1])
                    for name in METRICS
                },
            )
        )  # fmt: skip
    sizes = [point.recordings for point in points]
    return LearningCurve(
        species=first.subject,
        dutch=first.dutch,
        parameter_set=first.parameter_set,
        synthetic=first.synthetic,
        types=first.types,
        total=_total([by_share[shares[-1]][cell] for cell in complete], shares[-1]),
        points=tuple(points),
        estimates={
            name: estimate(sizes, values[name], np.array(drawn[name]).T, target if name == DECISIVE else None)
            for name in METRICS
        },
        left_out=left_out,
    )


def _join(runs: Sequence[FinishedRun], subject: str) -> RunPredictions:
    """Join the predictions of runs one after the other; a recording occurs once per seed."""
    parts = [read_run_predictions(run.folder, run.types) for run in runs]
    if any(part is None for part in parts):
        raise DataError(f"{subject}: a run has no predictions.csv; run the same command again")
    if len({part.types for part in parts}) > 1:
        raise DataError(f"{subject}: its runs have different types; give data.types=[…] that every fold has")
    return RunPredictions(
        types=parts[0].types,
        ids=tuple(id for part in parts for id in part.ids),
        recordists=tuple(name for part in parts for name in part.recordists),
        truth=np.concatenate([part.truth for part in parts]),
        predicted=np.concatenate([part.predicted for part in parts]),
        probabilities=np.concatenate([part.probabilities for part in parts]),
    )


def _counts(run: FinishedRun) -> dict[str, Counter]:
    recordings = (run.report.get("counts") or {}).get("recordings") or {}
    return {split: Counter(recordings.get(split) or {}) for split in ("train", "val", "test")}


def _total(runs: Sequence[FinishedRun], share: float) -> dict[str, int]:
    """Usable recordings of each type in all splits, the mean over `runs`, scaled up where `share` is below 1."""
    counts = [_counts(run) for run in runs]
    return {
        name: round(float(np.mean([c["train"][name] / share + c["val"][name] + c["test"][name] for c in counts])))
        for name in runs[0].types
    }
