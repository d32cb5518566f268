"""Our small network for log-mels: a strided stem, then residual blocks at a sixteenth of the points and below."""

from collections.abc import Sequence

import torch
from torch import nn

from birdnet_nl.models.time_pooling import TimePooling


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
            # Averaged before the 1×1 convolution (He et al., 2019): nothing is skipped, and a 1×1 convolution with a
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

    Args:
        types: how many vocalization types, in the order of the checkpoint's list.
        channels: of the stem and first residual block, then of the others, each at half the mels and frames.
        dropout: before the logits.
        pooling: over time, see `TimePooling`. With `log_mean_exp`, which checkpoints that do not say had, one loud
            syllable in a quiet segment counts.
    """

    def __init__(self, types: int, channels: Sequence[int], dropout: float, pooling: str = "log_mean_exp") -> None:
        super().__init__()
        if not 0 <= dropout < 1:
            raise ValueError(f"model.dropout={dropout} must lie between 0 and 1")
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
        self.pooling = TimePooling(channels[-1], pooling)
        self.head = nn.Linear(self.pooling.num_features, types)

    @property
    def num_features(self) -> int:
        """Columns of `features`."""
        return self.pooling.num_features

    def features(self, mel: torch.Tensor) -> torch.Tensor:
        """What the answer is made of, float32 [batch, width]."""
        features = self.blocks(self.stem(mel))  # [batch, 1, mels, frames] -> [batch, channels, mels/16, frames/16]
        over_time = features.mean(dim=2).float()  # -> [batch, channels, frames/16]
        return self.pooling(over_time)

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        return self.forward_head(self.features(mel))

    def forward_head(self, features: torch.Tensor) -> torch.Tensor:
        return self.head(self.dropout(features))  # [batch, width] -> [batch, types]
