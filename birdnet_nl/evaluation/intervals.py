"""Confidence intervals of metrics: 95 % intervals from a bootstrap over recordists.

The bootstrap gives a standard error, and the interval follows from it on the logit scale with Student's t for the
number of recordists. Plain percentiles cover too little with few recordists (benchmarks/interval_coverage.py).

Metrics are computed for all draws at once, as weightings of the same predictions. Weights belong to groups
(recordists); an item has the weight of its group. Counts are then a product of the weights with counts per group, and
ranking metrics follow from cumulative sums along one order. torchmetrics, which computes the metrics themselves, has no
such weights.
"""

from collections.abc import Sequence

import numpy as np
from scipy.special import expit, logit
from scipy.stats import t

DRAWS = 2000
LEVEL = 0.95
MIN_DRAWS = 100  # in which a metric is defined; with fewer, its interval is 0 to 1
MAX_WEIGHTS = 2_000_000  # draws × items in memory at once


def bootstrap_intervals(
    probabilities: np.ndarray,
    truth: np.ndarray,
    groups: np.ndarray,
    types: Sequence[str],
    draws: int = DRAWS,
    seed: int = 0,
) -> dict[str, list[float]]:
    """Compute metric -> [low, high] from predictions [items, types], true types [items] and groups [items] from 0 on.

    As many whole groups as there are, are drawn with replacement. A draw without a type does not count for metrics that
    need it. Metrics that the predictions do not define have no interval.
    """
    n_groups = int(groups.max()) + 1
    points = weighted_metrics(probabilities, truth, groups, types, np.ones((1, n_groups)))
    drawn = weighted_metrics(probabilities, truth, groups, types, draw_weights(n_groups, draws, seed))
    supports = _supporting_groups(probabilities.argmax(axis=1), truth, groups, types)
    return {
        metric: list(interval(float(point[0]), drawn[metric], supports.get(metric, n_groups)))
        for metric, point in points.items()
        if np.isfinite(point[0])
    }


def draw_weights(n_groups: int, draws: int, seed: int) -> np.ndarray:
    """Draw all groups with replacement and count how often each is drawn: [draws, groups]."""
    return np.random.default_rng(seed).multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=draws)


def interval(point: float, drawn: np.ndarray, n_groups: int) -> tuple[float, float]:
    """Compute the interval of a metric between 0 and 1 from its draws (NaN where undefined) over `n_groups`.

    A metric that is equal in every draw, such as 1 when all is correct, gets the Clopper–Pearson bound for as many
    groups without an exception. A single group gives no information about others: [0, 1].
    """
    drawn = drawn[np.isfinite(drawn)]
    if n_groups < 2 or len(drawn) < MIN_DRAWS:
        return 0.0, 1.0
    error = float(drawn.std(ddof=1)) * np.sqrt(n_groups / (n_groups - 1))
    tail = (1 - LEVEL) / 2
    if error < 1e-9:
        bound = float(tail ** (1 / n_groups))
        return point * bound, 1 - (1 - point) * bound
    centre = float(np.clip(point, 1e-3, 1 - 1e-3))
    reach = t.ppf(1 - tail, n_groups - 1) * error / (centre * (1 - centre))
    low, high = expit(logit(centre) + np.array([-reach, reach]))
    return min(float(low), point), max(float(high), point)


def _supporting_groups(
    predicted: np.ndarray, truth: np.ndarray, groups: np.ndarray, types: Sequence[str]
) -> dict[str, int]:
    """Count the groups behind each recall (with the true type) and precision (with the predicted type)."""
    return {
        f"{metric}/{name}": len(np.unique(groups[labels == index]))
        for metric, labels in (("recall", truth), ("precision", predicted))
        for index, name in enumerate(types)
    }


def weighted_metrics(
    probabilities: np.ndarray, truth: np.ndarray, groups: np.ndarray, types: Sequence[str], weights: np.ndarray
) -> dict[str, np.ndarray]:
    """Compute all metrics for each weighting: [items, types], [items], [items], [draws, groups] -> {metric: [draws]}.

    `groups` contains indices into the columns of `weights`. A metric is NaN in a draw that does not define it: recall,
    AUROC and average precision where a type has weight 0, precision where it is never predicted. The first of equal
    largest probabilities is the prediction.
    """
    n_types, n_groups = len(types), weights.shape[1]
    counts = np.zeros((n_groups, n_types, n_types))  # per group, true type, predicted type
    np.add.at(counts, (groups, truth, probabilities.argmax(axis=1)), 1)
    weights = weights.astype(np.float64)
    confusion = (weights @ counts.reshape(n_groups, -1)).reshape(-1, n_types, n_types)
    recall, precision, f1 = class_metrics(confusion)  # [draws, types] each
    f1[(confusion.sum(axis=2) == 0).any(axis=1)] = np.nan
    ranked = [_ranking_metrics(probabilities[:, k], truth == k, groups, weights) for k in range(n_types)]
    auroc, average_precision = np.stack(ranked).transpose(1, 2, 0)  # [draws, types] each
    return {
        "balanced_accuracy": recall.mean(axis=1),
        "macro_f1": f1.mean(axis=1),
        "accuracy": np.einsum("dkk->dk", confusion).sum(axis=1) / confusion.sum(axis=2).sum(axis=1),
        "auroc": auroc.mean(axis=1),
        "average_precision": average_precision.mean(axis=1),
        **{f"recall/{name}": recall[:, k] for k, name in enumerate(types)},
        **{f"precision/{name}": precision[:, k] for k, name in enumerate(types)},
    }


def class_metrics(confusion: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute recall, precision and F1, [..., types] each, from counts [..., true type, predicted type].

    Recall is NaN for a type that does not occur, precision for one that is never predicted, F1 for one that is neither.
    """
    correct = np.einsum("...kk->...k", confusion)
    true_count, predicted_count = confusion.sum(axis=-1), confusion.sum(axis=-2)
    return (
        _ratio(correct, true_count),
        _ratio(correct, predicted_count),
        _ratio(2 * correct, true_count + predicted_count),
    )


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    return np.divide(numerator, denominator, out=np.full(numerator.shape, np.nan), where=denominator > 0)


def _ranking_metrics(
    scores: np.ndarray, positive: np.ndarray, groups: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Compute AUROC and average precision of one type against the rest: [items] × 3, [draws, groups] -> [draws] × 2.

    AUROC is the probability that a positive item scores above a negative one, with ties as one half. Average precision
    is the mean over positive items of the precision among all items that score at least as high.
    """
    order = (-scores).argsort(kind="stable")  # from the highest score down
    ranked, hits, ranked_groups = -scores[order], positive[order], groups[order]
    first, last = (np.searchsorted(ranked, ranked[hits], side=side) for side in ("left", "right"))  # ends of ties
    auroc, average_precision = [], []
    for part in np.array_split(weights, max(1, len(weights) * len(scores) // MAX_WEIGHTS)):
        item_weights = part[:, ranked_groups]  # [draws, items]
        above = np.zeros((len(part), len(scores) + 1))
        np.cumsum(item_weights, axis=1, out=above[:, 1:])  # weight of the items before each position
        hits_above = np.zeros_like(above)
        np.cumsum(item_weights * hits, axis=1, out=hits_above[:, 1:])
        weight, total, total_hits = item_weights[:, hits], above[:, -1:], hits_above[:, -1:]
        misses_above = above - hits_above
        lost = (misses_above[:, first] + misses_above[:, last]) / 2  # [draws, positives]
        pairs = total_hits * (total - total_hits)
        auroc.append(1 - _ratio((weight * lost).sum(axis=1), pairs[:, 0]))
        precision = _ratio(hits_above[:, last], above[:, last])
        gained = np.where(weight > 0, weight * precision, 0).sum(axis=1)
        average_precision.append(_ratio(gained, total_hits[:, 0]))
    return np.concatenate(auroc), np.concatenate(average_precision)
