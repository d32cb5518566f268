"""Checks of the values of `conf/data/`: one sentence each, before anything takes time."""

from collections.abc import Mapping, Sequence

from birdnet_nl.data.segments import SPLIT_BY
from birdnet_nl.data.splits import SPLITS
from birdnet_nl.recordings.recording import VOCALIZATION_TYPES
from birdnet_nl.recordings.type_set import TypeSet

MIN_SEGMENT_S = 0.2  # shorter segments leave a network nothing to pool


def check_types(types: Sequence[str], type_set: TypeSet) -> None:
    """Raise `ValueError` unless `types` lists two vocalization types of the set or more."""
    if isinstance(types, str):
        raise ValueError(f"data.types={types} must be a list such as [song,call]")
    unknown = [name for name in types if name not in type_set.types]
    if unknown or len(set(types)) < 2:
        hint = "" if set(type_set.types) != set(VOCALIZATION_TYPES) else "; for others add data/types=ten"
        raise ValueError(f"data.types={list(types)} must name at least two of {', '.join(type_set.types)}{hint}")


def check_segments(segment_s: float, segment_hop_s: float) -> None:
    """Raise `ValueError` for segments too short to pool, or with unused sound between them."""
    if segment_s < MIN_SEGMENT_S:
        raise ValueError(f"data.segment_s={segment_s} must be at least {MIN_SEGMENT_S} seconds")
    if not 0 < segment_hop_s <= segment_s:
        raise ValueError(f"data.segment_hop_s={segment_hop_s} must be above 0 and at most data.segment_s={segment_s}")


def check_shares(shares: Mapping[str, float], min_recordings: int) -> None:
    """Raise `ValueError` unless every split gets something."""
    if set(shares) != set(SPLITS) or min(shares.values()) <= 0 or abs(sum(shares.values()) - 1) > 1e-6:
        raise ValueError(f"data.shares={shares} must give train, val and test a share above 0, together 1")
    if min_recordings < len(SPLITS):
        raise ValueError(f"data.min_recordings={min_recordings} must be at least {len(SPLITS)}: one for each split")


def check_split_by(split_by: str, folds: int | None, crops: bool) -> None:
    """Raise `ValueError` for an unknown way to split, or one that does not go with folds or crops."""
    if split_by not in SPLIT_BY:
        raise ValueError(f"data.split_by={split_by} is unknown; choose one of {', '.join(SPLIT_BY)}")
    if split_by == "segment" and (folds is not None or crops):
        raise ValueError("data.split_by=segment shows the original's leak; it cannot be used with data.folds or crops")


def check_batches(batch_size: int, num_workers: int) -> None:
    """Raise `ValueError` for batches that cannot be filled or loaded."""
    if batch_size < 1:
        raise ValueError(f"data.batch_size={batch_size} must be at least 1")
    if isinstance(num_workers, bool) or not isinstance(num_workers, int) or num_workers < 0:
        raise ValueError(f"data.num_workers={num_workers} must be 0 (load in this process) or more")


def check_multilabel_weight(weight: float) -> None:
    """Raise `ValueError` unless `weight` is between 0 and 1."""
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight <= 1:
        raise ValueError(f"data.multilabel_weight={weight} must be between 0 (leave them out) and 1 (as any other)")


def check_extra_weight(weight: float) -> None:
    """Raise `ValueError` unless `weight` is a number above 0."""
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not weight > 0:
        raise ValueError(
            f"data.extra_weight={weight} must be above 0, such as 0.5: the weight of all extra recordings of a type, "
            "relative to those of the run; to use none, leave out data.extra_roots"
        )


def check_synthetic_recordings(count: int) -> None:
    """Raise `ValueError` unless `count` is 0 or enough for all types."""
    if isinstance(count, bool) or not isinstance(count, int) or count < 0 or 0 < count < len(VOCALIZATION_TYPES):
        raise ValueError(
            f"data.synthetic_recordings={count} must be 0 (none) or a whole number of at least "
            f"{len(VOCALIZATION_TYPES)}"
        )


def check_test_source(test_source: object, folds: int | None, split_by: str, inherited: object, final: bool) -> None:
    """Raise `ValueError` for a `data.test_source` together with other rules for the splits."""
    if test_source is None:
        return
    rules = {"data.folds": folds, "data.split_by=segment": split_by == "segment", "base": inherited, "final": final}
    if others := [name for name, value in rules.items() if value]:
        raise ValueError(f"data.test_source={test_source} and {others[0]} exclude each other; give one of them")
