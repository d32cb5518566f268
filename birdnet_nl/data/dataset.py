"""Segments served as views into the mels of whole recordings."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from birdnet_nl.audio.cache import CachedMel
from birdnet_nl.audio.mel import MelParams
from birdnet_nl.data.segments import Segment

Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


@lru_cache(maxsize=512)  # each mapped file holds a file handle; a process may have about a thousand
def _mapped(path: Path) -> np.ndarray:
    return np.load(path, mmap_mode="r")


class SegmentDataset(Dataset):
    """Segments with their type and the recording they come from.

    A batch is gathered in one call: mel in dB, float16 [batch, mels, frames]; type, int64 [batch]; index of the
    recording in `recording_ids`, int64 [batch].
    """

    def __init__(
        self,
        segments: Sequence[Segment],
        mels: dict[str, CachedMel],
        type_of: dict[str, int],
        params: MelParams,
        segment_s: float,
    ) -> None:
        self.recording_ids = list(dict.fromkeys(segment.recording_id for segment in segments))
        index_of = {id: index for index, id in enumerate(self.recording_ids)}
        self.recordings = torch.tensor([index_of[segment.recording_id] for segment in segments], dtype=torch.int64)
        self.types = torch.tensor([type_of[segment.recording_id] for segment in segments], dtype=torch.int64)
        self.paths = [mels[id].path for id in self.recording_ids]
        starts = [round(segment.start_s * params.frames_per_s) for segment in segments]
        self.start_frames = torch.tensor(starts, dtype=torch.int64)
        self.shape = (params.n_mels, params.segment_frames(segment_s))
        self.padding_db = params.padding_db

    @property
    def types_of_recordings(self) -> torch.Tensor:
        """In the order of `recording_ids`, int64 [recordings]."""
        found = torch.empty(len(self.recording_ids), dtype=torch.int64)
        found[self.recordings] = self.types
        return found

    def __len__(self) -> int:
        return len(self.types)

    def __getitem__(self, index: int) -> Batch:
        mel, kind, recording = self.__getitems__([index])
        return mel[0], kind[0], recording[0]

    def __getitems__(self, indices: list[int]) -> Batch:
        recordings, starts, types = self.places(indices)
        paths = [self.paths[recording] for recording in recordings.tolist()]
        return gather_mels(paths, starts.tolist(), self.shape, self.padding_db), types, recordings

    def places(self, indices: list[int]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Recording, first frame and type of segments, each int64 [indices]."""
        return self.recordings[indices], self.start_frames[indices], self.types[indices]


class FeatureDataset(Dataset):
    """The segments of a `SegmentDataset` with features in place of mels, in memory.

    A batch is float16 [batch, 1 + dimensions], type [batch], index of the recording in `recording_ids` [batch].

    Args:
        features: by recording id, float16 [windows, 1 + dimensions]; a window begins every `frames_per_window` frames.
    """

    def __init__(self, segments: SegmentDataset, features: Mapping[str, np.ndarray], frames_per_window: float) -> None:
        self.recording_ids, self.recordings, self.types = segments.recording_ids, segments.recordings, segments.types
        rows = [
            features[self.recording_ids[recording]][round(start / frames_per_window)]
            for recording, start in zip(self.recordings.tolist(), segments.start_frames.tolist(), strict=True)
        ]
        self.features = torch.from_numpy(np.stack(rows))

    def __len__(self) -> int:
        return len(self.types)

    def __getitems__(self, indices: list[int]) -> Batch:
        return self.features[indices], self.types[indices], self.recordings[indices]


def gather_mels(
    paths: Sequence[Path], starts: Sequence[int], shape: tuple[int, int], padding_db: float
) -> torch.Tensor:
    """Stretches of mapped mels, from frame `starts` on and `shape` large: float16 [batch, mels, frames] in dB."""
    n_mels, frames = shape
    batch = np.empty((len(paths), n_mels, frames), dtype=np.float16)
    for row, (path, start) in enumerate(zip(paths, starts, strict=True)):
        view = _mapped(path)[:, start : start + frames]
        batch[row, :, : view.shape[1]] = view
        batch[row, :, view.shape[1] :] = padding_db
    return torch.from_numpy(batch)
