"""Coverage of the 95 % intervals of a run's metrics, on simulated test splits with known true metrics.

Recordists have one to a dozen recordings, a preference for some types, and a bias of their own, as microphones and
places cause. The true metrics are those of 100,000 further recordings of the same distribution. Compared are plain
percentiles, percentiles widened for few recordists (Hesterberg 2015), BCa, and `birdnet_nl.evaluation.intervals`.
Takes half a minute.
"""

import argparse
from collections import defaultdict

import numpy as np
from scipy.stats import norm, t
from sklearn.metrics import average_precision_score, balanced_accuracy_score, f1_score, recall_score, roc_auc_score

from birdnet_nl.evaluation.intervals import DRAWS, draw_weights, interval, weighted_metrics

TYPES = ("song", "call", "alarm")
# Recordings, margin of the true type, standard deviation of the recordists' biases.
CASES = ((20, 1.5, 0.7), (20, 2.5, 0.7), (36, 1.5, 0.7), (36, 3.0, 0.7), (60, 1.5, 1.2), (150, 1.5, 0.7))
METRICS = ("balanced_accuracy", "macro_f1", "auroc", "average_precision", "recall/alarm")


def simulate_split(
    rng: np.random.Generator, recordings: int, margin: float, bias_std: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Simulate probabilities [recordings, types], true types and recordists; `margin` is added to the true logit."""
    truth, logits, groups = [], [], []
    while len(truth) < recordings:
        extra = rng.integers(0, 8) if rng.random() < 0.1 else 0
        size = min(recordings - len(truth), int(rng.geometric(0.45) + extra))
        true_types = rng.choice(len(TYPES), size=size, p=rng.dirichlet([0.8] * len(TYPES)))
        own_logits = rng.normal(0, 1, (size, len(TYPES))) + rng.normal(0, bias_std, len(TYPES))
        own_logits[np.arange(size), true_types] += margin
        groups += [groups[-1] + 1 if groups else 0] * size
        truth += true_types.tolist()
        logits.append(own_logits)
    odds = np.exp(np.concatenate(logits))
    return odds / odds.sum(axis=1, keepdims=True), np.array(truth), np.array(groups)


def true_metrics(rng: np.random.Generator, margin: float, bias_std: float, recordings: int) -> dict[str, float]:
    """Compute the metrics with scikit-learn on a large simulated split."""
    probabilities, truth, _ = simulate_split(rng, recordings, margin, bias_std)
    predicted, indices = probabilities.argmax(axis=1), range(len(TYPES))
    return {
        "balanced_accuracy": balanced_accuracy_score(truth, predicted),
        "macro_f1": f1_score(truth, predicted, average="macro"),
        "auroc": np.mean([roc_auc_score(truth == k, probabilities[:, k]) for k in indices]),
        "average_precision": np.mean([average_precision_score(truth == k, probabilities[:, k]) for k in indices]),
        "recall/alarm": recall_score(truth, predicted, average=None)[2],
    }


def candidates(point: float, drawn: np.ndarray, jackknife: np.ndarray, n_groups: int) -> dict[str, tuple[float, float]]:
    """Compute the interval of each method from bootstrap draws and jackknife values (NaN where undefined)."""
    drawn, jackknife = drawn[np.isfinite(drawn)], jackknife[np.isfinite(jackknife)]
    n_groups = max(2, n_groups)
    widened = norm.cdf(t.ppf(0.025, n_groups - 1) * np.sqrt(n_groups / (n_groups - 1)))
    influence = jackknife.mean() - jackknife
    acceleration = (influence**3).sum() / (6 * (influence**2).sum() ** 1.5 + 1e-300)
    below = ((drawn < point).mean() + (drawn <= point).mean()) / 2
    shift = norm.ppf(np.clip(below, 1e-4, 1 - 1e-4))
    shifted = [shift + norm.ppf(tail) for tail in (0.025, 0.975)]
    bca = [float(norm.cdf(shift + z / (1 - acceleration * z))) for z in shifted]
    return {
        "percentile": tuple(np.quantile(drawn, (0.025, 0.975))),
        "widened": tuple(np.quantile(drawn, (widened, 1 - widened))),
        "BCa": tuple(np.quantile(drawn, np.clip(np.nan_to_num(bca, nan=0.5), 0, 1))),
        "ours": interval(point, drawn, n_groups),
    }


def measure_case(recordings: int, margin: float, bias_std: float, splits: int, population: int = 100_000) -> None:
    """Print, for each metric and method, the share of intervals that contain the true metric, and their mean width."""
    rng = np.random.default_rng(1)
    true = true_metrics(rng, margin, bias_std, population)
    covered, width, recordists = defaultdict(list), defaultdict(list), []
    for number in range(splits):
        probabilities, truth, groups = simulate_split(rng, recordings, margin, bias_std)
        n_groups = int(groups.max()) + 1
        recordists.append(n_groups)
        weightings = (np.ones((1, n_groups)), draw_weights(n_groups, DRAWS, number), 1 - np.eye(n_groups))
        point, drawn, jackknife = (
            weighted_metrics(probabilities, truth, groups, TYPES, weights) for weights in weightings
        )
        for metric in METRICS:
            if np.isfinite(point[metric][0]):
                is_counted = truth == TYPES.index("alarm") if metric == "recall/alarm" else truth >= 0
                n_counted = len(np.unique(groups[is_counted]))
                intervals = candidates(point[metric][0], drawn[metric], jackknife[metric], n_counted)
                for method, (low, high) in intervals.items():
                    covered[metric, method].append(low - 1e-9 <= true[metric] <= high + 1e-9)
                    width[metric, method].append(high - low)
    print(f"\n{recordings} recordings by about {np.mean(recordists):.0f} recordists, margin {margin}")
    for metric in METRICS:
        shares = "   ".join(
            f"{method} {np.mean(covered[metric, method]):4.0%} ({np.mean(width[metric, method]):.2f})"
            for method in ("percentile", "widened", "BCa", "ours")
        )
        print(f"  {metric:<18} true {true[metric]:.2f}   {shares}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.interval_coverage", description=__doc__)
    parser.add_argument("--splits", type=int, default=200, help="simulated test splits of each case (default 200)")
    splits = parser.parse_args().splits
    print(f"{splits} splits, {DRAWS} draws each: share of intervals that contain the true metric (mean width)")
    with np.errstate(all="ignore"):
        for case in CASES:
            measure_case(*case, splits)


if __name__ == "__main__":
    main()
