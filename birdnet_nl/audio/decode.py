"""Decoding and resampling of sound files; no other module decodes.

Resampling has soxr's HQ frequency response, applied by blocks of FFTs where that is faster than soxr itself. PyTorch is
imported only when a file is resampled, so that inspecting files stays light.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, reduce
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile
import soxr

from birdnet_nl.util.errors import DataError

if TYPE_CHECKING:
    import torch

SILENCE_PEAK = 1e-4
"""Peak (-80 dB re full scale) below which a recording counts as silent."""

BLOCK_SAMPLES = 7000  # approximate; a power of two times the shortest stretch that is whole at both rates
BLOCKS = 32  # transformed at once, because torch plans an FFT at every call
EDGE_SAMPLES = 128  # at the lower rate: half of soxr's filter and a margin, discarded at both ends of a block
MAX_UNIT_SAMPLES = 1000  # above it, as from 44,056 to 48,000 Hz (5507:6000), blocks become too long


def decode(path: Path, sample_rate_hz: int) -> np.ndarray:
    """Decode a whole file to float32 [samples], with channels averaged, at `sample_rate_hz`.

    Raises `DataError` with the reason when the file is empty, unreadable or silent.
    """
    if path.stat().st_size == 0:
        raise DataError("empty file")
    try:
        channels, file_rate_hz = soundfile.read(path, dtype="float32", always_2d=True)  # [samples, channels]
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise _decode_error(path, error) from error
    samples = average_channels(channels)
    if samples.size == 0:
        raise DataError("contains no samples")
    peak = max(samples.max(), -samples.min())
    if not np.isfinite(peak):
        raise DataError("contains samples that are not finite numbers")
    if peak < SILENCE_PEAK:
        raise DataError("silent (largest sample below -80 dB)")
    return samples if file_rate_hz == sample_rate_hz else resample(samples, file_rate_hz, sample_rate_hz)


def average_channels(channels: np.ndarray) -> np.ndarray:
    """[samples, channels] -> [samples]; a single channel is returned without a copy.

    Adds channel by channel, because NumPy's `mean(axis=1)` takes twenty times as long, which is more than decoding.
    """
    return channels[:, 0] if channels.shape[1] == 1 else reduce(np.add, channels.T) / channels.shape[1]


def decode_blocks(path: Path, block_s: float = 10.0) -> Iterator[tuple[np.ndarray, int]]:
    """Yield a file as stored, block by block: float32 [samples, channels] and the sample rate in Hz.

    Memory does not grow with duration, and nothing is averaged or resampled. A block is valid until the next one is
    read, because the buffer is reused. Raises `DataError` when the file cannot be decoded.
    """
    try:
        with soundfile.SoundFile(path) as file:
            block = np.empty((max(1, round(block_s * file.samplerate)), file.channels), dtype=np.float32)
            while len(samples := file.read(out=block, dtype="float32")):
                yield samples, file.samplerate
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise _decode_error(path, error) from error


def _decode_error(path: Path, error: Exception) -> DataError:
    reason = str(error).replace(f"Error opening {str(path)!r}: ", "").rstrip(".")
    return DataError(f"cannot be decoded ({reason})")


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
    response: torch.Tensor


@lru_cache(maxsize=16)
def block_filter(rate_in_hz: int, rate_out_hz: int) -> BlockFilter | None:
    """Build the filter between two rates from soxr's impulse response; None where soxr itself is faster."""
    import torch

    common = math.gcd(rate_in_hz, rate_out_hz)
    unit_in, unit_out = rate_in_hz // common, rate_out_hz // common  # the shortest stretch that is whole at both rates
    fast_fft = torch.backends.mkl.is_available()
    if not fast_fft or max(unit_in, unit_out) > MAX_UNIT_SAMPLES or rate_in_hz >= 2 * rate_out_hz:
        return None
    units = 2 ** round(math.log2(BLOCK_SAMPLES / unit_in))
    edge_units = math.ceil(EDGE_SAMPLES / min(unit_in, unit_out))
    block_in, block_out = units * unit_in, units * unit_out
    impulse = np.zeros(2 * block_in)
    impulse[block_in] = 1
    impulse_response = soxr.resample(impulse, rate_in_hz, rate_out_hz)[block_out // 2 : block_out // 2 + block_out]
    response = np.fft.rfft(np.fft.ifftshift(impulse_response)).real  # real, because the impulse response is symmetric
    response = response[: min(block_in, block_out) // 2 + 1].astype(np.float32)
    return BlockFilter(block_in, block_out, edge_units * unit_in, edge_units * unit_out, torch.from_numpy(response))


def resample(samples: np.ndarray, rate_in_hz: int, rate_out_hz: int) -> np.ndarray:
    """Resample float32 [samples] as soxr's HQ quality does, librosa's default too; beyond both ends is silence."""
    blocks = block_filter(rate_in_hz, rate_out_hz)
    if blocks is None:
        return soxr.resample(samples, rate_in_hz, rate_out_hz)
    return _resample_blocks(samples, blocks)


def _resample_blocks(samples: np.ndarray, blocks: BlockFilter) -> np.ndarray:
    """Overlap-save: each block is filtered circularly, and its edges are discarded."""
    import torch

    step_in, step_out = blocks.block_in - 2 * blocks.edge_in, blocks.block_out - 2 * blocks.edge_out
    length = math.floor(len(samples) * blocks.block_out / blocks.block_in + 0.5)
    count = math.ceil(length / step_out)
    with torch.inference_mode():
        padded = torch.zeros(count * step_in + 2 * blocks.edge_in)
        padded[blocks.edge_in : blocks.edge_in + len(samples)] = torch.from_numpy(samples)
        windows = padded.unfold(0, blocks.block_in, step_in)  # [blocks, block_in], overlapping
        resampled = torch.empty(count, step_out)
        for start in range(0, count, BLOCKS):
            group = slice(start, start + BLOCKS)
            spectrum = torch.fft.rfft(windows[group])[:, : len(blocks.response)] * blocks.response
            resampled[group] = torch.fft.irfft(spectrum, n=blocks.block_out)[:, blocks.edge_out : -blocks.edge_out]
    return resampled.view(-1)[:length].numpy()
