"""How far a figure could have come out otherwise: 95 % intervals from a bootstrap over recordists.

The draws give a standard error; the interval is made of it on the logit scale with Student's t for so many recordists.
Plain percentiles cover too little where recordists are few (benchmarks/interval_coverage.py).
"""

from collections.abc import Sequence

import numpy as np
from scipy.special import expit, logit
from scipy.stats import t

from birdnet_nl.evaluation.weighted_metrics import weighted_metrics

DRAWS = 2000
SHARE = 0.95
MIN_DRAWS = 100  # that must define a figure; with fewer nothing is known


def bootstrap_intervals(
    probabilities: np.ndarray,
    truth: np.ndarray,
    groups: np.ndarray,
    types: Sequence[str],
    draws: int = DRAWS,
    seed: int = 0,
) -> dict[str, list[float]]:
    """Figure -> [low, high] for answers [items, types], true types [items] and groups [items], 0 on without gaps.

    Groups are drawn whole, with replacement, as many as there are. A draw that lacks a type does not count for the
    figures that need it. Figures that the answers themselves do not define have no interval.
    """
    n_groups = int(groups.max()) + 1
    points = weighted_metrics(probabilities, truth, groups, types, np.ones((1, n_groups)))
    drawn = weighted_metrics(probabilities, truth, groups, types, draw_weights(n_groups, draws, seed))
    bases = _groups_behind(probabilities.argmax(axis=1), truth, groups, types)
    return {
        figure: list(interval(float(point[0]), drawn[figure], bases.get(figure, n_groups)))
        for figure, point in points.items()
        if np.isfinite(point[0])
    }


def draw_weights(n_groups: int, draws: int, seed: int) -> np.ndarray:
    """How often each group is drawn, with replacement, when as many are drawn as there are: [draws, groups]."""
    return np.random.default_rng(seed).multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=draws)


def interval(point: float, drawn: np.ndarray, n_groups: int) -> tuple[float, float]:
    """The interval of a figure between 0 and 1 from its draws (NaN where undefined) and the groups that it rests on.

    A figure that is the same in every draw, as 1 where all is right, gets Clopper and Pearson's bound for so many
    groups without an exception. A single group says nothing about others: [0, 1].
    """
    drawn = drawn[np.isfinite(drawn)]
    if n_groups < 2 or len(drawn) < MIN_DRAWS:
        return 0.0, 1.0
    error = float(drawn.std(ddof=1)) * np.sqrt(n_groups / (n_groups - 1))
    tail = (1 - SHARE) / 2
    if error < 1e-9:
        bound = float(tail ** (1 / n_groups))
        return point * bound, 1 - (1 - point) * bound
    centre = float(np.clip(point, 1e-3, 1 - 1e-3))
    reach = t.ppf(1 - tail, n_groups - 1) * error / (centre * (1 - centre))
    low, high = expit(logit(centre) + np.array([-reach, reach]))
    return min(float(low), point), max(float(high), point)


def _groups_behind(answers: np.ndarray, truth: np.ndarray, groups: np.ndarray, types: Sequence[str]) -> dict[str, int]:
    """How many groups a recall (those with the type) and a precision (those with the answer) rest on."""
    return {
        f"{figure}/{name}": len(np.unique(groups[kinds == kind]))
        for figure, kinds in (("recall", truth), ("precision", answers))
        for kind, name in enumerate(types)
    }
