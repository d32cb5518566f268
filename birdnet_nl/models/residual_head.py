"""Residual linear head on a frozen base network: the prediction for all species, corrected for one of them."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from birdnet_nl.models.recording_classifier import check_l2
from birdnet_nl.models.registry import build_network


class ResidualHead(nn.Module):
    """Logits of a frozen base network plus those of a linear head on the same features, [batch, types].

    The head starts at zero, where the prediction is that of the base, and the L2 penalty keeps it near there: the fewer
    recordings of the species, the closer the prediction stays to that for all species.

    Args:
        types: of the base network.
        base: description of the base network, which must have `num_features`, `forward_features` and `forward_head`,
            such as `CompactCnn` and `RecordingClassifier`.
        logit_scale: factor on the base's logits, 1 / its calibrated temperature.
        l2: weight of the squared weights in training, against the sum of the recordings' losses.

    `shift` and `scale` bring the features of the species' training recordings to mean 0 and a mean squared norm of 1.
    """

    def __init__(self, types: int, base: Mapping[str, Any], logit_scale: float, l2: float) -> None:
        super().__init__()
        check_l2(l2)
        self.base = build_network(base).requires_grad_(False)
        self.logit_scale, self.l2 = logit_scale, l2
        self.head = nn.Linear(self.base.num_features, types)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.register_buffer("shift", torch.zeros(self.base.num_features))
        self.register_buffer("scale", torch.ones(()))

    def train(self, mode: bool = True) -> "ResidualHead":
        """Keep the base in evaluation mode: no dropout, no batch statistics."""
        super().train(mode)
        self.base.eval()
        return self

    @property
    def num_features(self) -> int:
        return self.base.num_features

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return self.forward_head(self.forward_features(*inputs))

    def forward_features(self, *inputs: torch.Tensor) -> torch.Tensor:
        """Compute the base's features from the base's inputs: [batch, …] -> float32 [batch, num_features]."""
        return self.base.forward_features(*inputs).float()

    def forward_head(self, features: torch.Tensor) -> torch.Tensor:
        return self.classify(self.transform(features))

    def transform(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute the base's logits and the scaled inputs of the head, which do not change while it is trained."""
        return self.logit_scale * self.base.forward_head(features), (features - self.shift) * self.scale

    def classify(self, transformed: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        base_logits, features = transformed
        return base_logits + self.head(features)

    def regularized_parameters(self) -> list[torch.Tensor]:
        return [self.head.weight, self.head.bias]

    @torch.no_grad()
    def fit_scaler(self, features: torch.Tensor) -> None:
        """Set `shift` and `scale` from the features of training recordings [recordings, num_features]."""
        self.shift.copy_(features.mean(dim=0))
        norm = (features - self.shift).square().sum(dim=1).mean().sqrt()
        self.scale.copy_(1 / norm.clamp(min=1e-6))

    def fit_landmarks(self, features: torch.Tensor, others: torch.Tensor | None) -> None:
        """Do nothing: the head is linear, and the base keeps its own landmarks."""
