"""Resampling with the frequency response of soxr's HQ quality, by blocks of FFTs where that is faster than soxr.

PyTorch's FFT is used where PyTorch is installed, imported only when samples are resampled; elsewhere soxr resamples.
Files of any length are resampled block by block in `resample_stream.py`.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec

import numpy as np
import soxr

BLOCK_SAMPLES = 7000  # approximate; a power of two times the shortest stretch that is whole at both rates
BLOCKS = 32  # transformed at once, because torch plans an FFT at every call
EDGE_SAMPLES = 128  # at the lower rate: half of soxr's filter and a margin, discarded at both ends of a block
MAX_UNIT_SAMPLES = 1000  # above it, as from 44,056 to 48,000 Hz (5507:6000), blocks become too long


@dataclass(frozen=True)
class BlockFilter:
    """Block sizes and frequency response of an FFT resampler.

    Attributes:
        block_in, block_out: samples of a block before and after resampling.
        edge_in, edge_out: samples at each end of a block that overlap with the neighbouring block.
        response: factors for the spectrum of a block, float32 [bins up to half of the lower rate].
    """

    block_in: int
    block_out: int
    edge_in: int
    edge_out: int
    response: np.ndarray

    def resampled_length(self, samples: int) -> int:
        """Number of samples after resampling, as from soxr."""
        return math.floor(samples * self.block_out / self.block_in + 0.5)


@lru_cache(maxsize=16)
def design_filter(rate_in_hz: int, rate_out_hz: int) -> BlockFilter | None:
    """Design the filter between two rates from soxr's impulse response; None where blocks would be too long."""
    common = math.gcd(rate_in_hz, rate_out_hz)
    unit_in, unit_out = rate_in_hz // common, rate_out_hz // common  # the shortest stretch that is whole at both rates
    if max(unit_in, unit_out) > MAX_UNIT_SAMPLES or rate_in_hz >= 2 * rate_out_hz:
        return None
    units = 2 ** round(math.log2(BLOCK_SAMPLES / unit_in))
    edge_units = math.ceil(EDGE_SAMPLES / min(unit_in, unit_out))
    block_in, block_out = units * unit_in, units * unit_out
    impulse = np.zeros(2 * block_in)
    impulse[block_in] = 1
    impulse_response = soxr.resample(impulse, rate_in_hz, rate_out_hz)[block_out // 2 : block_out // 2 + block_out]
    response = np.fft.rfft(np.fft.ifftshift(impulse_response)).real  # real, because the impulse response is symmetric
    response = response[: min(block_in, block_out) // 2 + 1].astype(np.float32)
    return BlockFilter(block_in, block_out, edge_units * unit_in, edge_units * unit_out, response)


@lru_cache(maxsize=16)
def block_filter(rate_in_hz: int, rate_out_hz: int) -> BlockFilter | None:
    """Return the filter between two rates; None where soxr itself is used, as without the fast FFT of torch."""
    if find_spec("torch") is None:
        return None
    import torch

    return design_filter(rate_in_hz, rate_out_hz) if torch.backends.mkl.is_available() else None


def resample(samples: np.ndarray, rate_in_hz: int, rate_out_hz: int) -> np.ndarray:
    """Resample float32 [samples] as soxr's HQ quality does, librosa's default too; beyond both ends is silence."""
    blocks = block_filter(rate_in_hz, rate_out_hz)
    if blocks is None:
        return soxr.resample(samples, rate_in_hz, rate_out_hz)
    return _resample_blocks(samples, blocks)


def _resample_blocks(samples: np.ndarray, blocks: BlockFilter) -> np.ndarray:
    """Overlap-save: each block is filtered circularly, and its edges are discarded."""
    step_in, step_out = blocks.block_in - 2 * blocks.edge_in, blocks.block_out - 2 * blocks.edge_out
    length = blocks.resampled_length(len(samples))
    count = math.ceil(length / step_out)
    padded = np.zeros(count * step_in + 2 * blocks.edge_in, dtype=np.float32)
    padded[blocks.edge_in : blocks.edge_in + len(samples)] = samples
    windows = np.lib.stride_tricks.sliding_window_view(padded, blocks.block_in, writeable=True)[
        ::step_in
    ]  # overlapping
    return transform_blocks(windows, blocks).reshape(-1)[:length]


def overlapping(samples: np.ndarray, length: int, step: int) -> np.ndarray:
    """View of the windows of `length` samples, [windows, length], one every `step` samples."""
    return np.lib.stride_tricks.sliding_window_view(samples, length, writeable=True)[::step]


def transform_blocks(windows: np.ndarray, blocks: BlockFilter) -> np.ndarray:
    """Filter and resample overlapping blocks by torch: [blocks, block_in] -> [blocks, block_out without its edges]."""
    import torch

    with torch.inference_mode():
        views = torch.from_numpy(windows)
        response = torch.from_numpy(blocks.response)
        resampled = torch.empty(len(windows), blocks.block_out - 2 * blocks.edge_out)
        for start in range(0, len(windows), BLOCKS):
            group = slice(start, start + BLOCKS)
            spectrum = torch.fft.rfft(views[group])[:, : len(response)] * response
            resampled[group] = torch.fft.irfft(spectrum, n=blocks.block_out)[:, blocks.edge_out : -blocks.edge_out]
    return resampled.numpy()
