"""Short clips of training recordings, so that a classifier of whole recordings predicts the files of stations too."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class ShortClips:
    """Clips to train on beside each whole recording.

    A clip is a stretch of successive segments. Of each length there are `per_length` clips at even distances, so that
    nothing is drawn; a recording has no clips of its own length or longer.

    Attributes:
        segments: lengths of the clips, in segments; none for whole recordings alone.
        per_length: number of clips of each length.
        share: of a recording's weight that its clips have together. The weight of a recording does not change.
    """

    segments: Sequence[int]
    per_length: int = 1
    share: float = 0.5

    def __post_init__(self) -> None:
        lengths = None if isinstance(self.segments, str | int | float) else list(self.segments)
        if lengths is None or any(isinstance(n, bool) or not isinstance(n, int) or n < 1 for n in lengths):
            raise ValueError(
                f"module.clips.segments={self.segments} must be a list of lengths of at least 1 segment, such as "
                "[1,3,9]; [] for whole recordings alone"
            )
        object.__setattr__(self, "segments", tuple(lengths))
        if isinstance(self.per_length, bool) or not isinstance(self.per_length, int) or self.per_length < 1:
            raise ValueError(f"module.clips.per_length={self.per_length} must be an integer of at least 1")
        if isinstance(self.share, bool) or not 0 < self.share < 1:
            raise ValueError(f"module.clips.share={self.share} must be above 0 and below 1")

    def cut(self, segments: torch.Tensor, recordings: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Cut the clips of all recordings.

        Args:
            segments: embeddings [segments, columns]; those of a recording follow each other in order of time.
            recordings: index of the recording of each segment, int64 [segments].

        Returns:
            Embeddings of the segments of clips [clip segments, columns], index of the clip of each [clip segments],
            and index of the recording of each clip [clips].
        """
        owners, counts = recordings.unique_consecutive(return_counts=True)
        rows, lengths, of_clips = [], [], []
        first = 0
        for owner, count in zip(owners.tolist(), counts.tolist(), strict=True):
            for length in self.segments:
                for start in _even_starts(count, length, self.per_length):
                    rows.append(torch.arange(first + start, first + start + length))
                    lengths.append(length)
                    of_clips.append(owner)
            first += count
        device = segments.device
        index = torch.cat(rows) if rows else torch.empty(0, dtype=torch.int64)
        clips = torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths, dtype=torch.int64))
        return segments[index.to(device)], clips.to(device), torch.tensor(of_clips, dtype=torch.int64, device=device)

    def weights(self, of_clips: torch.Tensor, recordings: int) -> torch.Tensor:
        """Weight of each recording as a whole, then of each clip, float32 [recordings + clips]; 1 for each recording.

        `of_clips` holds the index of the recording of each clip.
        """
        counts = torch.bincount(of_clips, minlength=recordings)
        whole = torch.where(counts > 0, 1 - self.share, 1.0)
        return torch.cat([whole, self.share / counts[of_clips]])


def _even_starts(count: int, length: int, per_length: int) -> list[int]:
    """First segments of clips in a recording of `count` segments, at even distances from its ends and each other."""
    if length >= count:
        return []
    places = torch.linspace(0, count - length, per_length + 2)[1:-1].round().int()
    return places.unique().tolist()
