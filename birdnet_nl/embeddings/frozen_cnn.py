"""Frozen layers of a network pretrained on synthetic recordings as an embedding model; no real recording trains it.

The last layers tell song, call and alarm of synthetic recordings apart, the first ones describe what sounds consist
of. The classifier learns from real recordings which of these hold for real birds.
"""

import hashlib
from collections.abc import Mapping

import torch

from birdnet_nl.embeddings.base import EmbedMel, MelEmbeddingModel, embed_windows
from birdnet_nl.embeddings.modulation import Modulation
from birdnet_nl.models.compact_cnn import STATISTICS, CompactCnn, layer_statistics
from birdnet_nl.models.pretrained import SHIPPED, read_pretrained
from birdnet_nl.models.registry import to_float, to_half

CHANNELS = (32, 64, 128)  # of the weights that come with the package
BLOCKS = tuple(STATISTICS * channels for channels in CHANNELS)
"""Sizes of the parts of an embedding: one for each residual block."""


class FrozenCnn(MelEmbeddingModel):
    """Four numbers for each channel of the three residual blocks, over three seconds; `Modulation` follows.

    The weights are those that come with the package, or, for a finished run, those that it was trained with.
    """

    name = "frozen"
    dimensions = sum(BLOCKS)
    pretrained_on_synthetic = True

    def __init__(self) -> None:
        self.concatenated_with = Modulation()
        self._network: CompactCnn | None = None

    @property
    def network(self) -> CompactCnn:
        if self._network is None:
            self._load_weights(read_pretrained(SHIPPED).weights)
        return self._network

    @property
    def version(self) -> str:
        """Differs with the weights, so that cached embeddings of other weights are not used."""
        content = hashlib.sha256()
        for value in self.state().values():
            content.update(value.numpy().tobytes())
        return f"1-{content.hexdigest()[:8]}"

    def state(self) -> dict[str, torch.Tensor]:
        """Return the weights in half precision."""
        return to_half(self.network.state_dict())

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        self._load_weights(to_float(state))

    def load_for_mels(self) -> EmbedMel:
        network = self.network

        def statistics(mel: torch.Tensor) -> torch.Tensor:
            features, layers = network.stem(mel), []  # [1, 1, mels, frames] -> [1, channels, mels/4, frames/4]
            for block in network.blocks:
                features = block(features)  # each but the first halves mels and frames
                layers.append(layer_statistics(features))
            return torch.cat(layers, dim=1)

        return embed_windows(statistics, self.window_s)

    def _load_weights(self, weights: Mapping[str, torch.Tensor]) -> None:
        network = CompactCnn(types=3, channels=CHANNELS, dropout=0.0)
        network.load_state_dict(weights)
        self._network = network.eval().to(memory_format=torch.channels_last)
