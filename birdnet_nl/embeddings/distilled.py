"""A student: it has learned to hear as a large pretrained network does, and does so without it.

What that network would say of a window is guessed by a compact one; how sounds move stands beside it (`modulation.py`).
In training the large network must be there, afterwards no more.
"""

from collections.abc import Mapping

import numpy as np
import torch

from birdnet_nl.audio.mel import Normalise
from birdnet_nl.embeddings.base import EmbeddingModel
from birdnet_nl.embeddings.mel_embedding import MEL, ExtractMel, MelEmbeddingModel, window_for_network
from birdnet_nl.embeddings.modulation import Modulation
from birdnet_nl.models.distilled_cnn import DistillationNetwork
from birdnet_nl.models.weights_file import halved, in_full
from birdnet_nl.util.errors import RunError


class DistilledCnn(MelEmbeddingModel):
    """What its teacher would have said of three seconds, as far as it has learned to; `Modulation` stands beside it.

    Args:
        teacher: the network that it learns from; None for one that has learned.
        steps: of 64 windows, in which it learns.
        invented: recordings of invented birds to hear beside the real ones, where these are real.
        real_share: of the windows of a step.
    """

    name = "student"
    version = "1"
    kept_on_disk = False

    def __init__(
        self,
        teacher: EmbeddingModel | None = None,
        steps: int = 1000,
        invented: int = 1500,
        real_share: float = 0.6,
    ) -> None:
        for name, value in (("steps", steps), ("invented", invented)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"data.features.{name}={value} must be a whole number, at least 1")
        if isinstance(real_share, bool) or not isinstance(real_share, int | float) or not 0 < real_share < 1:
            raise ValueError(f"data.features.real_share={real_share} must lie between 0 and 1")
        self.teacher, self.steps, self.invented, self.real_share = teacher, steps, invented, real_share
        self.licence = teacher.licence if teacher else ""
        self.credit = f"a student of {teacher.credit or teacher.name}" if teacher else ""
        self.network: DistillationNetwork | None = None
        self.beside = Modulation()

    @property
    def has_learned(self) -> bool:
        return self.network is not None

    @property
    def dimensions(self) -> int:
        return len(self.network.shift) if self.has_learned else self.teacher.dimensions

    def check(self) -> None:
        if not self.has_learned:
            self.teacher.check()

    def weights(self) -> dict[str, torch.Tensor]:
        """In half precision, for a checkpoint."""
        if not self.has_learned:
            raise RunError("a student that has not learned yet has no weights")
        return halved(self.network.state_dict())

    def give(self, weights: Mapping[str, torch.Tensor]) -> None:
        """What it has learned, from `weights()`."""
        self.network = DistillationNetwork(len(weights["shift"]))
        self.network.load_state_dict(in_full(weights))
        self.network.eval().to(memory_format=torch.channels_last)

    def open_mel(self) -> ExtractMel:
        if not self.has_learned:
            raise RunError("a student hears nothing before it has learned; a run of model=student teaches it")
        network, frames, normalise = self.network, MEL.segment_frames(self.window_s), Normalise(MEL)

        @torch.inference_mode()
        def extract(mel_db: np.ndarray, first: int) -> np.ndarray:
            heard = window_for_network(mel_db, first, frames, normalise)
            return np.concatenate([[0.0], network(heard)[0].numpy()]).astype(np.float32)

        return extract
