"""Features of recordings of several types, for training on whole recordings."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch

from birdnet_nl.data.crops import training_shares
from birdnet_nl.data.multilabel import MultilabelRecordings


class MultilabelBatch(NamedTuple):
    """Whole recordings of several types.

    Attributes:
        segments: features of their segments, float16 [segments, 1 + dimensions].
        shares: of each type in each recording, float32 [recordings, types]; those it names, evenly.
        recordings: index of the recording of each segment, int64 [segments].
    """

    segments: torch.Tensor
    shares: torch.Tensor
    recordings: torch.Tensor


def multilabel_batch_of(
    multilabel: MultilabelRecordings, features: Mapping[str, np.ndarray], types: Sequence[str]
) -> MultilabelBatch | None:
    """All of `multilabel` by their features [windows, 1 + dimensions]; None where there are none."""
    if not multilabel.recordings:
        return None
    rows = [features[recording.id] for recording in multilabel.recordings]
    shares = training_shares(types, {}, multilabel.types)
    return MultilabelBatch(
        torch.from_numpy(np.concatenate(rows)),
        torch.tensor([shares[recording.id] for recording in multilabel.recordings], dtype=torch.float32),
        torch.arange(len(rows)).repeat_interleave(torch.tensor([len(windows) for windows in rows])),
    )
