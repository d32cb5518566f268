"""Sound files to samples. The only place that decodes."""

from pathlib import Path

import numpy as np
import soundfile
import soxr

from birdnet_nl.errors import DataError

AUDIO_SUFFIXES = (".mp3", ".wav", ".flac", ".ogg")
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
        reason = str(error).replace(f"Error opening {str(path)!r}: ", "").rstrip(".")
        raise DataError(f"cannot be decoded ({reason})") from error
    samples = channels[:, 0] if channels.shape[1] == 1 else channels.mean(axis=1)
    if samples.size == 0:
        raise DataError("holds no samples")
    if not np.isfinite(samples).all():
        raise DataError("holds samples that are not numbers")
    if np.abs(samples).max() < SILENCE_PEAK:
        raise DataError("silent (largest sample below -80 dB)")
    if file_rate_hz != sample_rate_hz:
        samples = soxr.resample(samples, file_rate_hz, sample_rate_hz)
    return np.ascontiguousarray(samples, dtype=np.float32)
