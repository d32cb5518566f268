"""How often a 95 % interval holds the true figure: `python benchmarks/interval_coverage.py`, half a minute.

Test splits are made up: recordists with one to a dozen recordings, each with a taste for some types and a bias of its
own, as microphones and places give. The true figures are those of 100,000 further recordings of the same kind. Compared
are plain percentiles, percentiles widened for few recordists (Hesterberg 2015), BCa, and what
`birdnet_nl.evaluation.intervals` does.
"""

import argparse
from collections import defaultdict

import numpy as np
from scipy.stats import norm, t
from sklearn.metrics import average_precision_score, balanced_accuracy_score, f1_score, recall_score, roc_auc_score

from birdnet_nl.evaluation.intervals import DRAWS, draw_weights, interval
from birdnet_nl.evaluation.weighted_metrics import weighted_metrics

TYPES = ("song", "call", "alarm")
CASES = ((20, 1.5, 0.7), (20, 2.5, 0.7), (36, 1.5, 0.7), (36, 3.0, 0.7), (60, 1.5, 1.2), (150, 1.5, 0.7))
FIGURES = ("balanced_accuracy", "macro_f1", "auroc", "average_precision", "recall/alarm")


def make_split(
    rng: np.random.Generator, recordings: int, skill: float, spread: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Answers [recordings, types], true types and recordists; `skill` favours the true type, `spread` is of biases."""
    truth, logits, groups = [], [], []
    while len(truth) < recordings:
        many = rng.integers(0, 8) if rng.random() < 0.1 else 0
        size = min(recordings - len(truth), int(rng.geometric(0.45) + many))
        kinds = rng.choice(len(TYPES), size=size, p=rng.dirichlet([0.8] * len(TYPES)))
        theirs = rng.normal(0, 1, (size, len(TYPES))) + rng.normal(0, spread, len(TYPES))
        theirs[np.arange(size), kinds] += skill
        groups += [groups[-1] + 1 if groups else 0] * size
        truth += kinds.tolist()
        logits.append(theirs)
    shares = np.exp(np.concatenate(logits))
    return shares / shares.sum(axis=1, keepdims=True), np.array(truth), np.array(groups)


def true_figures(rng: np.random.Generator, skill: float, spread: float) -> dict[str, float]:
    probabilities, truth, _ = make_split(rng, 100_000, skill, spread)
    answers, kinds = probabilities.argmax(axis=1), range(len(TYPES))
    return {
        "balanced_accuracy": balanced_accuracy_score(truth, answers),
        "macro_f1": f1_score(truth, answers, average="macro"),
        "auroc": np.mean([roc_auc_score(truth == k, probabilities[:, k]) for k in kinds]),
        "average_precision": np.mean([average_precision_score(truth == k, probabilities[:, k]) for k in kinds]),
        "recall/alarm": recall_score(truth, answers, average=None)[2],
    }


def candidates(point: float, drawn: np.ndarray, jackknife: np.ndarray, n_groups: int) -> dict[str, tuple[float, float]]:
    drawn, jackknife = drawn[np.isfinite(drawn)], jackknife[np.isfinite(jackknife)]
    n_groups = max(2, n_groups)
    widened = norm.cdf(t.ppf(0.025, n_groups - 1) * np.sqrt(n_groups / (n_groups - 1)))
    pull = jackknife.mean() - jackknife
    acceleration = (pull**3).sum() / (6 * (pull**2).sum() ** 1.5 + 1e-300)
    below = ((drawn < point).mean() + (drawn <= point).mean()) / 2
    shift = norm.ppf(np.clip(below, 1e-4, 1 - 1e-4))
    moved = [shift + norm.ppf(tail) for tail in (0.025, 0.975)]
    bca = [float(norm.cdf(shift + z / (1 - acceleration * z))) for z in moved]
    return {
        "percentile": tuple(np.quantile(drawn, (0.025, 0.975))),
        "widened": tuple(np.quantile(drawn, (widened, 1 - widened))),
        "BCa": tuple(np.quantile(drawn, np.clip(np.nan_to_num(bca, nan=0.5), 0, 1))),
        "ours": interval(point, drawn, n_groups),
    }


def main(splits: int) -> None:
    print(f"{splits} splits, {DRAWS} draws each: share of intervals that hold the true figure (mean width)")
    for recordings, skill, spread in CASES:
        rng = np.random.default_rng(1)
        true = true_figures(rng, skill, spread)
        held, width, recordists = defaultdict(list), defaultdict(list), []
        for number in range(splits):
            probabilities, truth, groups = make_split(rng, recordings, skill, spread)
            n_groups = int(groups.max()) + 1
            recordists.append(n_groups)
            weightings = (np.ones((1, n_groups)), draw_weights(n_groups, DRAWS, number), 1 - np.eye(n_groups))
            point, drawn, jackknife = (
                weighted_metrics(probabilities, truth, groups, TYPES, weights) for weights in weightings
            )
            for figure in FIGURES:
                if np.isfinite(point[figure][0]):
                    of_type = truth == TYPES.index("alarm") if figure == "recall/alarm" else truth >= 0
                    n_behind = len(np.unique(groups[of_type]))
                    found = candidates(point[figure][0], drawn[figure], jackknife[figure], n_behind)
                    for method, (low, high) in found.items():
                        held[figure, method].append(low - 1e-9 <= true[figure] <= high + 1e-9)
                        width[figure, method].append(high - low)
        print(f"\n{recordings} recordings by about {np.mean(recordists):.0f} recordists, skill {skill}")
        for figure in FIGURES:
            shares = "   ".join(
                f"{method} {np.mean(held[figure, method]):4.0%} ({np.mean(width[figure, method]):.2f})"
                for method in ("percentile", "widened", "BCa", "ours")
            )
            print(f"  {figure:<18} true {true[figure]:.2f}   {shares}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--splits", type=int, default=200)
    with np.errstate(all="ignore"):
        main(parser.parse_args().splits)
