"""A network for features of a whole recording: pooled over its segments first, decided then."""

from collections.abc import Sequence

import torch
from torch import nn

from birdnet_nl.models.bag_pooling import RecordingPooling
from birdnet_nl.models.landmarks import NystroemFeatures


class RecordingClassifier(nn.Module):
    """Features of a pretrained network, [segments, 1 + dimensions], to logits [recordings, types].

    A type is known of a recording and not of each of its seconds, so nothing is decided before all segments have been
    pooled. What follows is one linear layer, on the pooled features or on their nearness to landmarks: some hundred
    recordings do not decide on more.

    Args:
        types: how many vocalization types, in the order of the checkpoint's list.
        dimensions: of the blocks of a segment's features, such as the layers of a network; a presence of the species
            stands before them (`features/embedding_model.py`). Each block weighs the same, whatever its size.
        pooling: see `RecordingPooling`.
        penalty: price of the squared weights in training, against the sum of the losses of the recordings.
        presence: whether the presence is a block too. How surely a species is heard tells types apart: song is what
            recognisers know best.
        landmarks: how many at most, see `NystroemFeatures`; 0 for none, which is a linear decision.
        kernel_rate: see `NystroemFeatures`.

    `shift` and `scale` bring each pooled feature of the training recordings around 0, and the sum of their squares to
    1, so that penalty and kernel mean the same whatever the pooling.
    """

    def __init__(
        self,
        types: int,
        dimensions: Sequence[int],
        pooling: Sequence[str],
        l2: float,
        species_score: bool = False,
        landmarks: int = 0,
        gamma: float = 0.3,
    ) -> None:
        super().__init__()
        if l2 <= 0:
            raise ValueError(f"model.penalty={l2} must be above 0: there are more features than recordings")
        self.l2, self.species_score = l2, species_score
        blocks = [1, *dimensions] if species_score else list(dimensions)
        self.pooling = RecordingPooling(sum(blocks), pooling)
        weights = torch.cat([torch.full((size,), size**-0.5) for size in blocks])
        self.register_buffer("weights", weights.repeat(len(pooling)) / (len(blocks) * len(pooling)) ** 0.5)
        self.landmarks = NystroemFeatures(self.pooling.num_features, landmarks, gamma) if landmarks != 0 else None
        self.head = nn.Linear(landmarks or self.pooling.num_features, types)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.register_buffer("shift", torch.zeros(self.pooling.num_features))
        self.register_buffer("scale", torch.ones(self.pooling.num_features))

    @property
    def num_features(self) -> int:
        """Dimensions of `features`."""
        return self.pooling.num_features

    @property
    def learns_features(self) -> bool:
        return self.pooling.learns

    def forward(self, segments: torch.Tensor, recordings: torch.Tensor) -> torch.Tensor:
        return self.forward_head(self.features(segments, recordings))  # -> [recordings, types]

    def features(self, segments: torch.Tensor, recordings: torch.Tensor) -> torch.Tensor:
        """Pooled: [segments, 1 + dimensions], indices of their recordings [segments] -> [recordings, width]."""
        segments = segments.float()
        return self.pooling(self._pooled_columns(segments), segments[:, 0], recordings)

    def fit_statistics(self, segments: torch.Tensor, recordings: torch.Tensor) -> None:
        """Learn from training recordings what pooling must know before it can begin; no types are needed."""
        self.pooling.fit_statistics(self._pooled_columns(segments.float()), recordings)

    def forward_head(self, features: torch.Tensor) -> torch.Tensor:
        return self.decide(self.represent(features))

    def represent(self, features: torch.Tensor) -> torch.Tensor:
        """What the linear layer sees of pooled features; no weights are learned before it, but those of attention."""
        scaled = (features - self.shift) * self.scale
        return scaled if self.landmarks is None else self.landmarks(scaled)

    def decide(self, represented: torch.Tensor) -> torch.Tensor:
        return self.head(represented)

    def penalised(self) -> list[torch.Tensor]:
        return [self.head.weight, *([self.pooling.score.weight] if self.pooling.learns else [])]

    @torch.no_grad()
    def fit_scaler(self, features: torch.Tensor) -> None:
        """Set `shift` and `scale` from the features of training recordings [recordings, width]."""
        spread = features.std(dim=0, correction=0).clamp(min=1e-6)
        self.shift.copy_(features.mean(dim=0))
        self.scale.copy_(self.weights / spread)

    def fit_landmarks(self, features: torch.Tensor, others: torch.Tensor | None) -> None:
        """Among training recordings and others that stand beside them, [recordings, width] both; after `fit_scaler`."""
        if self.landmarks is not None:
            scaled = [None if rows is None else (rows - self.shift) * self.scale for rows in (features, others)]
            self.landmarks.place(*scaled)

    def _pooled_columns(self, segments: torch.Tensor) -> torch.Tensor:
        return segments if self.species_score else segments[:, 1:]
