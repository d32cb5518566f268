"""A network for features of a whole recording: pooled over its segments first, decided then."""

from collections.abc import Sequence

import torch
from torch import nn

from birdnet_nl.models.bag_pooling import BagPooling


class BagNetwork(nn.Module):
    """Features of a pretrained network, [segments, 1 + dimensions], to logits [recordings, types].

    A type is known of a recording and not of each of its seconds, so nothing is decided before all segments have been
    pooled. What follows is one linear layer: some hundred recordings do not decide on more.

    Args:
        types: how many vocalization types, in the order of the checkpoint's list.
        dimensions: of the blocks of a segment's features, such as an embedding and the layers before it; a presence of
            the species stands before them (`features/extractor.py`). Each block weighs the same, whatever its size.
        pooling: see `BagPooling`.
        penalty: price of the squared weights in training, against the sum of the losses of the recordings.

    `shift` and `scale` bring each pooled feature of the training recordings around 0, and the sum of their squares to
    1, so that the penalty means the same whatever the pooling.
    """

    def __init__(self, types: int, dimensions: Sequence[int], pooling: Sequence[str], penalty: float) -> None:
        super().__init__()
        if penalty <= 0:
            raise ValueError(f"model.penalty={penalty} must be above 0: there are more features than recordings")
        self.penalty = penalty
        self.pooling = BagPooling(sum(dimensions), pooling)
        weights = torch.cat([torch.full((size,), size**-0.5) for size in dimensions])
        self.register_buffer("weights", weights.repeat(len(pooling)) / (len(dimensions) * len(pooling)) ** 0.5)
        self.head = nn.Linear(self.pooling.width, types)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.register_buffer("shift", torch.zeros(self.pooling.width))
        self.register_buffer("scale", torch.ones(self.pooling.width))

    @property
    def width(self) -> int:
        """Dimensions of `features`."""
        return self.pooling.width

    @property
    def learns_features(self) -> bool:
        return self.pooling.learns

    def forward(self, segments: torch.Tensor, recordings: torch.Tensor) -> torch.Tensor:
        return self.answer(self.features(segments, recordings))  # -> [recordings, types]

    def features(self, segments: torch.Tensor, recordings: torch.Tensor) -> torch.Tensor:
        """Pooled: [segments, 1 + dimensions], indices of their recordings [segments] -> [recordings, width]."""
        segments = segments.float()
        return self.pooling(segments[:, 1:], segments[:, 0], recordings)

    def settle(self, segments: torch.Tensor, recordings: torch.Tensor) -> None:
        """Learn from training recordings what pooling must know before it can begin; no types are needed."""
        self.pooling.settle(segments.float()[:, 1:], recordings)

    def answer(self, features: torch.Tensor) -> torch.Tensor:
        return self.head((features - self.shift) * self.scale)

    def penalised(self) -> list[torch.Tensor]:
        return [self.head.weight, *([self.pooling.score.weight] if self.pooling.learns else [])]

    @torch.no_grad()
    def scale_by(self, features: torch.Tensor) -> None:
        """Set `shift` and `scale` from the features of training recordings [recordings, width]."""
        spread = features.std(dim=0, correction=0).clamp(min=1e-6)
        self.shift.copy_(features.mean(dim=0))
        self.scale.copy_(self.weights / spread)
