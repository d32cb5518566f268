"""Support vector machine on the mean embedding of a recording, alone and beside a `RecordingClassifier`."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import torch
from torch import nn

from birdnet_nl.models.recording_classifier import RecordingClassifier, check_l2

MIN_WEIGHT = 1e-3  # of a segment in which the recognizer finds nothing of the species
RESIZED = ("vectors", "coefficients")  # buffers whose length is the number of support vectors


class SupportVectorClassifier(nn.Module):
    """Embeddings of segments, [segments, 1 + dimensions], to logits of recordings, [recordings, types].

    The first column is the species score, and the last `num_features` columns are used.

    A support vector machine with a Gaussian kernel decides between each pair of types; one linear layer turns its
    decision values into logits. `training/support_vectors.py` fits both.

    Args:
        types: number of vocalization types, in the order of the checkpoint's list.
        blocks: sizes of the parts of an embedding; only their sum matters.
        c: cost of a recording on the wrong side.
        l2: weight of the squared weights of the linear layer, against the sum of the recordings' losses.
    """

    def __init__(self, types: int, blocks: Sequence[int], c: float = 2.0, l2: float = 1.0) -> None:
        super().__init__()
        check_l2(l2)
        if isinstance(c, bool) or not c > 0:
            raise ValueError(f"model.c={c} must be above 0")
        self.c, self.l2, self.num_features = c, l2, sum(blocks)
        self.pairs = list(combinations(range(types), 2))
        for name in ("shift", "scale"):
            self.register_buffer(name, torch.zeros(self.num_features))
        self.register_buffer("vectors", torch.zeros(0, self.num_features))
        self.register_buffer("coefficients", torch.zeros(len(self.pairs), 0))
        self.register_buffer("intercepts", torch.zeros(len(self.pairs)))
        self.head = nn.Linear(len(self.pairs), types)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, segments: torch.Tensor, recordings: torch.Tensor) -> torch.Tensor:
        return self.forward_head(self.forward_features(segments, recordings))  # -> [recordings, types]

    def forward_features(self, segments: torch.Tensor, recordings: torch.Tensor) -> torch.Tensor:
        """Average [segments, 1 + dimensions], with the index of each one's recording, to [recordings, dimensions]."""
        segments = segments.float()
        weights = segments[:, :1].sigmoid() + MIN_WEIGHT
        zeros = segments.new_zeros(int(recordings.max()) + 1, 1 + self.num_features)
        sums = zeros.index_add(0, recordings, torch.cat([weights, segments[:, -self.num_features :] * weights], dim=1))
        return sums[:, 1:] / sums[:, :1]

    def forward_head(self, features: torch.Tensor) -> torch.Tensor:
        return self.head(self.decision_values(features))

    def decision_values(self, features: torch.Tensor) -> torch.Tensor:
        """Compute the decision value of each pair of types: [recordings, dimensions] -> [recordings, pairs]."""
        distances = torch.cdist(self.scaled(features), self.vectors, compute_mode="donot_use_mm_for_euclid_dist")
        kernel = (-distances.square() / self.num_features).exp()  # gamma of scikit-learn's `scale`
        return kernel @ self.coefficients.T + self.intercepts

    def scaled(self, features: torch.Tensor) -> torch.Tensor:
        return (features - self.shift) * self.scale

    @torch.no_grad()
    def fit_scaler(self, features: torch.Tensor) -> None:
        """Set `shift` and `scale` from the features of training recordings [recordings, dimensions]."""
        self.shift.copy_(features.mean(dim=0))
        self.scale.copy_(1 / features.std(dim=0, correction=0).clamp(min=1e-6))

    def set_machine(self, vectors: torch.Tensor, coefficients: torch.Tensor, intercepts: torch.Tensor) -> None:
        """Take a fitted machine: scaled support vectors [vectors, dimensions], [pairs, vectors] and [pairs]."""
        device = self.shift.device
        self.vectors, self.coefficients = vectors.float().to(device), coefficients.float().to(device)
        self.intercepts.copy_(intercepts)

    def _load_from_state_dict(self, state_dict: Mapping[str, torch.Tensor], prefix: str, *others: Any) -> None:
        """Load a machine with any number of support vectors."""
        for name in RESIZED:
            if (stored := state_dict.get(prefix + name)) is not None:
                setattr(self, name, getattr(self, name).new_zeros(stored.shape))
        super()._load_from_state_dict(state_dict, prefix, *others)


class CombinedClassifier(nn.Module):
    """Product of the probabilities of a `RecordingClassifier` and of a `SupportVectorClassifier`.

    Embeddings of segments, [segments, 1 + dimensions], to logits of recordings, [recordings, types].

    Args:
        types: number of vocalization types, in the order of the checkpoint's list.
        blocks: sizes of the parts of an embedding; the last one is the support vector machine's.
        c: of the support vector machine.
        settings: of the `RecordingClassifier`.
    """

    def __init__(self, types: int, blocks: Sequence[int], c: float = 2.0, **settings: Any) -> None:
        super().__init__()
        self.of_layers = RecordingClassifier(types, blocks[:-1], **settings)
        self.machine = SupportVectorClassifier(types, blocks[-1:], c)
        self.num_features = self.of_layers.num_features + self.machine.num_features

    @property
    def l2(self) -> float:
        return self.of_layers.l2

    def forward(self, segments: torch.Tensor, recordings: torch.Tensor) -> torch.Tensor:
        return self.forward_head(self.forward_features(segments, recordings))  # -> [recordings, types]

    def forward_features(self, segments: torch.Tensor, recordings: torch.Tensor) -> torch.Tensor:
        parts = [part.forward_features(segments, recordings) for part in (self.of_layers, self.machine)]
        return torch.cat(parts, dim=1)  # -> [recordings, num_features]

    def forward_head(self, features: torch.Tensor) -> torch.Tensor:
        of_layers, of_embedding = features.split([self.of_layers.num_features, self.machine.num_features], dim=1)
        logits = (self.of_layers.forward_head(of_layers), self.machine.forward_head(of_embedding))
        return sum(part.log_softmax(dim=1) for part in logits)
