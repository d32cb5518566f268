"""Digital silence in the samples of a file, before resampling, whose filter rings into the silence beside a sound."""

from bisect import bisect_right

import numpy as np

SILENCE_PEAK = 1e-6  # -120 dB: below the smallest step of 16 bits, and above the rounding of lossy formats
PIECE = 4096  # samples; shorter silence is kept only at the end of a file, where the last segment may be short


class SilentRuns:
    """Runs of samples below `SILENCE_PEAK` in a file that is given block by block; the long ones are remembered."""

    def __init__(self) -> None:
        self._starts: list[int] = []  # first sample of each remembered run
        self._ends: list[int] = []  # the sample after its last
        self._open = self._count = 0  # start of the run that reaches the last sample, and the number of samples

    def add(self, samples: np.ndarray) -> None:
        """Add the next block, [samples]."""
        for start in range(0, len(samples), PIECE):
            piece = samples[start : start + PIECE]
            if np.abs(piece[-1]) >= SILENCE_PEAK and self._count == self._open:
                self._open += len(piece)  # no silence that reaches a neighbouring piece
            else:
                loud = np.flatnonzero(np.abs(piece) >= SILENCE_PEAK)
                if len(loud):
                    self._close(self._count + int(loud[0]))
                    self._open = self._count + int(loud[-1]) + 1
            self._count += len(piece)

    def _close(self, end: int) -> None:
        if end - self._open >= PIECE:
            self._starts.append(self._open)
            self._ends.append(end)

    def covers(self, start: int, end: int) -> bool:
        """Whether all samples from `start` to before `end` are silent.

        A stretch that does not reach the last sample given must have `PIECE` samples at least.
        """
        if start >= end or self._open <= start:
            return True
        run = bisect_right(self._starts, start) - 1
        return run >= 0 and end <= self._ends[run]
