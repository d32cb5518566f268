"""Arithmetic on what was measured."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np


def seconds_per_segment(batches: Sequence[tuple[int, int, float]], warm_up: int) -> float:
    """Seconds per training segment from when each batch ended (epoch, segments, seconds), loading included.

    The batches that hold the first `warm_up` segments do not count, nor does the first of an epoch: before it stand the
    start of the loader and the validation of the epoch before. Raises `ValueError` when none is left.
    """
    seen = batches[0][1] if batches else 0
    seconds, segments = 0.0, 0
    for (epoch_before, _, before), (epoch, size, ended) in pairwise(batches):
        if epoch == epoch_before and seen >= warm_up:
            seconds += ended - before
            segments += size
        seen += size
    if not segments:
        raise ValueError(f"{len(batches)} batches leave none to time after a warm-up of {warm_up} segments; time more")
    return seconds / segments


def linear_fit(counts: Sequence[float], seconds: Sequence[float]) -> dict[str, float]:
    """seconds ≈ start_s + count · each_s by least squares; `r_squared` is the share of the variance it explains."""
    x, y = np.asarray(counts, float), np.asarray(seconds, float)
    each, start = np.polyfit(x, y, 1)
    rest = ((y - (start + each * x)) ** 2).sum()
    return {"start_s": float(start), "each_s": float(each), "r_squared": float(1 - rest / ((y - y.mean()) ** 2).sum())}
