"""The activity of a segment is that of its own stretch of its own recording."""

import numpy as np
import torch

from birdnet_nl.audio.cache import CachedMel
from birdnet_nl.data.dataset import SegmentDataset
from birdnet_nl.data.segment_activity import activity_of_segments
from birdnet_nl.data.segments import Segment


def test_only_the_segments_with_the_bird_are_active(tmp_path, small_mel):
    rng = np.random.default_rng(0)
    mels = {}
    for id, frames in (("XC1", 128), ("XC2", 128), ("XC3", 20)):
        mel = rng.normal(-60, 1, (small_mel.n_mels, frames)).astype(np.float16)
        if id == "XC2":
            mel[:, 64:96] += 30
        np.save(tmp_path / f"{id}.npy", mel)
        mels[id] = CachedMel(tmp_path / f"{id}.npy", frames, id)
    starts = {"XC2": (0, 32, 64, 96), "XC1": (0, 32), "XC3": (0,)}  # frames
    segments = [Segment(id, start / small_mel.frames_per_s) for id, found in starts.items() for start in found]
    dataset = SegmentDataset(segments, mels, dict.fromkeys(mels, 0), small_mel, segment_s=0.5)
    activity = activity_of_segments(dataset, mels, small_mel)
    assert activity.dtype == torch.float32 and activity.shape == (7,)
    assert activity[2] > 15 and (activity[[0, 3, 4, 5, 6]] < 1).all()
