"""What a network that has practised on invented birds makes of a window, layer by layer; no real recording taught it.

Its last layer has learned what song, call and alarm of invented birds are like, its first ones what sounds are made of.
Which of it holds for real birds, the decision learns from recordings. How sounds move stands beside it.
"""

import hashlib
from collections.abc import Mapping

import numpy as np
import torch

from birdnet_nl.audio.mel import Normalise
from birdnet_nl.embeddings.mel_embedding import MEL, ExtractMel, MelEmbeddingModel, window_for_network
from birdnet_nl.embeddings.modulation import Modulation
from birdnet_nl.models.compact_cnn import CompactCnn
from birdnet_nl.models.distilled_cnn import BACKBONE
from birdnet_nl.models.layer_statistics import STATISTICS, layer_statistics
from birdnet_nl.models.pretrained import SHIPPED, read_pretrained
from birdnet_nl.models.weights_file import halved, in_full

BLOCKS = tuple(STATISTICS * channels for channels in BACKBONE["channels"])
"""Sizes of the parts of a window's vector: one for each residual block."""


class FrozenCnn(MelEmbeddingModel):
    """Of three seconds, four numbers for each channel of the three residual blocks; `Modulation` stands beside it.

    The weights are those that come with the package, or, of a finished run, those it was made with.
    """

    name = "practised"
    dimensions = sum(BLOCKS)
    pretrained_on_synthetic = True

    def __init__(self) -> None:
        self.beside = Modulation()
        self._network: CompactCnn | None = None

    @property
    def network(self) -> CompactCnn:
        if self._network is None:
            self._take(read_pretrained(SHIPPED).weights)
        return self._network

    @property
    def version(self) -> str:
        """Differs with the weights: what was kept of others is not taken for these."""
        content = hashlib.sha256()
        for value in self.weights().values():
            content.update(value.numpy().tobytes())
        return f"1-{content.hexdigest()[:8]}"

    def weights(self) -> dict[str, torch.Tensor]:
        """In half precision, for a checkpoint."""
        return halved(self.network.state_dict())

    def give(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Those of `weights()`."""
        self._take(in_full(weights))

    def open_mel(self) -> ExtractMel:
        network, frames, normalise = self.network, MEL.segment_frames(self.window_s), Normalise(MEL)

        @torch.inference_mode()
        def extract(mel_db: np.ndarray, first: int) -> np.ndarray:
            mel = window_for_network(mel_db, first, frames, normalise)
            heard, layers = network.stem(mel), []  # [1, 1, mels, frames] -> [1, channels, mels/4, frames/4]
            for block in network.blocks:
                heard = block(heard)  # each but the first halves mels and frames
                layers.append(layer_statistics(heard)[0].numpy())
            return np.concatenate([[0.0], *layers]).astype(np.float32)

        return extract

    def _take(self, weights: Mapping[str, torch.Tensor]) -> None:
        network = CompactCnn(types=3, **BACKBONE)
        network.load_state_dict(weights)
        self._network = network.eval().to(memory_format=torch.channels_last)
