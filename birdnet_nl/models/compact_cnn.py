"""Compact residual network for log-mels: a strided stem, then residual blocks at a sixteenth of the points."""

import math
from collections.abc import Sequence

import torch
from torch import nn

STATISTICS = 4  # numbers per channel in `layer_statistics`


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions beside a shortcut (He et al., 2016).

    [batch, inputs, mels, frames] -> [batch, outputs, mels/stride, frames/stride].
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv2d(inputs, outputs, kernel_size=3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            # Averaged before the 1×1 convolution (He et al., 2019): no value is skipped, and a 1×1 convolution with a
            # stride and fewer than 16 channels overwrites memory in bf16 (torch 2.13 on a CPU).
            self.shortcut = nn.Sequential(
                nn.AvgPool2d(stride, ceil_mode=True) if stride != 1 else nn.Identity(),
                nn.Conv2d(inputs, outputs, kernel_size=1, bias=False),
                nn.BatchNorm2d(outputs),
            )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.branch(features) + self.shortcut(features))


class CompactCnn(nn.Module):
    """Mels scaled to 0…1, [batch, 1, mels, frames], to logits [batch, types]; 308 K parameters for three types.

    Pooling over time is log-mean-exp, between mean and maximum: one loud syllable in a quiet segment counts.

    Args:
        types: number of vocalization types, in the order of the checkpoint's list.
        channels: of the stem and the first residual block, then of the other blocks, each at half the mels and frames.
        dropout: before the linear layer.
    """

    def __init__(self, types: int, channels: Sequence[int], dropout: float) -> None:
        super().__init__()
        if not 0 <= dropout < 1:
            raise ValueError(f"model.dropout={dropout} must be at least 0 and below 1")
        self.stem = nn.Sequential(
            nn.Conv2d(1, channels[0], kernel_size=7, stride=2, padding=3, bias=False),
            nn.BatchNorm2d(channels[0]),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
        )
        self.blocks = nn.Sequential(
            *(
                ResidualBlock(inputs, outputs, stride=1 if index == 0 else 2)
                for index, (inputs, outputs) in enumerate(zip([channels[0], *channels], channels, strict=False))
            )
        )
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(channels[-1], types)

    @property
    def num_features(self) -> int:
        return self.head.in_features

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        return self.forward_head(self.forward_features(mel))

    def forward_features(self, mel: torch.Tensor) -> torch.Tensor:
        """Compute the inputs of the linear layer, float32 [batch, num_features]."""
        features = self.blocks(self.stem(mel))  # [batch, 1, mels, frames] -> [batch, channels, mels/16, frames/16]
        return log_mean_exp(features.mean(dim=2).float())  # -> [batch, channels]

    def forward_head(self, features: torch.Tensor) -> torch.Tensor:
        return self.head(self.dropout(features))  # [batch, num_features] -> [batch, types]


def log_mean_exp(features: torch.Tensor) -> torch.Tensor:
    """Pool over time, whatever the number and order of frames: [batch, channels, frames] -> [batch, channels]."""
    return features.logsumexp(dim=2) - math.log(features.shape[2])


def layer_statistics(features: torch.Tensor) -> torch.Tensor:
    """Summarise a layer's activations over a window: [batch, channels, mels, frames] -> float32 [batch, 4 · channels].

    Per channel the mean, the maximum, the standard deviation over time, and the mean over time of the loudest band.
    """
    features = features.float()
    mean_over_bands = features.mean(dim=2)  # -> [batch, channels, frames]
    statistics = [
        mean_over_bands.mean(dim=2),
        features.amax(dim=(2, 3)),
        (mean_over_bands.var(dim=2, correction=0) + 1e-6).sqrt(),  # differentiable where nothing changes, too
        features.amax(dim=2).mean(dim=2),
    ]
    return torch.cat(statistics, dim=1)
