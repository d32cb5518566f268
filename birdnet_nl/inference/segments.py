"""Segments of a streamed recording, and what is collected of them for its prediction; without torch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from birdnet_nl.data.segments import cut_segments
from birdnet_nl.inference.prediction_model import FilePrediction, OnProgress
from birdnet_nl.inference.streaming import FrontEnd, SampleBlocks, Stretch, stretches


@dataclass(frozen=True)
class Cut:
    """Length of segments, and the grid of frames by which the training counts them.

    Attributes:
        sample_rate_hz, hop_samples: of the mel that the recording is cut by.
        by_sample: whether a segment starts at a sample (embeddings) or at a frame (mels) of the training.
    """

    segment_s: float
    sample_rate_hz: int
    hop_samples: int
    by_sample: bool

    def count(self, blocks: SampleBlocks, segment_hop_s: float) -> int:
        return self.count_of_frames(1 + blocks.length_at(self.sample_rate_hz) // self.hop_samples, segment_hop_s)

    def count_of_frames(self, frames: int, segment_hop_s: float) -> int:
        """Number of segments of a recording with so many frames, rounded as in training and evaluation."""
        frames_per_s = self.sample_rate_hz / self.hop_samples  # as `MelParams.frames_per_s`
        return len(cut_segments(frames / frames_per_s, self.segment_s, segment_hop_s))


def segments(
    blocks: SampleBlocks, front_end: FrontEnd, cut: Cut, segment_hop_s: float
) -> Iterator[tuple[Stretch, list[int]]]:
    """Yield stretches with the first columns of their segments, counted in the stretch."""
    rate_hz, hop = front_end.sample_rate_hz, front_end.hop_samples

    def column(index: int) -> int:
        if cut.by_sample:
            return round(round(index * segment_hop_s * rate_hz) / hop)
        return round(index * segment_hop_s * front_end.columns_per_s)

    index = 0
    for stretch in stretches(blocks, front_end):
        count = cut.count(blocks, segment_hop_s) if stretch.is_last else None
        firsts = []
        while column(index) < stretch.own_end if count is None else index < count:
            firsts.append(column(index) - stretch.first)
            index += 1
        yield stretch, firsts


@dataclass
class Collected:
    """Predictions at temperature 1 and more, segment by segment; each list holds one array per batch.

    Attributes:
        probabilities: float32 [segments, types].
        activity: see `audio.activity`, float32 [segments]; empty where it is not needed.
        count: number of segments.
    """

    probabilities: list[np.ndarray] = field(default_factory=list)
    activity: list[np.ndarray] = field(default_factory=list)
    count: int = 0

    def prediction(
        self,
        blocks: SampleBlocks,
        segment_s: float,
        segment_hop_s: float,
        probabilities: np.ndarray,
        recording: np.ndarray,
    ) -> FilePrediction:
        """Return the prediction of the file from calibrated probabilities, [segments, types] and [types]."""
        starts_s = np.arange(len(probabilities)) * segment_hop_s
        return FilePrediction(
            starts_s,
            probabilities.astype(np.float32),
            recording.astype(np.float32),
            np.array([blocks.is_silent(start_s, start_s + segment_s) for start_s in starts_s], dtype=bool),
            blocks.duration_s,
            blocks.warning,
        )


def cut_windows(columns: np.ndarray, firsts: Sequence[int], length: int, padding: float) -> np.ndarray:
    """Cut windows of `length` columns, padded beyond the end: [rows, columns] -> [windows, rows, length]."""
    batch = np.full((len(firsts), len(columns), length), padding, dtype=columns.dtype)
    for row, first in enumerate(firsts):
        view = columns[:, first : first + length]
        batch[row, :, : view.shape[1]] = view
    return batch


def report_progress(on_progress: OnProgress | None, count: int, segment_hop_s: float) -> None:
    """Report the seconds before the segment after the first `count`."""
    if on_progress is not None:
        on_progress(count * segment_hop_s)


class RecordingStatistics:
    """Mean and standard deviation over the segments of one recording, as `models.recording_classifier` pools them.

    Args:
        kinds: of statistics, in the order of the result.
        typical_variance: within recordings, [dimensions]; weighs as much as `prior_segments` segments.
    """

    def __init__(self, kinds: Sequence[str], typical_variance: np.ndarray, prior_segments: int) -> None:
        self.kinds, self.typical_variance, self.prior_segments = kinds, typical_variance, prior_segments
        self.count, self.sum, self.squares = 0, np.zeros(len(typical_variance)), np.zeros(len(typical_variance))

    def add(self, vectors: np.ndarray) -> None:
        """Add segments, [segments, dimensions]."""
        vectors = vectors.astype(np.float64)
        self.count += len(vectors)
        self.sum += vectors.sum(axis=0)
        self.squares += (vectors**2).sum(axis=0)

    def features(self) -> np.ndarray:
        """Return the pooled features, float32 [dimensions · kinds]."""
        mean = self.sum / self.count
        squares = np.maximum(self.squares - self.count * mean**2, 0) + self.prior_segments * self.typical_variance
        of_kind = {"mean": mean, "std": np.sqrt(squares / (self.count - 1 + self.prior_segments) + 1e-12)}
        return np.concatenate([of_kind[kind] for kind in self.kinds]).astype(np.float32)
