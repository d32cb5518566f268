"""Encoding of sound for the players of a page, and of clips that are predicted or kept; demo sound: `synthetic/`."""

import io

import numpy as np
import soundfile

from birdnet_nl.audio.resample import resample

MAX_RATE_HZ = 32_000
MP3_RATES_HZ = (8_000, 16_000, 22_050, 24_000, 32_000)


def encode_mp3(samples: np.ndarray, sample_rate_hz: int) -> bytes:
    """Encode float32 [samples] of one channel as mp3 of about 60 kbit/s, at a rate of at most 32 kHz."""
    rate_hz = next((rate for rate in MP3_RATES_HZ if rate >= sample_rate_hz), MAX_RATE_HZ)
    if rate_hz != sample_rate_hz:
        samples = resample(np.ascontiguousarray(samples, dtype=np.float32), sample_rate_hz, rate_hz)
    file = io.BytesIO()
    soundfile.write(file, np.clip(samples, -1, 1), rate_hz, format="MP3", compression_level=0.7)
    return file.getvalue()


def encode_wav(samples: np.ndarray, sample_rate_hz: int) -> bytes:
    """Encode float32 [samples] of one channel as WAV without loss."""
    file = io.BytesIO()
    soundfile.write(file, samples, sample_rate_hz, format="WAV", subtype="FLOAT")
    return file.getvalue()


def encode_flac(samples: np.ndarray, sample_rate_hz: int) -> bytes:
    """Encode float32 [samples, channels] as FLAC with 24 bits; what exceeds full scale is clipped."""
    file = io.BytesIO()
    soundfile.write(file, np.clip(samples, -1, 1), sample_rate_hz, format="FLAC", subtype="PCM_24")
    return file.getvalue()
