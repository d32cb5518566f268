"""Sound files to samples. The only place that decodes."""

from collections.abc import Iterator
from functools import reduce
from pathlib import Path

import numpy as np
import soundfile

from birdnet_nl.util.errors import DataError

SILENCE_PEAK = 1e-4
"""A recording whose largest sample stays below this (-80 dB re full scale) holds no sound."""


def decode(path: Path, sample_rate_hz: int) -> np.ndarray:
    """Samples of a whole file, float32 [samples], channels averaged, resampled to `sample_rate_hz`.

    Raises `DataError` with the reason when the file is empty, unreadable or silent.
    """
    if path.stat().st_size == 0:
        raise DataError("empty file")
    try:
        channels, file_rate_hz = soundfile.read(path, dtype="float32", always_2d=True)  # [samples, channels]
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise _cannot_be_decoded(path, error) from error
    samples = average_channels(channels)
    if samples.size == 0:
        raise DataError("holds no samples")
    peak = max(samples.max(), -samples.min())
    if not np.isfinite(peak):
        raise DataError("holds samples that are not numbers")
    if peak < SILENCE_PEAK:
        raise DataError("silent (largest sample below -80 dB)")
    if file_rate_hz != sample_rate_hz:
        from birdnet_nl.audio.resample import resample  # torch, which looking at files does without

        samples = resample(samples, file_rate_hz, sample_rate_hz)
    return samples


def average_channels(channels: np.ndarray) -> np.ndarray:
    """[samples, channels] -> [samples], without a copy of a single channel.

    Channel by channel, since NumPy's `mean(axis=1)` takes twenty times as long: more than decoding.
    """
    return channels[:, 0] if channels.shape[1] == 1 else reduce(np.add, channels.T) / channels.shape[1]


def decode_blocks(path: Path, block_s: float = 10.0) -> Iterator[tuple[np.ndarray, int]]:
    """A file as it is stored, block by block: float32 [samples, channels] and the sample rate in Hz.

    For looking at files: memory does not grow with duration, and nothing is averaged, resampled or judged. Each block
    may lie in the same memory as the one before. Raises `DataError` when the file cannot be decoded.
    """
    try:
        with soundfile.SoundFile(path) as file:
            block = np.empty((max(1, round(block_s * file.samplerate)), file.channels), dtype=np.float32)
            while len(samples := file.read(out=block, dtype="float32")):
                yield samples, file.samplerate
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise _cannot_be_decoded(path, error) from error


def _cannot_be_decoded(path: Path, error: Exception) -> DataError:
    reason = str(error).replace(f"Error opening {str(path)!r}: ", "").rstrip(".")
    return DataError(f"cannot be decoded ({reason})")
