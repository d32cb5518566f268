"""A loss from outside the package."""

import torch
from torch import nn


class FocalLoss(nn.Module):
    """Cross-entropy that weighs a type less, the more certainly it is predicted (Lin et al. 2017)."""

    def __init__(self, weight: torch.Tensor, gamma: float) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.gamma = gamma

    def forward(self, logits: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
        log_probabilities = logits.log_softmax(dim=1)
        focus = (1 - log_probabilities.exp()) ** self.gamma
        return -(self.weight * shares * focus * log_probabilities).sum(dim=1).mean()
