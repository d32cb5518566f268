"""How often the 95 % intervals of a comparison hold the truth, where the truth is known because it is made up.

python benchmarks/comparison_coverage.py
"""

import numpy as np
from scipy import stats

from birdnet_nl.comparison.bootstrap import difference_draws
from birdnet_nl.comparison.pairing import Pair
from birdnet_nl.comparison.predictions import RunPredictions, balanced_accuracy, confusion
from birdnet_nl.comparison.results import Result
from birdnet_nl.comparison.statistics import hodges_lehmann, mean_estimate, percentile_interval

TYPES = ("song", "call", "alarm")
SIMULATIONS, SPLITS = 1000, 400
TRUE = (0.75, 0.70)  # balanced accuracy of the baseline and of the other set, over all recordists


def over_species(rng: np.random.Generator) -> None:
    """Differences of species drawn around zero: evenly spread, with long tails and in steps, lopsided."""
    shapes = {
        "normal": lambda count: rng.normal(0, 1, count),
        "long tails, steps": lambda count: np.round(3 * rng.standard_t(5, count)) / 36,
        "lopsided": lambda count: rng.gamma(2, 1, count) - 2,
    }
    print(f"{'species':>28}  plain percentiles  moved out  Hodges–Lehmann")
    for name, draw in shapes.items():
        for count in (3, 5, 6, 8, 14, 40):
            held = np.zeros(3)
            for number in range(SIMULATIONS):
                values = draw(count)
                plain = values[rng.integers(0, count, (2000, count))].mean(axis=1)
                ends = [np.quantile(plain, [0.025, 0.975])]
                ends += [
                    (found.low, found.high) for found in (mean_estimate(values, seed=number), hodges_lehmann(values))
                ]
                held += [low is not None and low <= 0 <= high for low, high in ends]
            print(
                f"{name:>20} {count:>7}  "
                + "  ".join(f"{share:>15.1%}" if share else " " * 14 + "–" for share in held / SIMULATIONS)
            )


def within_species(rng: np.random.Generator) -> None:
    """One species, one seed: recordists of 1 to 8 recordings and of their own difficulty for each set."""
    print("\nrecordists  recordings  plain percentiles  moved out")
    for recordists in (8, 15, 30, 60):
        held, sizes = np.zeros(2), []
        for number in range(SPLITS):
            one, two = _answers(rng, recordists)
            value = float(balanced_accuracy(confusion(two)) - balanced_accuracy(confusion(one)))
            draws = difference_draws([Pair(Result((), {}, one), Result((), {}, two))], seed=number)
            drawn = draws.figures["balanced_accuracy"]
            found = percentile_interval(value, drawn, draws.recordists)
            ends = (np.quantile(drawn, [0.025, 0.975]), (found.low, found.high))
            held += [low <= TRUE[1] - TRUE[0] <= high for low, high in ends]
            sizes.append(len(one.ids))
        print(f"{recordists:>10}  {np.mean(sizes):>10.0f}  " + "  ".join(f"{share:>15.1%}" for share in held / SPLITS))


def _answers(rng: np.random.Generator, recordists: int) -> tuple[RunPredictions, RunPredictions]:
    """Of both sets on one test split; what is hard for one set is mostly hard for the other."""
    counts = rng.integers(1, 9, recordists)
    people = np.repeat(np.arange(recordists), counts)
    truth = rng.integers(0, len(TYPES), len(people))
    shared, own = rng.normal(0, 0.6, recordists), rng.normal(0, 0.3, (2, recordists))
    luck = rng.normal(0, 1, len(people))
    found = []
    for place, share in enumerate(TRUE):
        noise = 0.8 * luck + 0.6 * rng.normal(0, 1, len(people))
        spread = np.sqrt(1 + 0.6**2 + 0.3**2)
        right = noise + (shared + own[place])[people] < stats.norm.ppf(share) * spread
        answers = np.where(right, truth, (truth + rng.integers(1, len(TYPES), len(people))) % len(TYPES))
        ids = tuple(f"XC{index}" for index in range(len(people)))
        names = tuple(f"person {person}" for person in people)
        found.append(RunPredictions(TYPES, ids, names, truth, answers, np.empty((len(people), len(TYPES)))))
    return found[0], found[1]


if __name__ == "__main__":
    over_species(np.random.default_rng(1))
    within_species(np.random.default_rng(2))
