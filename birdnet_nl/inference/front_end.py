"""Front ends without torch: log-mel spectrograms, from the parameters and the filterbank in an exported file."""

import base64
import math
import zlib
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import scipy.fft
from scipy.sparse import csr_array

from birdnet_nl.inference.streaming import FrontEnd

POWER_FLOOR = 1e-10  # as in `audio.mel`, which imports torch
BLOCK_FRAMES = 128  # computed at once: their spectra fit in the processor's cache
SAMPLES_EXACT_S, SAMPLES_STEP_S = 120.0, 60.0  # of stretches of samples, which no median is taken over


def pack_bands(bins: slice, weights: np.ndarray) -> dict[str, Any]:
    """Describe a filterbank, [mels, used bins], in plain values: first bin, shape, and compressed weights."""
    content = zlib.compress(np.ascontiguousarray(weights, dtype="<f4").tobytes(), 9)
    return {"first_bin": bins.start, "shape": list(weights.shape), "weights": base64.b64encode(content).decode()}


def unpack_bands(packed: Mapping[str, Any]) -> tuple[slice, np.ndarray]:
    """Return the used bins of the spectrum, and the weights, float32 [mels, used bins]."""
    weights = np.frombuffer(zlib.decompress(base64.b64decode(packed["weights"])), dtype="<f4").reshape(packed["shape"])
    return slice(packed["first_bin"], packed["first_bin"] + weights.shape[1]), weights


def numpy_front_end(mel: Mapping[str, Any], bands: Mapping[str, Any], dtype: type = np.float16) -> FrontEnd:
    """Build the front end of `audio.mel.log_mel`; its values differ from those by rounding."""
    bins, weights = unpack_bands(bands)
    n_fft, hop = mel["n_fft"], mel["hop_samples"]
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)).astype(np.float32)
    compute = partial(_log_mel, window=window, hop=hop, bins=bins, weights=csr_array(weights))
    return FrontEnd(mel["sample_rate_hz"], n_fft, hop, compute, mel["normalisation"] == "band_median", dtype)


def sample_front_end(sample_rate_hz: int) -> FrontEnd:
    """Front end of networks that take samples."""
    return FrontEnd(
        sample_rate_hz, 0, 1, lambda samples: samples[None], False, np.float32, SAMPLES_EXACT_S, SAMPLES_STEP_S
    )


def _log_mel(samples: np.ndarray, window: np.ndarray, hop: int, bins: slice, weights: csr_array) -> np.ndarray:
    n_fft, n_frames = len(window), 1 + len(samples) // hop
    padded = np.pad(samples, (n_fft // 2, n_fft))
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop]
    mel = np.empty((weights.shape[0], n_frames), dtype=np.float32)
    for start in range(0, n_frames, BLOCK_FRAMES):
        block = slice(start, min(start + BLOCK_FRAMES, n_frames))
        spectrum = scipy.fft.rfft(frames[block] * window, axis=1)[:, bins]
        power = spectrum.real**2 + spectrum.imag**2  # -> [frames, bins]
        mel[:, block] = weights @ power.T  # -> [mels, frames]
    np.maximum(mel, POWER_FLOOR, out=mel)
    np.log(mel, out=mel)
    mel *= 10 / math.log(10)  # -> dB
    return mel


def frame_activity(mel_db: np.ndarray, bird_bands: np.ndarray, noise_db: float) -> np.ndarray:
    """Compute the bird activity as `audio.activity.frame_activity` does, dB [mels, frames] -> [frames]."""
    bands = mel_db[bird_bands].astype(np.float32)
    middle = (bands.shape[1] - 1) // 2
    noise = np.partition(bands, middle, axis=1)[:, middle, None] + noise_db
    return np.maximum(bands - noise, 0).mean(axis=0)


def mean_of_windows(activity: np.ndarray, firsts: list[int], frames: int) -> np.ndarray:
    """Compute the mean activity of windows, float32 [windows]; frames beyond the end count as 0."""
    sums = np.concatenate([[0.0], np.cumsum(activity, dtype=np.float64)])
    starts = np.minimum(firsts, max(0, len(activity) - frames))
    ends = np.minimum(starts + frames, len(activity))
    return ((sums[ends] - sums[starts]) / frames).astype(np.float32)
