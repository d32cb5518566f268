"""Every figure for many weightings of the same answers at once: what a bootstrap needs, without a loop over draws.

Weights belong to groups (recordists), an item's weight is that of its group. Counts are then a product of the weights
with per-group counts, and AUROC is a ratio of two quadratic forms in the weights.
"""

from collections.abc import Sequence

import numpy as np

DRAWS_AT_ONCE = 4_000_000  # draws × items held in memory by `_average_precision`


def weighted_figures(
    probabilities: np.ndarray, truth: np.ndarray, groups: np.ndarray, types: Sequence[str], weights: np.ndarray
) -> dict[str, np.ndarray]:
    """Each figure for each weighting: [items, types], [items], [items], [draws, groups] -> {figure: [draws]}.

    `groups` holds indices into the columns of `weights`. A figure is NaN in a draw that does not define it: recall,
    AUROC and average precision where a type has weight 0, precision where it is never answered. An answer is the first
    of the largest probabilities.
    """
    n_types, n_groups = len(types), weights.shape[1]
    counts = np.zeros((n_groups, n_types, n_types))  # per group, true type, answer
    np.add.at(counts, (groups, truth, probabilities.argmax(axis=1)), 1)
    weights = weights.astype(np.float64)
    confusion = (weights @ counts.reshape(n_groups, -1)).reshape(-1, n_types, n_types)
    right = np.einsum("dkk->dk", confusion)
    true_count, answer_count = confusion.sum(axis=2), confusion.sum(axis=1)  # [draws, types]
    recall, precision = _ratio(right, true_count), _ratio(right, answer_count)
    f1 = _ratio(2 * right, true_count + answer_count)
    f1[(true_count == 0).any(axis=1)] = np.nan
    auroc = np.stack([_auroc(probabilities[:, k], truth == k, groups, weights) for k in range(n_types)], axis=1)
    average_precision = np.stack(
        [_average_precision(probabilities[:, k], truth == k, groups, weights) for k in range(n_types)], axis=1
    )
    return {
        "balanced_accuracy": recall.mean(axis=1),
        "macro_f1": f1.mean(axis=1),
        "accuracy": right.sum(axis=1) / true_count.sum(axis=1),
        "auroc": auroc.mean(axis=1),
        "average_precision": average_precision.mean(axis=1),
        **{f"recall/{name}": recall[:, k] for k, name in enumerate(types)},
        **{f"precision/{name}": precision[:, k] for k, name in enumerate(types)},
    }


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)


def _auroc(scores: np.ndarray, positive: np.ndarray, groups: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Chance that a positive item scores above a negative one, ties half: [items] ×3, [draws, groups] -> [draws]."""
    n_groups = weights.shape[1]
    negative_scores = scores[~positive]
    order = negative_scores.argsort(kind="stable")
    # How many of the lowest negatives lie below (or at) each positive, told apart by the negative's group:
    cumulated = np.zeros((len(order) + 1, n_groups), dtype=np.float32)
    cumulated[np.arange(1, len(order) + 1), groups[~positive][order]] = 1
    cumulated = cumulated.cumsum(axis=0, dtype=np.float32)
    ranked = negative_scores[order]
    wins = cumulated[np.searchsorted(ranked, scores[positive], side="left")]
    wins = (wins + cumulated[np.searchsorted(ranked, scores[positive], side="right")]) / 2  # [positives, groups]
    pairs = np.zeros((n_groups, n_groups))  # [group of the positive, group of the negative]
    np.add.at(pairs, groups[positive], wins)
    won = np.einsum("dg,dg->d", weights @ pairs, weights)
    positives = weights @ np.bincount(groups[positive], minlength=n_groups)
    negatives = weights @ np.bincount(groups[~positive], minlength=n_groups)
    return _ratio(won, positives * negatives)


def _average_precision(scores: np.ndarray, positive: np.ndarray, groups: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean over positive items of the precision among all that score at least as much; shapes as in `_auroc`."""
    order = (-scores).argsort(kind="stable")
    ranked, hits, of_group = -scores[order], positive[order], groups[order]
    last_of_tie = np.searchsorted(ranked, ranked[hits], side="right") - 1  # [positives]
    values = []
    for part in np.array_split(weights, max(1, len(weights) * len(scores) // DRAWS_AT_ONCE)):
        each = part[:, of_group]  # [draws, items], from the highest score down
        found = (each * hits).cumsum(axis=1)[:, last_of_tie]
        precision = _ratio(found, each.cumsum(axis=1)[:, last_of_tie])
        weight = each[:, hits]
        values.append(_ratio(np.where(weight > 0, weight * precision, 0).sum(axis=1), weight.sum(axis=1)))
    return np.concatenate(values)
