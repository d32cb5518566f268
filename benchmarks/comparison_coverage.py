"""Coverage of the 95 % intervals of a comparison, on simulated runs with a known true difference.

Compared are plain percentiles, the widened percentiles of `birdnet_nl.comparison.statistics`, and Hodges–Lehmann.
"""

import argparse

import numpy as np
from scipy import stats

from birdnet_nl.comparison.pairing import Pair
from birdnet_nl.comparison.predictions import RunPredictions, balanced_accuracy, confusion
from birdnet_nl.comparison.results import Result
from birdnet_nl.comparison.statistics import difference_draws, hodges_lehmann, mean_estimate, percentile_interval

TYPES = ("song", "call", "alarm")
TRUE = (0.75, 0.70)  # balanced accuracy of the baseline and of the other set, over all recordists


def over_species(rng: np.random.Generator, simulations: int) -> None:
    """Print the coverage of the mean difference over species whose true mean is zero, for three distributions."""
    distributions = {
        "normal": lambda count: rng.normal(0, 1, count),
        "long tails, steps": lambda count: np.round(3 * rng.standard_t(5, count)) / 36,
        "skewed": lambda count: rng.gamma(2, 1, count) - 2,
    }
    print(f"{'species':>28}  plain percentiles    widened  Hodges–Lehmann")
    for name, draw in distributions.items():
        for count in (3, 5, 6, 8, 14, 40):
            covered = np.zeros(3)
            for number in range(simulations):
                values = draw(count)
                means = values[rng.integers(0, count, (2000, count))].mean(axis=1)
                estimates = (mean_estimate(values, seed=number), hodges_lehmann(values))
                intervals = [
                    np.quantile(means, [0.025, 0.975]),
                    *((estimate.low, estimate.high) for estimate in estimates),
                ]
                covered += [low is not None and low <= 0 <= high for low, high in intervals]
            print(
                f"{name:>20} {count:>7}  "
                + "  ".join(f"{share:>15.1%}" if share else " " * 14 + "–" for share in covered / simulations)
            )


def within_species(rng: np.random.Generator, splits: int) -> None:
    """Print the coverage for one species and seed; recordists have 1 to 8 recordings and a difficulty of their own."""
    print("\nrecordists  recordings  plain percentiles    widened")
    for recordists in (8, 15, 30, 60):
        covered, sizes = np.zeros(2), []
        for number in range(splits):
            baseline, other = simulate_predictions(rng, recordists)
            difference = float(balanced_accuracy(confusion(other)) - balanced_accuracy(confusion(baseline)))
            draws = difference_draws([Pair(Result((), {}, baseline), Result((), {}, other))], seed=number)
            drawn = draws.metrics["balanced_accuracy"]
            estimate = percentile_interval(difference, drawn, draws.recordists)
            intervals = (np.quantile(drawn, [0.025, 0.975]), (estimate.low, estimate.high))
            covered += [low <= TRUE[1] - TRUE[0] <= high for low, high in intervals]
            sizes.append(len(baseline.ids))
        shares = "  ".join(f"{share:>15.1%}" for share in covered / splits)
        print(f"{recordists:>10}  {np.mean(sizes):>10.0f}  {shares}")


def simulate_predictions(rng: np.random.Generator, recordists: int) -> tuple[RunPredictions, RunPredictions]:
    """Simulate the predictions of two sets on one test split; their errors are correlated."""
    counts = rng.integers(1, 9, recordists)
    recordist_of = np.repeat(np.arange(recordists), counts)
    truth = rng.integers(0, len(TYPES), len(recordist_of))
    shared, own = rng.normal(0, 0.6, recordists), rng.normal(0, 0.3, (2, recordists))
    shared_noise = rng.normal(0, 1, len(recordist_of))
    both = []
    for index, accuracy in enumerate(TRUE):
        noise = 0.8 * shared_noise + 0.6 * rng.normal(0, 1, len(recordist_of))
        std = np.sqrt(1 + 0.6**2 + 0.3**2)
        correct = noise + (shared + own[index])[recordist_of] < stats.norm.ppf(accuracy) * std
        wrong = (truth + rng.integers(1, len(TYPES), len(recordist_of))) % len(TYPES)
        both.append(
            RunPredictions(
                types=TYPES,
                ids=tuple(f"XC{number}" for number in range(len(recordist_of))),
                recordists=tuple(f"person {person}" for person in recordist_of),
                truth=truth,
                predicted=np.where(correct, truth, wrong),
                probabilities=np.empty((len(recordist_of), len(TYPES))),
            )
        )
    return both[0], both[1]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.comparison_coverage", description=__doc__)
    parser.add_argument("--simulations", type=int, default=1000, help="simulations over species (default 1000)")
    parser.add_argument("--splits", type=int, default=400, help="simulated test splits (default 400)")
    options = parser.parse_args()
    over_species(np.random.default_rng(1), options.simulations)
    within_species(np.random.default_rng(2), options.splits)


if __name__ == "__main__":
    main()
