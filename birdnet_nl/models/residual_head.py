"""A trained network with a head for one species: what all species taught it, corrected by a few recordings."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from birdnet_nl.models.registry import build_network


class ResidualHead(nn.Module):
    """The answer of a frozen trunk plus that of a linear head on the same features, as logits [batch, types].

    The head begins at nothing, where the answer is the trunk's, and the penalty on its weights holds it back there: the
    fewer recordings of the species there are, the closer the answer stays to that for all species.

    Args:
        types: of the trunk.
        trunk: its description; it must show its `features` and `forward_head` from them, as `CompactCnn` and `RecordingClassifier` do.
        sharpness: the trunk's logits are multiplied by it, 1 / its temperature.
        penalty: price of the squared weights in training, against the sum of the losses of the recordings.

    `shift` and `scale` bring the features of the species' training recordings around 0, to a mean square sum of 1.
    """

    def __init__(self, types: int, base: Mapping[str, Any], sharpness: float, l2: float) -> None:
        super().__init__()
        if l2 <= 0:
            raise ValueError(f"model.penalty={l2} must be above 0: there are more features than recordings")
        self.base = build_network(base).requires_grad_(False)
        self.sharpness, self.l2 = sharpness, l2
        self.head = nn.Linear(self.base.num_features, types)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.register_buffer("shift", torch.zeros(self.base.num_features))
        self.register_buffer("scale", torch.ones(()))

    def train(self, mode: bool = True) -> "ResidualHead":
        """The trunk stays as it was trained: nothing is dropped, no statistics of a batch are taken."""
        super().train(mode)
        self.base.eval()
        return self

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return self.forward_head(self.features(*inputs))

    @property
    def num_features(self) -> int:
        return self.base.num_features

    @property
    def learns_features(self) -> bool:
        return False

    def features(self, *inputs: torch.Tensor) -> torch.Tensor:
        """The trunk's, from whatever it takes: [batch, …] -> float32 [batch, width]."""
        return self.base.features(*inputs).float()

    def forward_head(self, features: torch.Tensor) -> torch.Tensor:
        return self.decide(self.represent(features))

    def represent(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The trunk's answers, and the features as the head sees them; neither changes in training."""
        return self.sharpness * self.base.forward_head(features), (features - self.shift) * self.scale

    def decide(self, represented: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        of_trunk, features = represented
        return of_trunk + self.head(features)

    def penalised(self) -> list[torch.Tensor]:
        return [self.head.weight, self.head.bias]

    @torch.no_grad()
    def fit_scaler(self, features: torch.Tensor) -> None:
        """Set `shift` and `scale` from the features of training recordings [recordings, width]."""
        self.shift.copy_(features.mean(dim=0))
        spread = (features - self.shift).square().sum(dim=1).mean().sqrt()
        self.scale.copy_(1 / spread.clamp(min=1e-6))

    def fit_landmarks(self, features: torch.Tensor, others: torch.Tensor | None) -> None:
        """A head has none of its own: it is linear, and the trunk keeps those that it has."""
