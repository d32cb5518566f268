"""The original's network (emsn-vocalization), unchanged: four convolution blocks and two linear layers."""

from collections.abc import Sequence

import torch
from torch import nn

from birdnet_nl.models.lean_block import lean_block


class EmsnCnn(nn.Module):
    """Mels scaled to 0…1, [batch, 1, mels, frames], to logits [batch, types]; 422 K parameters for three types.

    Args:
        types: how many vocalization types, in the order of the checkpoint's list.
        channels: of the convolution blocks; all but the last block halve mels and frames and drop whole channels.
        hidden: width of the linear layer before the logits.

    With `lean` set, a CPU computes each block in one step (`lean_block.py`): the same numbers, less memory.
    """

    def __init__(
        self, types: int, channels: Sequence[int], hidden: int, channel_dropout: float, hidden_dropout: float
    ) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        for index, (inputs, outputs) in enumerate(zip([1, *channels], channels, strict=False)):
            blocks += [nn.Conv2d(inputs, outputs, kernel_size=3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()]
            if index < len(channels) - 1:
                blocks += [nn.MaxPool2d(2), nn.Dropout2d(channel_dropout)]
        self.features = nn.Sequential(*blocks)
        self.head = nn.Sequential(
            nn.Linear(channels[-1], hidden), nn.ReLU(), nn.Dropout(hidden_dropout), nn.Linear(hidden, types)
        )
        self.lean = False

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        # [batch, 1, mels, frames] -> [batch, channels, mels/8, frames/8]
        features = self._lean_features(mel) if self.lean and mel.device.type == "cpu" else self.features(mel)
        return self.head(features.mean(dim=(2, 3)))  # global average -> [batch, types]

    def _lean_features(self, mel: torch.Tensor) -> torch.Tensor:
        features = mel
        layers = list(self.features)
        for index, layer in enumerate(layers):
            if isinstance(layer, nn.Conv2d):
                pool = any(isinstance(after, nn.MaxPool2d) for after in layers[index + 1 : index + 4])
                features = lean_block(features, layer, layers[index + 1], pool)
            elif isinstance(layer, nn.Dropout2d):
                features = layer(features)
        return features
