"""Every figure for many weightings of the same answers at once: what a bootstrap needs, without a loop over draws.

Weights belong to groups (recordists), an item's weight is that of its group. Counts are then a product of the weights
with per-group counts, and what depends on an order is summed once along it, for all draws.
"""

from collections.abc import Sequence

import numpy as np

WEIGHTS_AT_ONCE = 2_000_000  # draws × items held in memory


def weighted_metrics(
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
    ranked = [_ranking_figures(probabilities[:, k], truth == k, groups, weights) for k in range(n_types)]
    auroc, average_precision = np.stack(ranked).transpose(1, 2, 0)  # [draws, types] each
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


def _ranking_figures(
    scores: np.ndarray, positive: np.ndarray, groups: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """AUROC and average precision of one type against the rest: [items] three times, [draws, groups] -> [draws] twice.

    AUROC is the chance that a positive item scores above a negative one, ties half. Average precision is the mean over
    positive items of the precision among all that score at least as much.
    """
    order = (-scores).argsort(kind="stable")  # from the highest score down
    ranked, hits, of_group = -scores[order], positive[order], groups[order]
    first, last = (np.searchsorted(ranked, ranked[hits], side=side) for side in ("left", "right"))  # ends of ties
    auroc, average_precision = [], []
    for part in np.array_split(weights, max(1, len(weights) * len(scores) // WEIGHTS_AT_ONCE)):
        each = part[:, of_group]  # [draws, items]
        above = np.zeros((len(part), len(scores) + 1))
        np.cumsum(each, axis=1, out=above[:, 1:])  # weight of the items before each place
        hits_above = np.zeros_like(above)
        np.cumsum(each * hits, axis=1, out=hits_above[:, 1:])
        weight, total, total_hits = each[:, hits], above[:, -1:], hits_above[:, -1:]
        misses_above = above - hits_above
        lost = (misses_above[:, first] + misses_above[:, last]) / 2  # [draws, positives]
        pairs = total_hits * (total - total_hits)
        auroc.append(1 - _ratio((weight * lost).sum(axis=1), pairs[:, 0]))
        precision = _ratio(hits_above[:, last], above[:, last])
        found = np.where(weight > 0, weight * precision, 0).sum(axis=1)
        average_precision.append(_ratio(found, total_hits[:, 0]))
    return np.concatenate(auroc), np.concatenate(average_precision)
