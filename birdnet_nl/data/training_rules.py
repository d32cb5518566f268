"""Rules by which a training selects recordings: types with enough recordings, shares of the splits, lengths.

`birdnet-nl data` applies the same rules without training, so this module and what it imports stay free of torch.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

from birdnet_nl.data.splits import SPLITS, assign_splits, group_of
from birdnet_nl.recordings.recording import Recording
from birdnet_nl.recordings.type_set import TypeSet
from birdnet_nl.util.conf_values import conf_dir, conf_values
from birdnet_nl.util.errors import DataError, SelectionError
from birdnet_nl.util.words import counted

FEW_TEST_RECORDINGS = 10  # with fewer test recordings of a type, its metrics are a first impression
THREE_TYPES = "three"  # the default of conf/data/types/
MIN_COMPARED_S = 2.0  # shorter recordings are never near-duplicates: two single calls may well be alike


def _data_default(name: str) -> Any:
    return conf_values("data/base.yaml")[name]


def type_set_names() -> list[str]:
    """Return the sets of conf/data/types/."""
    return sorted(file.stem for file in (conf_dir() / "data" / "types").glob("*.yaml"))


def read_type_set(name: str, flight_call: str = "call") -> TypeSet:
    """Read a set of vocalization types from conf/data/types/; raises `SelectionError` if there is none of this name."""
    if name not in type_set_names():
        raise SelectionError(f"--types {name} does not exist; choose one of {', '.join(type_set_names())}")
    return TypeSet.of(conf_values(f"data/types/{name}.yaml")["sounds"], flight_call)


@dataclass(frozen=True)
class TrainingRules:
    """Values of `conf/` that decide which recordings a training uses; each default is read from its YAML file."""

    type_set_name: str = THREE_TYPES
    flight_call: str = field(default_factory=partial(_data_default, "flight_call"))
    shares: Mapping[str, float] = field(default_factory=partial(_data_default, "shares"))
    min_recordings: int = field(default_factory=partial(_data_default, "min_recordings"))
    segment_s: float = field(default_factory=partial(_data_default, "segment_s"))
    segment_hop_s: float = field(default_factory=partial(_data_default, "segment_hop_s"))
    seed: int = field(default_factory=lambda: conf_values("train.yaml")["seed"])

    @cached_property
    def type_set(self) -> TypeSet:
        return read_type_set(self.type_set_name, self.flight_call)

    @property
    def types(self) -> tuple[str, ...]:
        return self.type_set.types

    @property
    def recommended_recordings(self) -> int:
        """Recordings of a type that give its test split `FEW_TEST_RECORDINGS`."""
        return math.ceil(round(FEW_TEST_RECORDINGS / self.shares["test"], 6))


@dataclass(frozen=True)
class ChosenTypes:
    """Vocalization types with enough recordings.

    Attributes:
        recordings: recordings of these types.
        splits: train, val or test by recording id; empty with fewer than two types.
        left_out: reason by type for each type that was left out.
    """

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
    """Select the types with enough recordings and assign the splits.

    Of three types the rarest is left out when its recordists cannot be divided over the splits; raises `DataError` when
    those of two types cannot.
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
            left_out[rarest] = (
                f"{counted(counts[rarest], 'recording')}, by recordists who cannot be divided over {parts}"
            )


def usable_types(
    recordings: Sequence[Recording], types: Sequence[str], min_recordings: int, parts: int = len(SPLITS)
) -> tuple[list[str], dict[str, str]]:
    """Return the types with enough recordings for `parts` splits or folds, and the reason by type for the others."""
    required = max(min_recordings, parts)
    usable, left_out = [], {}
    for vocalization_type in types:
        of_type = [recording for recording in recordings if recording.vocalization_type == vocalization_type]
        groups = {group_of(recording) for recording in of_type}
        if len(of_type) < required:
            left_out[vocalization_type] = f"{counted(len(of_type), 'recording')}, at least {required} needed"
        elif len(groups) < parts:
            left_out[vocalization_type] = (
                f"{counted(len(of_type), 'recording')} by {counted(len(groups), 'recordist')}, "
                f"at least {parts} recordists needed"
            )
        else:
            usable.append(vocalization_type)
    return usable, left_out
