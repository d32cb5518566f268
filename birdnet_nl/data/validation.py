"""Values of `conf/data/` that cannot be meant, each answered with one sentence before anything takes time."""

from collections.abc import Mapping, Sequence

from birdnet_nl.data.crops import CropParams
from birdnet_nl.data.cutting import SPLIT_BY
from birdnet_nl.data.loading import AUTO
from birdnet_nl.data.splits import SPLITS
from birdnet_nl.recordings.recording import VOCALIZATION_TYPES

SHORTEST_SEGMENT_S = 0.2  # shorter ones leave a network nothing to pool


def check_types(types: Sequence[str]) -> None:
    """Raise `ValueError` unless `types` lists two vocalization types or more."""
    if isinstance(types, str):
        raise ValueError(f"data.types={types} must be a list such as [song,call]")
    unknown = [name for name in types if name not in VOCALIZATION_TYPES]
    if unknown or len(set(types)) < 2:
        raise ValueError(f"data.types={list(types)} must name at least two of {', '.join(VOCALIZATION_TYPES)}")


def check_lengths(segment_s: float, segment_hop_s: float) -> None:
    """Raise `ValueError` for segments that leave a network nothing to pool, or sound unheard between them."""
    if segment_s < SHORTEST_SEGMENT_S:
        raise ValueError(f"data.segment_s={segment_s} must be at least {SHORTEST_SEGMENT_S} seconds")
    if not 0 < segment_hop_s <= segment_s:
        raise ValueError(f"data.segment_hop_s={segment_hop_s} must lie above 0 and at most data.segment_s={segment_s}")


def check_shares(shares: Mapping[str, float], min_recordings: int) -> None:
    """Raise `ValueError` unless every split gets something."""
    if set(shares) != set(SPLITS) or min(shares.values()) <= 0 or abs(sum(shares.values()) - 1) > 1e-6:
        raise ValueError(f"data.shares={shares} must give train, val and test a share above 0, together 1")
    if min_recordings < len(SPLITS):
        raise ValueError(f"data.min_recordings={min_recordings} must be at least {len(SPLITS)}: one for each split")


def check_split_by(split_by: str, folds: int | None, crops: CropParams | None) -> None:
    """Raise `ValueError` for a way to split that does not exist, or that does not go with the rest."""
    if split_by not in SPLIT_BY:
        raise ValueError(f"data.split_by={split_by} is unknown; choose one of {', '.join(SPLIT_BY)}")
    if split_by == "segment" and (folds is not None or crops is not None):
        raise ValueError("data.split_by=segment shows the original's leak, so it goes without data.folds and crops")


def check_batches(batch_size: int, num_workers: int | str, crops: CropParams | None) -> None:
    """Raise `ValueError` for batches that cannot be filled or loaded."""
    if batch_size < 1:
        raise ValueError(f"data.batch_size={batch_size} must be at least 1")
    if crops is not None and batch_size < crops.bag:
        raise ValueError(f"data.batch_size={batch_size} must be at least data.crops.bag={crops.bag}")
    if num_workers != AUTO and (not isinstance(num_workers, int) or num_workers < 0):
        raise ValueError(f"data.num_workers={num_workers} must be 0 (load in this process) or more, or auto")


def check_several_weight(weight: float) -> None:
    """Raise `ValueError` for a weight that is none."""
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight <= 1:
        raise ValueError(f"data.several_weight={weight} must lie between 0 (leave them out) and 1 (as any other)")
