"""The simplest extractor: how loud each of some bands is, relative to the loudest. It needs no extra.

For trying everything that is done with features, and to see what a pretrained network adds to loudness.
"""

import numpy as np

from birdnet_nl.embeddings.base import EmbeddingModel, Extract, stretch
from birdnet_nl.species.table import Species


class Bands(EmbeddingModel):
    """Level of 32 bands from 150 Hz to 15 kHz, evenly spaced in pitch: mean and deviation over 3 s, in bel."""

    name = "bands"
    version = "1"
    sample_rate_hz = 32_000
    window_s = 3.0
    dimensions = 64

    def check(self) -> None:
        """Nothing is needed."""

    def open(self) -> Extract:
        return _levels


FFT_SAMPLES, FRAME_SAMPLES, BANDS = 1024, 1024, 32
EDGES_HZ = np.geomspace(150, 15_000, BANDS + 1)


def _levels(samples: np.ndarray, start: int, species: Species) -> np.ndarray:
    clip = stretch(samples, start, round(Bands.window_s * Bands.sample_rate_hz))
    frames = clip[: len(clip) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES) * np.hanning(FRAME_SAMPLES)
    power = np.abs(np.fft.rfft(frames, FFT_SAMPLES)) ** 2
    frequencies = np.fft.rfftfreq(FFT_SAMPLES, 1 / Bands.sample_rate_hz)
    band_of = np.digitize(frequencies, EDGES_HZ) - 1
    sums = np.stack([power[:, band_of == band].sum(axis=1) for band in range(BANDS)], axis=1)  # [frames, bands]
    loudest = max(sums.max(), 1e-12)
    level = np.log10(np.maximum(sums / loudest, 1e-6))
    return np.concatenate([[0.0], level.mean(axis=0), level.std(axis=0)]).astype(np.float32)
