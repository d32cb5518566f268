"""Decoding of sound files to one channel, for training and for prediction; files are read by `decode_*.py` only."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from birdnet_nl.audio.decode_blocks import Blocks, PartOfFile, decode_blocks
from birdnet_nl.audio.decode_mono import check_levels, mono_blocks
from birdnet_nl.audio.decode_samples import SILENCE_PEAK, Levels, average_channels
from birdnet_nl.audio.resample import resample

__all__ = [
    "SILENCE_PEAK", "Blocks", "PartOfFile", "Sound", "average_channels", "decode", "decode_blocks", "decode_sound",
    "mono_blocks",
]  # fmt: skip

MAX_SAMPLES_PER_BYTE = 64  # expected of a file before it is read: Opus at 6 kbit/s


@dataclass(frozen=True)
class Sound:
    """A decoded file: float32 [samples] of one channel at `sample_rate_hz`, and a warning where it is used in part."""

    samples: np.ndarray
    sample_rate_hz: int
    warning: str = ""


def decode(path: Path, sample_rate_hz: int) -> np.ndarray:
    """Decode a whole file to float32 [samples], with channels averaged, at `sample_rate_hz`.

    Raises `DataError` with the reason when the file is empty, unreadable or silent.
    """
    return decode_sound(path, sample_rate_hz).samples


def decode_sound(path: Path, sample_rate_hz: int) -> Sound:
    """Decode as `decode` does, and return also what is missing from the file or was changed in it."""
    levels, blocks = Levels(), decode_blocks(path)
    samples = _collect(blocks, levels.add)
    treatment, changed = check_levels(levels, blocks)
    if treatment.scale != 1 or treatment.channel is not None:  # else `levels.add` returned the same
        samples = _collect(decode_blocks(path), treatment.mono)
    if blocks.sample_rate_hz != sample_rate_hz:
        samples = resample(samples, blocks.sample_rate_hz, sample_rate_hz)
    return Sound(samples, sample_rate_hz, "; ".join(filter(None, (blocks.warning, changed))))


def _collect(blocks: Blocks, mono: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Concatenate blocks, each made [samples] by `mono`, into one array of the expected length that grows if needed."""
    samples, count = np.empty(0, dtype=np.float32), 0
    largest = MAX_SAMPLES_PER_BYTE * blocks.path.stat().st_size if blocks.path.exists() else 0
    for block, _ in blocks:
        if count + len(block) > len(samples):
            expected = min(blocks.expected_samples, largest)
            grown = np.empty(max(count + len(block), expected if count == 0 else 2 * count), dtype=np.float32)
            grown[:count] = samples[:count]
            samples = grown
        samples[count : count + len(block)] = mono(block)
        count += len(block)
    return samples[:count] if count > 0.9 * len(samples) else samples[:count].copy()
