"""A compact network that hears a window of mel as a large pretrained network hears its sound."""

from collections.abc import Mapping

import torch
from torch import nn

from birdnet_nl.models.compact_cnn import CompactCnn

TRUNK = {"channels": [32, 64, 128], "dropout": 0.0}
STATISTICS = 4


class Imitator(nn.Module):
    """Mels scaled to 0…1, [batch, 1, mels, frames], to a teacher's features [batch, dimensions].

    Of each channel of a `CompactCnn` mean, maximum, deviation over time, and mean of the loudest band; one linear layer
    makes of these what the teacher would have said. `shift` and `scale` are those of the teacher's features.
    """

    def __init__(self, dimensions: int) -> None:
        super().__init__()
        self.trunk = CompactCnn(types=3, **TRUNK)
        self.trunk.head = nn.Identity()
        self.to_teacher = nn.Linear(STATISTICS * TRUNK["channels"][-1], dimensions)
        self.register_buffer("shift", torch.zeros(dimensions))
        self.register_buffer("scale", torch.ones(dimensions))

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        return self.standardised(mel) * self.scale + self.shift

    def standardised(self, mel: torch.Tensor) -> torch.Tensor:
        """The answer around 0 with a deviation near 1, which training compares."""
        features = self.trunk.blocks(self.trunk.stem(mel)).float()  # -> [batch, channels, mels/16, frames/16]
        over_bands = features.mean(dim=2)
        statistics = [
            over_bands.mean(dim=2),
            features.amax(dim=(2, 3)),
            (over_bands.var(dim=2, correction=0) + 1e-6).sqrt(),  # which has a slope where nothing changes, too
            features.amax(dim=2).mean(dim=2),
        ]
        return self.to_teacher(torch.cat(statistics, dim=1))

    def begin_with(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Take stem and blocks of a `CompactCnn` that has practised (`models/practised.py`)."""
        self.trunk.load_state_dict({name: value for name, value in weights.items() if not name.startswith("head.")})
