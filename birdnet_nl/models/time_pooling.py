"""One vector from features along time: how much a short sound weighs against what is around it."""

import math

import torch
from torch import nn

KINDS = ("log_mean_exp", "attention", "mean_max")


class TimePooling(nn.Module):
    """[batch, channels, frames] -> [batch, width], whatever the number of frames and their order.

    Args:
        kind: `log_mean_exp`, between mean and maximum; `attention`, a mean weighted by a learned score of each frame;
            `mean_max`, both side by side, so that `num_features` is twice `channels`.
    """

    def __init__(self, channels: int, kind: str) -> None:
        super().__init__()
        if kind not in KINDS:
            raise ValueError(f"model.pooling={kind} is unknown; choose one of {', '.join(KINDS)}")
        self.kind = kind
        self.num_features = 2 * channels if kind == "mean_max" else channels
        if kind == "attention":
            self.score = nn.Linear(channels, 1)
            nn.init.zeros_(self.score.weight)  # all frames alike, until training finds better
            nn.init.zeros_(self.score.bias)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        if self.kind == "log_mean_exp":
            return features.logsumexp(dim=2) - math.log(features.shape[2])
        if self.kind == "mean_max":
            return torch.cat([features.mean(dim=2), features.amax(dim=2)], dim=1)
        weight = self.score(features.transpose(1, 2)).float().softmax(dim=1)  # -> [batch, frames, 1]
        return (features @ weight)[:, :, 0]
