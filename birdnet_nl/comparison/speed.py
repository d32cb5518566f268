"""Training speed of one parameter set relative to another, from runs on the same machine."""

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
    """Speed-up (baseline's seconds divided by the other's) as geometric means; above 1 the other set is faster.

    Attributes:
        train: of the training; total: of the whole run; per_epoch: of an epoch; per_segment: of a training segment in
            an epoch. None where no run reports it.
        by_species: `train` for each species.
        elsewhere: number of pairs that are ignored because their two runs used different machines.
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
    same_machine = [
        (baseline, other)
        for baseline, other in pairs
        if not (baseline.machine and other.machine) or baseline.machine == other.machine
    ]
    trained = _log_ratios(same_machine, lambda run: run.seconds.get("train"))
    return Speed(
        pairs=sum(len(values) for values in trained.values()),
        species=len(trained),
        train=_speed_up(trained),
        total=_speed_up(_log_ratios(same_machine, lambda run: run.seconds.get("total"))),
        per_epoch=_speed_up(_log_ratios(same_machine, seconds_per_epoch)),
        per_segment=_speed_up(_log_ratios(same_machine, seconds_per_segment)),
        by_species={subject: math.exp(np.mean(values)) for subject, values in trained.items()},
        elsewhere=len(pairs) - len(same_machine),
    )


def seconds_per_epoch(run: FinishedRun) -> float | None:
    seconds = run.seconds.get("train")
    return seconds / run.epochs if seconds and run.epochs else None


def seconds_per_segment(run: FinishedRun) -> float | None:
    """Return the seconds per training segment and epoch, including validation."""
    seconds = seconds_per_epoch(run)
    return seconds / run.training_segments if seconds and run.training_segments else None


def _log_ratios(pairs: Sequence[RunPair], value: Callable[[FinishedRun], float | None]) -> dict[str, list[float]]:
    """Compute the logarithm of the ratio, by species."""
    logs = defaultdict(list)
    for baseline, other in pairs:
        before, after = value(baseline), value(other)
        if before and after:
            logs[baseline.subject].append(math.log(before / after))
    return dict(logs)


def _speed_up(logs: Mapping[str, Sequence[float]]) -> Estimate | None:
    """Average over species means, or over single pairs where there are too few species for an interval."""
    if not logs:
        return None
    if len(logs) >= MIN_FOR_INTERVAL:
        estimate = mean_estimate([float(np.mean(values)) for values in logs.values()])
    else:
        estimate = mean_estimate([value for values in logs.values() for value in values], "pairs of runs")
    return estimate.transform(math.exp)
