"""The mel bands of a front end: which bins of a spectrum they need, and with which weights."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.sparse import csr_array

from birdnet_nl.util.errors import SetupError


@dataclass(frozen=True)
class Filterbank:
    """A bin belongs to two bands at most, so that a sparse product needs a sixtieth of the work of a full one.

    Attributes:
        bins: the part of a spectrum [1 + n_fft / 2] that any band needs.
        weights: float32 [mels, used bins]; `weights @ power[bins]` gives the bands of `power` [bins, frames].
    """

    bins: slice
    weights: csr_array


@lru_cache(maxsize=4)
def mel_filterbank(sample_rate_hz: int, n_fft: int, n_mels: int, f_min_hz: float, f_max_hz: float) -> Filterbank:
    """torchaudio's coefficients, which are librosa's; raises `SetupError` when torchaudio cannot be imported."""
    try:
        from torchaudio.functional import melscale_fbanks
    except (OSError, ImportError) as error:
        raise SetupError(
            f"torchaudio cannot be imported ({_first_line(error)}); beside a CPU-only torch its compiled part "
            "must be moved aside, run: python -m birdnet_nl.audio.repair_torchaudio"
        ) from error
    bands = melscale_fbanks(
        n_freqs=1 + n_fft // 2,
        f_min=f_min_hz,
        f_max=f_max_hz,
        n_mels=n_mels,
        sample_rate=sample_rate_hz,
        norm="slaney",  # the original used librosa, so slaney for both
        mel_scale="slaney",
    )  # [bins, mels]
    bins_per_hz = n_fft / sample_rate_hz
    used = slice(int(f_min_hz * bins_per_hz), int(f_max_hz * bins_per_hz) + 1)
    return Filterbank(used, csr_array(bands[used].T.numpy()))


def band_centres_hz(sample_rate_hz: int, n_fft: int, n_mels: int, f_min_hz: float, f_max_hz: float) -> np.ndarray:
    """Centre of gravity of each band, [mels]; 0 for a band too narrow to hold a bin."""
    bands = mel_filterbank(sample_rate_hz, n_fft, n_mels, f_min_hz, f_max_hz)
    bins_hz = np.arange(bands.bins.start, bands.bins.start + bands.weights.shape[1]) * sample_rate_hz / n_fft
    return (bands.weights @ bins_hz) / np.maximum(bands.weights.sum(axis=1), 1e-12)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
