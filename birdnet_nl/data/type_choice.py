"""Which types the recordings suffice for, with the splits of those: for training, and for looking without training."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from birdnet_nl.data.splits import SPLITS, assign_splits, usable_types
from birdnet_nl.recordings.recording import Recording
from birdnet_nl.util.errors import DataError


@dataclass(frozen=True)
class ChosenTypes:
    """Types that can be told apart, their recordings and the splits of these, and why other types were left out."""

    recordings: list[Recording]
    types: list[str]
    splits: dict[str, str]
    left_out: dict[str, str]


def choose_types(
    usable: Sequence[Recording],
    types: Sequence[str],
    shares: dict[str, float],
    min_recordings: int,
    seed: int,
    folds: int | None = None,
    fold: int | None = None,
) -> ChosenTypes:
    """No splits where fewer than two types have enough recordings.

    Of three types the rarest is left out when its recordists cannot be spread; raises `DataError` when two cannot.
    """
    kept_types, left_out = usable_types(usable, types, min_recordings, folds or len(SPLITS))
    while True:
        kept = [recording for recording in usable if recording.vocalization_type in kept_types]
        if len(kept_types) < 2:
            return ChosenTypes(kept, kept_types, {}, left_out)
        try:
            return ChosenTypes(kept, kept_types, assign_splits(kept, shares, seed, folds, fold), left_out)
        except DataError:
            if len(kept_types) == 2:
                raise
            counts = Counter(recording.vocalization_type for recording in kept)
            rarest = min(kept_types, key=lambda name: counts[name])
            kept_types = [name for name in kept_types if name != rarest]
            parts = "three splits" if folds is None else f"{folds} folds"
            left_out[rarest] = f"{counts[rarest]} recordings, by recordists who cannot be spread over {parts}"
