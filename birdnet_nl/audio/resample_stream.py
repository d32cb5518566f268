"""Resampling of recordings of any length, block by block; equal to `resample` of the whole, and without torch."""

import math
from collections.abc import Callable
from typing import Protocol

import numpy as np
import scipy.fft
import soxr

from birdnet_nl.audio.resample import BlockFilter, block_filter, design_filter, transform_blocks


class ResampleStream(Protocol):
    """Resampler of consecutive blocks, float32 [samples]; `last` marks the end, with an empty block or a full one."""

    def push(self, samples: np.ndarray, last: bool = False) -> np.ndarray: ...


def resample_stream(rate_in_hz: int, rate_out_hz: int, as_in_training: bool = False) -> ResampleStream:
    """Return a resampler with the frequency response of `resample`, with `as_in_training` by the same FFT.

    Without, torch is not imported, and samples differ by rounding (1e-7 of full scale); the first eight by more where
    `resample` uses soxr.
    """
    if rate_in_hz == rate_out_hz:
        return _Unchanged()
    blocks = block_filter(rate_in_hz, rate_out_hz) if as_in_training else design_filter(rate_in_hz, rate_out_hz)
    if blocks is None:
        return _SoxrStream(rate_in_hz, rate_out_hz)
    return _BlockStream(blocks, transform_blocks if as_in_training else _transform_blocks)


class _Unchanged:
    def push(self, samples: np.ndarray, last: bool = False) -> np.ndarray:
        return samples


class _SoxrStream:
    def __init__(self, rate_in_hz: int, rate_out_hz: int) -> None:
        self._stream = soxr.ResampleStream(rate_in_hz, rate_out_hz, 1, dtype="float32", quality="HQ")

    def push(self, samples: np.ndarray, last: bool = False) -> np.ndarray:
        return self._stream.resample_chunk(np.ascontiguousarray(samples), last=last)


class _BlockStream:
    """Overlap-save with the blocks of `resample`."""

    def __init__(self, blocks: BlockFilter, transform: Callable[[np.ndarray, BlockFilter], np.ndarray]) -> None:
        self._blocks, self._transform = blocks, transform
        self._step_in, self._step_out = blocks.block_in - 2 * blocks.edge_in, blocks.block_out - 2 * blocks.edge_out
        self._waiting = np.zeros(blocks.edge_in, dtype=np.float32)  # silence before the recording
        self._received = self._returned = 0

    def push(self, samples: np.ndarray, last: bool = False) -> np.ndarray:
        blocks = self._blocks
        self._received += len(samples)
        missing = 0
        if last:
            length = blocks.resampled_length(self._received) - self._returned
            count = math.ceil(length / self._step_out)
            missing = max(0, count * self._step_in + 2 * blocks.edge_in - len(self._waiting) - len(samples))
        waiting = np.concatenate([self._waiting, samples, np.zeros(missing, dtype=np.float32)])
        count = count if last else max(0, (len(waiting) - 2 * blocks.edge_in) // self._step_in)
        self._waiting = waiting[count * self._step_in :]
        if count == 0:
            return np.empty(0, dtype=np.float32)
        windows = np.lib.stride_tricks.sliding_window_view(waiting, blocks.block_in, writeable=True)[:: self._step_in][
            :count
        ]
        resampled = self._transform(windows, blocks).reshape(-1)[: length if last else None]
        self._returned += len(resampled)
        return resampled


def _transform_blocks(windows: np.ndarray, blocks: BlockFilter) -> np.ndarray:
    """As `resample.transform_blocks`, with SciPy's FFT."""
    spectrum = scipy.fft.rfft(windows, axis=1)[:, : len(blocks.response)] * blocks.response
    return scipy.fft.irfft(spectrum, n=blocks.block_out, axis=1)[:, blocks.edge_out : -blocks.edge_out]
