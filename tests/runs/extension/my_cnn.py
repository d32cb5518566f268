"""A network from outside the package."""

import torch
from torch import nn


class MyCnn(nn.Module):
    """Mels scaled to 0…1, [batch, 1, mels, frames] -> logits [batch, types]."""

    def __init__(self, types: int, channels: int) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, channels, 5, stride=3), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        self.head = nn.Linear(channels, types)

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(mel).flatten(1))
