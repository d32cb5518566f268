"""A small embedding model for tests that need no pretrained network."""

from collections.abc import Callable

import numpy as np
import pytest

from birdnet_nl.embeddings.base import Embed, EmbeddingModel, cut_clip
from birdnet_nl.species.table import Species
from birdnet_nl.util.errors import SetupError


class Loudness(EmbeddingModel):
    """Mean and maximum of the samples of a second; the species score is the length of the species' name."""

    name, version, sample_rate_hz, window_s, dimensions = "loudness", "1", 8000, 1.0, 2
    licence, credit = "MIT", "this test"

    def __init__(self) -> None:
        self.loaded, self.embedded, self.installed = 0, 0, True

    def check_installed(self) -> None:
        if not self.installed:
            raise SetupError("loudness is not installed")

    def load(self) -> Embed:
        self.loaded += 1

        def embed(samples: np.ndarray, start: int, species: Species) -> np.ndarray:
            clip = cut_clip(samples, start, self.window_samples)
            assert clip.shape == (self.window_samples,) and clip.dtype == np.float32
            self.embedded += 1
            return np.array([len(species.slug), clip.mean(), clip.max()], dtype=np.float32)

        return embed


@pytest.fixture(scope="session")
def loudness() -> type[Loudness]:
    return Loudness


@pytest.fixture(scope="session")
def noise() -> Callable[[float], np.ndarray]:
    """Make seconds of noise at the sample rate of the mels."""
    return lambda seconds: np.random.default_rng(2).normal(0, 0.05, round(seconds * 32_000)).astype(np.float32)
