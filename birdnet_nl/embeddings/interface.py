"""Interface of embedding models: pretrained networks that turn windows of sound into vectors; without torch."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from birdnet_nl.recordings.recording import Recording
from birdnet_nl.species.table import Species
from birdnet_nl.util.errors import RunError

if TYPE_CHECKING:
    import torch

Embed = Callable[[np.ndarray, int, Species], np.ndarray]
"""A recording, float32 [samples] between -1 and 1, the first sample of a window, and the species of the recording ->
float32 [1 + dimensions] of that window.

The first value is the species score: the logit of that species; 0 for no species, and from a model without species.
"""

NO_SPECIES = Species("", "", "", "", "", 0)
"""In place of a species where there is none, as in synthetic recordings."""


@dataclass(frozen=True)
class TrainingAudio:
    """Recordings that an embedding model may be trained on, and the settings of the run.

    Attributes:
        recordings: of the training split; their labels are not used.
        mel_dir, embeddings_dir: folders of cached mels and embeddings.
        segment_s, segment_hop_s: length of a window and distance from one to the next.
        synthetic: whether the recordings are the demo's, which are made as those for synthetic pretraining are.
    """

    recordings: Sequence[Recording]
    mel_dir: Path
    embeddings_dir: Path
    segment_s: float
    segment_hop_s: float
    workers: int
    seed: int
    synthetic: bool


class EmbeddingModel(ABC):
    """One pretrained network.

    Attributes:
        name, version: with the distance between windows they determine the folder in the cache.
        sample_rate_hz, window_s: of the network's input.
        dimensions: of the vector of a window, without the species score.
        licence, credit: of the network, empty where it has none of its own; printed when it is used and stored with
            every model that uses it.
        cached: whether embeddings are kept on disk; not those of a network that is trained in each run.
        is_trained: whether it can embed already, without `fit`.
        pretrained_on_synthetic: whether its own weights come from synthetic recordings, which are made as the demo's
            are, so that metrics on the demo would be too high.
        embeds_synthetic: whether synthetic recordings are embedded too; zeros stand for their embeddings otherwise.
        concatenated_with: another model for the same windows, whose embeddings follow this one's; None for none.
    """

    name: ClassVar[str]
    version: str
    sample_rate_hz: ClassVar[int]
    window_s: ClassVar[float]
    dimensions: int
    licence: str = ""
    credit: str = ""
    cached: ClassVar[bool] = True
    is_trained: bool = True
    pretrained_on_synthetic: ClassVar[bool] = False
    embeds_synthetic: ClassVar[bool] = True
    concatenated_with: "EmbeddingModel | None" = None

    @abstractmethod
    def check_installed(self) -> None:
        """Raise `SetupError` with the command to install the network where it is missing; fast."""

    @abstractmethod
    def load(self) -> Embed:
        """Load the network for one thread: only that thread calls the returned function."""

    def fit(self, training: TrainingAudio) -> None:
        """Train the model where it is not trained yet; by default there is nothing to train."""
        return None

    def state(self) -> "dict[str, torch.Tensor] | None":
        """The weights that a checkpoint must keep to compute the same embeddings; None where the package has them."""
        return None

    def load_state(self, state: "Mapping[str, torch.Tensor]") -> None:
        """Load the weights that `state` returned."""
        raise RunError(
            f"{self.name} has no weights in a checkpoint; use the version of birdnet_nl that the model was trained "
            "with, or train again"
        )

    @property
    def parts(self) -> "list[EmbeddingModel]":
        """This model and those concatenated with it."""
        return [self, *(self.concatenated_with.parts if self.concatenated_with else ())]

    @property
    def window_samples(self) -> int:
        return round(self.window_s * self.sample_rate_hz)

    def describe(self) -> dict[str, Any]:
        """The description for checkpoints, plain values; `build_embedding_model` calls the class with `arguments`."""
        kind = type(self)
        return {
            "_target_": f"{kind.__module__}.{kind.__qualname__}",
            "name": self.name,
            "version": self.version,
            "licence": self.licence,
            "credit": self.credit,
        }


def cut_clip(samples: np.ndarray, start: int, length: int) -> np.ndarray:
    """Cut `length` samples from `start` on; beyond the end of the recording there are zeros."""
    inside = samples[start : start + length]
    return np.pad(inside, (0, length - len(inside)))
