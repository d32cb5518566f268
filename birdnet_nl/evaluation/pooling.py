"""One answer per recording from its segments."""

import torch

from birdnet_nl.training.module import pool_recordings

POOLINGS = ("mean", "log_mean_exp", "activity")
MIN_ACTIVITY = 0.3  # dB; the say that a segment keeps in which nothing rises above the noise
SMALLEST = 1e-7  # probability; below it float32 holds no more than "never"


def pool_segments(
    probabilities: torch.Tensor, recordings: torch.Tensor, pooling: str, activity: torch.Tensor | None = None
) -> torch.Tensor:
    """Probabilities of the recordings: [segments, types], [segments] -> float32 [recordings, types].

    `mean` gives every segment the same say. `log_mean_exp` is the logarithm of the mean exponential of the logits, each
    segment's taken relative to their mean over types: a segment that is sure weighs more than one that is not, as with
    silence between strophes. `activity` is a mean again, in which a segment weighs by how much of a bird is heard in it
    (`audio/activity.py`), [segments] in dB, which the others do not need. `recordings` as for
    `training.module.pool_recordings`.
    """
    if pooling == "mean":
        return pool_recordings(probabilities, recordings)
    if pooling == "activity":
        weight = (activity + MIN_ACTIVITY).unsqueeze(1)
        return pool_recordings(probabilities * weight, recordings) / pool_recordings(weight, recordings)
    logits = probabilities.clamp(min=SMALLEST).log()
    odds = (logits - logits.mean(dim=1, keepdim=True)).exp()  # against the geometric mean of the types
    pooled = pool_recordings(odds, recordings)
    return pooled / pooled.sum(dim=1, keepdim=True)
