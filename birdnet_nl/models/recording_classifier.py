"""Classifier for embeddings of a whole recording: multiple-instance pooling over segments, then one linear layer."""

from collections.abc import Sequence

import torch
from torch import nn

POOLINGS = ("mean", "std")
PRIOR_SEGMENTS = 2  # weight of the typical variance, in segments, against a recording's own segments
MIN_EIGENVALUE_SHARE = 1e-5  # of the largest; directions in which the landmarks hardly differ are left out


class RecordingClassifier(nn.Module):
    """Embeddings of segments, [segments, 1 + dimensions], to logits of recordings, [recordings, types].

    The label belongs to the recording, not to each of its seconds, so segments are pooled before anything is
    classified. One linear layer follows, on the pooled features or on their kernel features: some hundred recordings
    do not support more. Columns after the last block are ignored.

    Args:
        types: number of vocalization types, in the order of the checkpoint's list.
        blocks: sizes of the blocks of an embedding, such as the layers of a network; the species score comes before
            them (`embeddings/base.py`). Each block has the same weight, whatever its size.
        pooling: see `RecordingPooling`.
        l2: weight of the squared weights in training, against the sum of the recordings' losses.
        species_score: whether the species score is a block too. Bird recognisers are best at song, so the score
            separates the types.
        landmarks: maximum number, see `NystroemFeatures`; 0 for a linear classifier.
        gamma: see `NystroemFeatures`.

    `shift` and `scale` bring each pooled feature of the training recordings to mean 0, and the sum of their squares to
    1, so that `l2` and `gamma` mean the same whatever the pooling.
    """

    def __init__(
        self,
        types: int,
        blocks: Sequence[int],
        pooling: Sequence[str],
        l2: float,
        species_score: bool = False,
        landmarks: int = 0,
        gamma: float = 0.3,
    ) -> None:
        super().__init__()
        check_l2(l2)
        self.l2, self.species_score = l2, species_score
        sizes = [1, *blocks] if species_score else list(blocks)
        self.pooling = RecordingPooling(sum(sizes), pooling)
        weights = torch.cat([torch.full((size,), size**-0.5) for size in sizes])
        self.register_buffer("weights", weights.repeat(len(pooling)) / (len(sizes) * len(pooling)) ** 0.5)
        self.landmarks = NystroemFeatures(self.num_features, landmarks, gamma) if landmarks != 0 else None
        self.head = nn.Linear(landmarks or self.num_features, types)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.register_buffer("shift", torch.zeros(self.num_features))
        self.register_buffer("scale", torch.ones(self.num_features))

    @property
    def num_features(self) -> int:
        return self.pooling.num_features

    def forward(self, segments: torch.Tensor, recordings: torch.Tensor) -> torch.Tensor:
        return self.forward_head(self.forward_features(segments, recordings))  # -> [recordings, types]

    def forward_features(self, segments: torch.Tensor, recordings: torch.Tensor) -> torch.Tensor:
        """Pool [segments, 1 + dimensions], with the index of each one's recording, to [recordings, num_features]."""
        return self.pooling(self._pooled_columns(segments), recordings)

    def forward_head(self, features: torch.Tensor) -> torch.Tensor:
        return self.classify(self.transform(features))

    def transform(self, features: torch.Tensor) -> torch.Tensor:
        """Compute the inputs of the linear layer, which do not change while it is trained."""
        scaled = (features - self.shift) * self.scale
        return scaled if self.landmarks is None else self.landmarks(scaled)

    def classify(self, transformed: torch.Tensor) -> torch.Tensor:
        return self.head(transformed)

    def regularized_parameters(self) -> list[torch.Tensor]:
        return [self.head.weight]

    def fit_statistics(self, segments: torch.Tensor, recordings: torch.Tensor) -> None:
        """Fit the pooling to segments of training recordings; comes before `forward_features`."""
        self.pooling.fit_statistics(self._pooled_columns(segments), recordings)

    @torch.no_grad()
    def fit_scaler(self, features: torch.Tensor) -> None:
        """Set `shift` and `scale` from the features of training recordings [recordings, num_features]."""
        std = features.std(dim=0, correction=0).clamp(min=1e-6)
        self.shift.copy_(features.mean(dim=0))
        self.scale.copy_(self.weights / std)

    def fit_landmarks(self, features: torch.Tensor, others: torch.Tensor | None) -> None:
        """Choose landmarks among training recordings and additional ones, [recordings, num_features] both.

        Comes after `fit_scaler`.
        """
        if self.landmarks is not None:
            scaled = [None if rows is None else (rows - self.shift) * self.scale for rows in (features, others)]
            self.landmarks.fit(*scaled)

    def _pooled_columns(self, segments: torch.Tensor) -> torch.Tensor:
        first = 0 if self.species_score else 1
        return segments[:, first : first + self.pooling.dimensions].float()


class RecordingPooling(nn.Module):
    """Vectors of segments to vectors of recordings: [segments, dimensions] -> [recordings, dimensions · kinds].

    The segments of several recordings are in one tensor, with the index of each segment's recording, so that
    recordings of any length need no padding.

    Args:
        kinds: statistics over the segments of a recording, concatenated in this order: `mean`, `std`.

    For noise, the expected value of both is the same whatever the number of segments, so that the classifier cannot
    use the length of a recording. `std` shrinks towards the typical variance within training recordings
    (`fit_statistics`): a single segment gets the typical standard deviation.
    """

    def __init__(self, dimensions: int, kinds: Sequence[str]) -> None:
        super().__init__()
        if not kinds or isinstance(kinds, str) or any(kind not in POOLINGS for kind in kinds):
            given = kinds if isinstance(kinds, str) else "[" + ",".join(kinds) + "]"
            raise ValueError(f"model.pooling={given} must be a list with one or more of {', '.join(POOLINGS)}")
        self.kinds, self.dimensions = list(kinds), dimensions
        self.num_features = dimensions * len(self.kinds)
        self.register_buffer("typical_variance", torch.zeros(dimensions))

    @torch.no_grad()
    def fit_statistics(self, segments: torch.Tensor, recordings: torch.Tensor) -> None:
        """Set the typical variance within a recording from training recordings."""
        counts = _counts(segments, recordings)
        squares = _residuals(segments, recordings, counts).square().sum(dim=0)
        self.typical_variance.copy_(squares / max(1, len(segments) - len(counts)))

    def forward(self, segments: torch.Tensor, recordings: torch.Tensor) -> torch.Tensor:
        """`recordings` holds indices from 0 on without gaps, int64 [segments]."""
        return torch.cat([getattr(self, f"_{kind}")(segments, recordings) for kind in self.kinds], dim=1)

    def _mean(self, segments: torch.Tensor, recordings: torch.Tensor) -> torch.Tensor:
        counts = _counts(segments, recordings)
        return _sum(segments * (1 / counts[recordings]), recordings, len(counts))

    def _std(self, segments: torch.Tensor, recordings: torch.Tensor) -> torch.Tensor:
        counts = _counts(segments, recordings)
        squares = _sum(_residuals(segments, recordings, counts).square(), recordings, len(counts))
        squares = squares + PRIOR_SEGMENTS * self.typical_variance
        return (squares / (counts - 1 + PRIOR_SEGMENTS) + 1e-12).sqrt()  # the square root of 0 has no gradient


def _counts(segments: torch.Tensor, recordings: torch.Tensor) -> torch.Tensor:
    """Number of segments of each recording, [recordings, 1]."""
    return torch.bincount(recordings).to(segments.dtype)[:, None]


def _sum(values: torch.Tensor, recordings: torch.Tensor, count: int) -> torch.Tensor:
    return values.new_zeros(count, values.shape[1]).index_add(0, recordings, values)


def _residuals(segments: torch.Tensor, recordings: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Differences of segments from the mean of their recording."""
    return segments - (_sum(segments, recordings, len(counts)) / counts)[recordings]


class NystroemFeatures(nn.Module):
    """Features [recordings, num_features] to approximate Gaussian kernel features [recordings, count].

    A linear layer on them with an L2 penalty is a kernel machine on the landmarks (Nyström's method; Williams and
    Seeger, 2001), so the decision boundary can bend where training recordings require it.

    Args:
        num_features: of the inputs, which should have mean 0 and a mean squared norm of about 1.
        count: maximum number of landmarks; with fewer recordings every one is a landmark and the other columns are 0.
        gamma: of the kernel exp(−gamma · squared distance).
    """

    def __init__(self, num_features: int, count: int, gamma: float) -> None:
        super().__init__()
        if isinstance(count, bool) or not isinstance(count, int) or count < 2:
            raise ValueError(f"model.landmarks={count} must be an integer of at least 2, or 0 for a linear classifier")
        if not gamma > 0:
            raise ValueError(f"model.gamma={gamma} must be above 0")
        self.gamma = gamma
        self.register_buffer("points", torch.zeros(count, num_features, dtype=torch.float16))
        self.register_buffer("whitening", torch.zeros(count, count))

    @torch.no_grad()
    def fit(self, features: torch.Tensor, others: torch.Tensor | None = None) -> None:
        """Choose landmarks among training recordings and `others`, at least half of them among the former.

        The order of the recordings changes only the order of the landmarks.
        """
        count = len(self.points)
        from_others = 0 if others is None else min(len(others), max(count // 2, count - len(features)))
        points = _choose_evenly(features, count - from_others)
        if from_others:
            points = torch.cat([points, _choose_evenly(others, from_others)])
        self.points.zero_()
        self.points[: len(points)] = points.to(self.points.dtype)
        kernel = self._kernel(self.points[: len(points)].float(), len(points)).double()
        values, directions = torch.linalg.eigh(kernel)
        smallest = MIN_EIGENVALUE_SHARE * values[-1]
        inverse_root = values.clamp(min=smallest).rsqrt() * (values > smallest)
        self.whitening.zero_()
        whitening = ((directions * inverse_root) @ directions.T).to(self.whitening.dtype)
        self.whitening[: len(points), : len(points)] = whitening

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self._kernel(features, len(self.points)) @ self.whitening  # -> [recordings, count]

    def _kernel(self, features: torch.Tensor, count: int) -> torch.Tensor:
        points = self.points[:count].float()
        squares = features.square().sum(dim=1)[:, None] + points.square().sum(dim=1) - 2 * features @ points.T
        return (-self.gamma * squares.clamp(min=0)).exp()


def _choose_evenly(rows: torch.Tensor, count: int) -> torch.Tensor:
    """`count` of the rows, or all of them: evenly from the smallest to the largest norm, whatever their order."""
    if len(rows) <= count:
        return rows
    by_norm = rows.norm(dim=1).argsort()
    return rows[by_norm[torch.linspace(0, len(rows) - 1, count, device=rows.device).round().long()]]


def check_l2(l2: float) -> None:
    if l2 <= 0:
        raise ValueError(f"model.l2={l2} must be above 0: there are more features than recordings")
