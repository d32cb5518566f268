"""What training does with recordings unless told otherwise, for looking at them without training."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from birdnet_nl.recordings.recording import VOCALIZATION_TYPES

FEW_TEST_RECORDINGS = 10  # with fewer of a type in the test split, a figure is a first impression
MIN_COMPARED_S = 2.0  # shorter recordings are not near-duplicates: a single call may well resemble another


@dataclass(frozen=True)
class TrainingRules:
    """What training does with recordings unless told otherwise.

    The values are those of conf/data/base.yaml and conf/train.yaml, which an installed package does not bring along; a
    test compares them.
    """

    types: tuple[str, ...] = VOCALIZATION_TYPES
    shares: Mapping[str, float] = field(default_factory=lambda: {"train": 0.6, "val": 0.2, "test": 0.2})
    min_recordings: int = 3
    segment_s: float = 3.0
    segment_hop_s: float = 1.5
    seed: int = 1
    flight_call: str = "call"

    @property
    def wanted(self) -> int:
        """Recordings of a type with which its test split is large enough to be believed."""
        return math.ceil(round(FEW_TEST_RECORDINGS / self.shares["test"], 6))
