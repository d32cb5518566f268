"""Dataset of segments: views into the mel spectrograms of whole recordings."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from birdnet_nl.audio.activity import activity_of, window_activity
from birdnet_nl.audio.cache import CachedMel
from birdnet_nl.audio.mel import MelParams
from birdnet_nl.data.segments import Segment
from birdnet_nl.util.errors import DataError
from birdnet_nl.util.float16 import is_finite

Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


@lru_cache(maxsize=512)  # each mapped file holds a file handle, and a process may have about a thousand
def _mapped(path: Path) -> np.ndarray:
    return np.load(path, mmap_mode="r")


class SegmentDataset(Dataset):
    """Mel spectrograms of segments, with their type and the recording they belong to.

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
        self.types = torch.tensor([segment.type_in(type_of) for segment in segments], dtype=torch.int64)
        self.paths = [mels[id].path for id in self.recording_ids]
        starts = [round(segment.start_s * params.frames_per_s) for segment in segments]
        self.start_frames = torch.tensor(starts, dtype=torch.int64)
        self.shape = (params.n_mels, params.segment_frames(segment_s))
        self.padding_db = params.padding_db

    @property
    def types_of_recordings(self) -> torch.Tensor:
        """Type of each recording in the order of `recording_ids`, int64 [recordings]."""
        types = torch.empty(len(self.recording_ids), dtype=torch.int64)
        types[self.recordings] = self.types
        return types

    def __len__(self) -> int:
        return len(self.types)

    def __getitem__(self, index: int) -> Batch:
        mel, type_index, recording = self.__getitems__([index])
        return mel[0], type_index[0], recording[0]

    def __getitems__(self, indices: list[int]) -> Batch:
        recordings, starts, types = self.places(indices)
        paths = [self.paths[recording] for recording in recordings.tolist()]
        mel_db = gather_mels(paths, starts.tolist(), self.shape, self.padding_db)
        check_mels(mel_db, recordings, self)
        return mel_db, types, recordings

    def places(self, indices: list[int]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Recording, first frame and type of segments, each int64 [indices]."""
        return self.recordings[indices], self.start_frames[indices], self.types[indices]


def gather_mels(
    paths: Sequence[Path], starts: Sequence[int], shape: tuple[int, int], padding_db: float
) -> torch.Tensor:
    """Gather stretches of mapped mels that start at the frames `starts`: float16 [batch, mels, frames] in dB.

    Frames beyond the end of a recording are `padding_db`. `shape` is [mels, frames].
    """
    n_mels, frames = shape
    batch = np.empty((len(paths), n_mels, frames), dtype=np.float16)
    for row, (path, start) in enumerate(zip(paths, starts, strict=True)):
        view = _mapped(path)[:, start : start + frames]
        batch[row, :, : view.shape[1]] = view
        batch[row, :, view.shape[1] :] = padding_db
    return torch.from_numpy(batch)


def check_mels(mel_db: torch.Tensor, recordings: torch.Tensor, dataset: Dataset) -> None:
    """Raise `DataError` for a batch [batch, mels, frames] of a damaged cache, with the recording and the file."""
    if is_finite(mel_db.numpy()):
        return
    row = next(row for row, mel in enumerate(mel_db.numpy()) if not is_finite(mel))
    raise damaged_mel(dataset.recording_ids[recordings[row]], dataset.paths[recordings[row]])


def damaged_mel(recording_id: str, path: Path) -> DataError:
    """Build the error of a cached mel whose values are not finite."""
    return DataError(
        f"recording {recording_id} cannot be used: its cached mel {path} has values that are not finite numbers; "
        "delete that file and start again, which computes the mel again"
    )


def activity_of_segments(dataset: SegmentDataset, mels: Mapping[str, CachedMel], params: MelParams) -> torch.Tensor:
    """Compute the mean activity of every segment in dB, float32 [segments]; see `audio/activity.py`."""
    activity = np.empty(len(dataset), dtype=np.float32)
    recordings, starts = dataset.recordings.numpy(), dataset.start_frames.numpy()
    for index, id in enumerate(dataset.recording_ids):
        windows = window_activity(activity_of(mels[id], params), dataset.shape[1])
        own = recordings == index
        activity[own] = windows[np.minimum(starts[own], len(windows) - 1)]
    return torch.from_numpy(activity)
