"""How much faster one parameter set trains than another, from runs on the same machine."""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from birdnet_nl.comparison.finished_runs import FinishedRun
from birdnet_nl.comparison.statistics import MIN_FOR_INTERVAL, Estimate, mean_estimate

RunPair = tuple[FinishedRun, FinishedRun]  # of the baseline and of the other set


@dataclass(frozen=True)
class Speed:
    """Times as fast (baseline's seconds divided by the other's), geometric means; above 1 the other set is faster.

    Attributes:
        train: seconds of training; total: of the whole run; per_epoch: of an epoch; per_segment: of a training segment
            in an epoch. None where no run says.
        by_species: `train` for each species.
        elsewhere: pairs not counted because their two runs were made on different machines.
    """

    pairs: int
    species: int
    train: Estimate | None
    total: Estimate | None
    per_epoch: Estimate | None
    per_segment: Estimate | None
    by_species: Mapping[str, float]
    elsewhere: int


def compare_speed(pairs: Sequence[RunPair]) -> Speed:
    here = [(one, two) for one, two in pairs if not (one.machine and two.machine) or one.machine == two.machine]
    trained = _logs(here, lambda run: run.seconds.get("train"))
    return Speed(
        pairs=sum(len(values) for values in trained.values()),
        species=len(trained),
        train=_ratio(trained),
        total=_ratio(_logs(here, lambda run: run.seconds.get("total"))),
        per_epoch=_ratio(_logs(here, seconds_per_epoch)),
        per_segment=_ratio(_logs(here, seconds_per_segment)),
        by_species={subject: math.exp(np.mean(values)) for subject, values in trained.items()},
        elsewhere=len(pairs) - len(here),
    )


def seconds_per_epoch(run: FinishedRun) -> float | None:
    seconds = run.seconds.get("train")
    return seconds / run.epochs if seconds and run.epochs else None


def seconds_per_segment(run: FinishedRun) -> float | None:
    """Of one training segment in one epoch, validation included."""
    seconds = seconds_per_epoch(run)
    return seconds / run.training_segments if seconds and run.training_segments else None


def _logs(pairs: Sequence[RunPair], value: Callable[[FinishedRun], float | None]) -> dict[str, list[float]]:
    """Logarithm of the ratio, by species."""
    logs = defaultdict(list)
    for one, two in pairs:
        first, second = value(one), value(two)
        if first and second:
            logs[one.subject].append(math.log(first / second))
    return dict(logs)


def _ratio(logs: Mapping[str, Sequence[float]]) -> Estimate | None:
    """Over species, each first averaged; over single pairs where there are too few species for an interval."""
    if not logs:
        return None
    if len(logs) >= MIN_FOR_INTERVAL:
        estimate = mean_estimate([float(np.mean(values)) for values in logs.values()])
    else:
        estimate = mean_estimate([value for values in logs.values() for value in values], "pairs of runs")
    return estimate.changed(math.exp)
