"""Features of recordings of several types, for training on whole recordings."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch

from birdnet_nl.data.crops import training_shares
from birdnet_nl.data.multilabel import SeveralTypes


class SharedBatch(NamedTuple):
    """Whole recordings of several types.

    Attributes:
        segments: features of their segments, float16 [segments, 1 + dimensions].
        shares: of each type in each recording, float32 [recordings, types]; those it names, evenly.
        recordings: index of the recording of each segment, int64 [segments].
    """

    segments: torch.Tensor
    shares: torch.Tensor
    recordings: torch.Tensor


def share_batch(several: SeveralTypes, features: Mapping[str, np.ndarray], types: Sequence[str]) -> SharedBatch | None:
    """All of `several` by their features [windows, 1 + dimensions]; None where there are none."""
    if not several.recordings:
        return None
    rows = [features[recording.id] for recording in several.recordings]
    shares = training_shares(types, {}, several.types)
    return SharedBatch(
        torch.from_numpy(np.concatenate(rows)),
        torch.tensor([shares[recording.id] for recording in several.recordings], dtype=torch.float32),
        torch.arange(len(rows)).repeat_interleave(torch.tensor([len(windows) for windows in rows])),
    )
