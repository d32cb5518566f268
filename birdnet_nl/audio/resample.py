"""Samples at another rate: soxr's high quality, computed by FFT where that is faster."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import soxr
import torch

BLOCK_SAMPLES = 7000  # about; a power of two times the shortest stretch that is whole at both rates
BLOCKS = 32  # transformed at once; torch plans an FFT anew at every call
EDGE_SAMPLES = 128  # of the lower rate: half of soxr's filter and some more, spoilt at both ends of a block
LONGEST_UNIT = 1000  # samples; beyond, as from 44,056 to 48,000 Hz (5507:6000), blocks become too long


@dataclass(frozen=True)
class BlockFilter:
    """How blocks are resampled; sizes before resampling have the unit `_in`, after it `_out`.

    Attributes:
        block_in, block_out: samples of a block, the same stretch of time at both rates.
        edge_in, edge_out: samples at each end of a block that belong to the block beside it.
        response: what to multiply the spectrum of a block with, float32 [bins up to half of the lower rate].
    """

    block_in: int
    block_out: int
    edge_in: int
    edge_out: int
    response: torch.Tensor


@lru_cache(maxsize=16)
def block_filter(rate_in_hz: int, rate_out_hz: int) -> BlockFilter | None:
    """The filter between two rates, with soxr's own frequency response; None where soxr itself is faster."""
    common = math.gcd(rate_in_hz, rate_out_hz)
    unit_in, unit_out = rate_in_hz // common, rate_out_hz // common  # the shortest stretch that is whole at both rates
    fast_fft = torch.backends.mkl.is_available()
    if not fast_fft or max(unit_in, unit_out) > LONGEST_UNIT or rate_in_hz >= 2 * rate_out_hz:
        return None
    units = 2 ** round(math.log2(BLOCK_SAMPLES / unit_in))
    edge_units = math.ceil(EDGE_SAMPLES / min(unit_in, unit_out))
    block_in, block_out = units * unit_in, units * unit_out
    impulse = np.zeros(2 * block_in)
    impulse[block_in] = 1
    answer = soxr.resample(impulse, rate_in_hz, rate_out_hz)[block_out // 2 : block_out // 2 + block_out]
    response = np.fft.rfft(np.fft.ifftshift(answer)).real  # real, because the answer is symmetric
    response = response[: min(block_in, block_out) // 2 + 1].astype(np.float32)
    return BlockFilter(block_in, block_out, edge_units * unit_in, edge_units * unit_out, torch.from_numpy(response))


def resample(samples: np.ndarray, rate_in_hz: int, rate_out_hz: int) -> np.ndarray:
    """float32 [samples] -> float32 [samples], with silence before and after; soxr's HQ, which librosa uses too."""
    blocks = block_filter(rate_in_hz, rate_out_hz)
    if blocks is None:
        return soxr.resample(samples, rate_in_hz, rate_out_hz)
    return _resample_blocks(samples, blocks)


@torch.inference_mode()
def _resample_blocks(samples: np.ndarray, blocks: BlockFilter) -> np.ndarray:
    """Overlap-save: each block is filtered as if it were a circle, and its spoilt edges are left out."""
    step_in, step_out = blocks.block_in - 2 * blocks.edge_in, blocks.block_out - 2 * blocks.edge_out
    length = math.floor(len(samples) * blocks.block_out / blocks.block_in + 0.5)
    count = math.ceil(length / step_out)
    padded = torch.zeros(count * step_in + 2 * blocks.edge_in)
    padded[blocks.edge_in : blocks.edge_in + len(samples)] = torch.from_numpy(samples)
    stretches = padded.unfold(0, blocks.block_in, step_in)  # [blocks, block_in], overlapping
    resampled = torch.empty(count, step_out)
    for start in range(0, count, BLOCKS):
        group = slice(start, start + BLOCKS)
        spectrum = torch.fft.rfft(stretches[group])[:, : len(blocks.response)] * blocks.response
        resampled[group] = torch.fft.irfft(spectrum, n=blocks.block_out)[:, blocks.edge_out : -blocks.edge_out]
    return resampled.view(-1)[:length].numpy()
