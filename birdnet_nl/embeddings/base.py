"""What a feature extractor is: a pretrained network that turns windows of sound into vectors."""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
import torch

from birdnet_nl.species.table import Species
from birdnet_nl.util.errors import RunError

PACKAGE = "birdnet_nl.embeddings."

Extract = Callable[[np.ndarray, int, Species], np.ndarray]
"""A recording, float32 [samples] between -1 and 1, the first sample of a window, and the species said to be heard ->
float32 [1 + dimensions] of that window.

The first value is a presence: the logit of that species; 0 of no species, and from an extractor that knows none.
"""

NOBODY = Species("", "", "", "", "", 0)
"""In place of a species where none is meant, as with invented birds."""


class EmbeddingModel(ABC):
    """One pretrained network. Perch or BirdMAE would be another subclass of some forty lines.

    Attributes:
        name, version: together with the distance between windows they name the folder of the cache.
        sample_rate_hz, window_s: what the network hears at a time.
        dimensions: of the vector of a window.
        licence, credit: of the network, empty where it has none of its own; shown when it is used and stored with every
            model made with it.
        kept_on_disk: whether features are kept in the cache; not those of a network that each run makes anew.
        has_learned: whether it can hear already.
        heard_invented: whether it has practised on invented birds, which are made as the demo's are.
        beside: another extractor of the same windows, whose features stand after these; None for none.
    """

    name: ClassVar[str]
    version: str
    sample_rate_hz: ClassVar[int]
    window_s: ClassVar[float]
    dimensions: ClassVar[int]
    licence: str = ""
    credit: str = ""
    kept_on_disk: ClassVar[bool] = True
    has_learned: bool = True
    pretrained_on_synthetic: ClassVar[bool] = False
    beside: "EmbeddingModel | None" = None

    @abstractmethod
    def check(self) -> None:
        """Raise `SetupError` with what to install when the network is not there; quick."""

    @abstractmethod
    def open(self) -> Extract:
        """Load the network for one thread: what is returned is called by that thread alone."""

    def weights(self) -> dict[str, torch.Tensor] | None:
        """What a checkpoint must carry for it to hear the same later; None where the package has all of it."""
        return None

    def give(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Take what `weights` gave."""
        raise RunError(f"{self.name} has no weights of its own; use another version of birdnet_nl, or train anew")

    @property
    def passes(self) -> int:
        """How many times a recording is heard: by this one, and by those beside it."""
        return 1 + (self.beside.passes if self.beside else 0)

    @property
    def window_samples(self) -> int:
        return round(self.window_s * self.sample_rate_hz)

    def describe(self) -> dict[str, str | float]:
        """What a checkpoint keeps of it, plain values."""
        kind = type(self)
        return {
            "_target_": f"{kind.__module__}.{kind.__name__}",
            "name": self.name,
            "version": self.version,
            "licence": self.licence,
            "credit": self.credit,
        }


def stretch(samples: np.ndarray, start: int, length: int) -> np.ndarray:
    """`length` samples from `start` on; beyond the end of the recording there is silence."""
    inside = samples[start : start + length]
    return np.pad(inside, (0, length - len(inside)))


def build_embedding_model(
    description: Mapping[str, Any], weights: Mapping[str, torch.Tensor] | None = None
) -> EmbeddingModel:
    """The extractor that `describe` described; only classes of this package, so a checkpoint cannot name other code.

    `weights` are what `weights()` gave. Raises `RunError` when the features of the one here are others.
    """
    target = description["_target_"]
    if not target.startswith(PACKAGE):
        raise RunError(f"a feature extractor must come from {PACKAGE.rstrip('.')}, not from {target}")
    module, _, name = target.rpartition(".")
    embedding_model = getattr(importlib.import_module(module), name)()
    try:
        if weights is not None:
            embedding_model.give(weights)
        fits = embedding_model.version == description["version"]
    except (RuntimeError, KeyError):  # of torch, for weights of other names or sizes
        fits = False
    if not fits:
        raise RunError(
            f"the model was trained on features of {embedding_model.name} {description['version']}, which this version of "
            "birdnet_nl does not make; use the version it was trained with, or train anew"
        )
    embedding_model.licence, embedding_model.credit = description["licence"], description["credit"]
    return embedding_model
