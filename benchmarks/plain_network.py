"""The original's network written out layer by layer; it shares no code with `birdnet_nl.models`."""

import torch
from torch import nn


class PlainNetwork(nn.Module):
    """[batch, 1, mels, frames] -> logits [batch, types]."""

    def __init__(self, types: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, kernel_size=3, padding=1)
        self.norm1 = nn.BatchNorm2d(32)
        self.conv2 = nn.Conv2d(32, 64, kernel_size=3, padding=1)
        self.norm2 = nn.BatchNorm2d(64)
        self.conv3 = nn.Conv2d(64, 128, kernel_size=3, padding=1)
        self.norm3 = nn.BatchNorm2d(128)
        self.conv4 = nn.Conv2d(128, 256, kernel_size=3, padding=1)
        self.norm4 = nn.BatchNorm2d(256)
        self.pool = nn.MaxPool2d(2)
        self.relu = nn.ReLU()
        self.drop_channels = nn.Dropout2d(0.25)
        self.average = nn.AdaptiveAvgPool2d(1)
        self.hidden = nn.Linear(256, 128)
        self.drop = nn.Dropout(0.5)
        self.answer = nn.Linear(128, types)

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        x = self.drop_channels(self.pool(self.relu(self.norm1(self.conv1(mel)))))
        x = self.drop_channels(self.pool(self.relu(self.norm2(self.conv2(x)))))
        x = self.drop_channels(self.pool(self.relu(self.norm3(self.conv3(x)))))
        x = self.average(self.relu(self.norm4(self.conv4(x)))).flatten(1)
        return self.answer(self.drop(self.relu(self.hidden(x))))
