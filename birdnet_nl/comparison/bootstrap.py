"""How far a difference in accuracy would move with other recordists (and other seeds) of the same species."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from birdnet_nl.comparison.pairing import Pair
from birdnet_nl.comparison.predictions import RunPredictions, balanced_accuracy, confusion_by_group, macro_f1
from birdnet_nl.comparison.statistics import DRAWS

FIGURES: dict[str, Callable[[np.ndarray], np.ndarray]] = {"balanced_accuracy": balanced_accuracy, "macro_f1": macro_f1}


@dataclass(frozen=True)
class Draws:
    """Draws [2,000] of each figure's difference, and how many recordists were redrawn for them."""

    figures: Mapping[str, np.ndarray]
    recordists: int


def difference_draws(pairs: Sequence[Pair], seed: int = 0) -> Draws | None:
    """Draws of the difference, other minus baseline, for the pairs of one species.

    Both sets are judged on the same draw. Recordists are drawn as a whole, with the same weight in every seed in whose
    test split they are; where there are several seeds, these are drawn too. In a draw without recordings of a type the
    figure is the mean over the others. None when a run left no answers.
    """
    if any(pair.baseline.answers is None or pair.other.answers is None for pair in pairs):
        return None
    rng = np.random.default_rng(seed)
    names = sorted({name for pair in pairs for name in pair.baseline.answers.groups})
    groups = {name: place for place, name in enumerate(names)}
    weights = rng.multinomial(len(groups), np.full(len(groups), 1 / len(groups)), DRAWS).astype(float)
    seed_weights = rng.multinomial(len(pairs), np.full(len(pairs), 1 / len(pairs)), DRAWS) / len(pairs)
    draws = {name: np.zeros(DRAWS) for name in FIGURES}
    for place, pair in enumerate(pairs):
        places = [groups[name] for name in pair.baseline.answers.groups]
        counts = [_redrawn(result.answers, places, weights) for result in (pair.baseline, pair.other)]
        drawn = seed_weights[:, place]
        for name, figure in FIGURES.items():
            difference = figure(counts[1]) - figure(counts[0])
            draws[name] += np.where(drawn > 0, drawn * difference, 0.0)
    return Draws(draws, len(groups))


def _redrawn(answers: RunPredictions, places: Sequence[int], weights: np.ndarray) -> np.ndarray:
    """Confusion counts [draws, true type, answer] under the weights [draws, groups]."""
    n = len(answers.types)
    counts = confusion_by_group(answers, places, weights.shape[1])
    return (weights @ counts.reshape(-1, n * n)).reshape(-1, n, n)
