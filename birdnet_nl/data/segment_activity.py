"""How much of a bird is heard in each segment."""

from collections.abc import Mapping

import numpy as np
import torch

from birdnet_nl.audio.activity import activity_of, window_activity
from birdnet_nl.audio.cache import CachedMel
from birdnet_nl.audio.mel import MelParams
from birdnet_nl.data.dataset import SegmentDataset


def activity_of_segments(dataset: SegmentDataset, mels: Mapping[str, CachedMel], params: MelParams) -> torch.Tensor:
    """Mean activity of every segment in dB, float32 [segments]; see `audio/activity.py`."""
    found = np.empty(len(dataset), dtype=np.float32)
    recordings, starts = dataset.recordings.numpy(), dataset.start_frames.numpy()
    for index, id in enumerate(dataset.recording_ids):
        windows = window_activity(activity_of(mels[id], params), dataset.shape[1])
        own = recordings == index
        found[own] = windows[np.minimum(starts[own], len(windows) - 1)]
    return torch.from_numpy(found)
