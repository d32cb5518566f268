"""Decoding of sound files; no other module decodes."""

from collections.abc import Iterator
from functools import reduce
from pathlib import Path

import numpy as np
import soundfile

from birdnet_nl.audio.resample import resample
from birdnet_nl.util.errors import DataError

SILENCE_PEAK = 1e-4
"""Peak (-80 dB re full scale) below which a recording counts as silent."""


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
