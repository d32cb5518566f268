"""A compact network that hears a window of mel as a large pretrained network hears its sound."""

from collections.abc import Mapping

import torch
from torch import nn

from birdnet_nl.models.compact_cnn import CompactCnn
from birdnet_nl.models.layer_statistics import STATISTICS, layer_statistics

BACKBONE = {"channels": [32, 64, 128], "dropout": 0.0}


class DistillationNetwork(nn.Module):
    """Mels scaled to 0…1, [batch, 1, mels, frames], to a teacher's features [batch, dimensions].

    One linear layer makes of the statistics of a `CompactCnn`'s last channels what the teacher would have said. `shift`
    and `scale` are those of the teacher's features.
    """

    def __init__(self, dimensions: int) -> None:
        super().__init__()
        self.base = CompactCnn(types=3, **BACKBONE)
        self.base.head = nn.Identity()
        self.to_teacher = nn.Linear(STATISTICS * BACKBONE["channels"][-1], dimensions)
        self.register_buffer("shift", torch.zeros(dimensions))
        self.register_buffer("scale", torch.ones(dimensions))

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        return self.standardised(mel) * self.scale + self.shift

    def standardised(self, mel: torch.Tensor) -> torch.Tensor:
        """The answer around 0 with a deviation near 1, which training compares."""
        features = self.base.blocks(self.base.stem(mel))  # -> [batch, channels, mels/16, frames/16]
        return self.to_teacher(layer_statistics(features))

    def begin_with(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Take stem and blocks of a `CompactCnn` that has practised (`models/pretrained.py`)."""
        self.base.load_state_dict({name: value for name, value in weights.items() if not name.startswith("head.")})
