"""One vector per recording from those of its segments, whatever their number and order."""

from collections.abc import Sequence

import torch
from torch import nn

KINDS = ("mean", "present_mean", "maximum", "log_mean_exp", "deviation", "attention")
USUAL_SEGMENTS = 2  # that the usual variance counts for beside a recording's own segments
MIN_PRESENCE = 0.01  # weight of a segment in which the species is not heard, against 1 for one in which it is


class RecordingPooling(nn.Module):
    """Vectors of segments to vectors of recordings: [segments, dimensions] -> [recordings, kinds · dimensions].

    Segments of several recordings lie in one tensor, and an index says which is whose, so that bags of any length go
    together without padding.

    Args:
        kinds: what stands side by side. `mean`, `maximum`, `log_mean_exp` (between the two) and `deviation` (how much
            segments differ) over the segments of a recording; `present_mean`: weighted by how surely the species is
            heard; `attention`: weighted by a learned score of the segment.

    Of noise, all but `maximum` and `log_mean_exp` are on average the same whatever the number of segments, so that a
    type cannot be told from the length of its recordings. `deviation` owes this to the usual variance within training
    recordings (`fit_statistics`): a single segment is taken to differ as much as segments usually do.
    """

    def __init__(self, dimensions: int, kinds: Sequence[str]) -> None:
        super().__init__()
        unknown = [kind for kind in kinds if kind not in KINDS]
        if unknown or not kinds or isinstance(kinds, str):
            given = kinds if isinstance(kinds, str) else "[" + ",".join(kinds) + "]"
            raise ValueError(f"model.pooling={given} must be a list of some of {', '.join(KINDS)}")
        self.kinds = list(kinds)
        self.num_features = dimensions * len(self.kinds)
        self.register_buffer("usual_variance", torch.zeros(dimensions))
        if "attention" in self.kinds:
            self.score = nn.Linear(dimensions, 1)
            nn.init.zeros_(self.score.weight)  # all segments alike, until training finds better
            nn.init.zeros_(self.score.bias)

    @torch.no_grad()
    def fit_statistics(self, segments: torch.Tensor, recordings: torch.Tensor) -> None:
        """Set the usual variance within a recording from training recordings."""
        count = int(recordings.max()) + 1
        squares = (segments - _mean(segments, recordings, count)[recordings]).square().sum(dim=0)
        self.usual_variance.copy_(squares / max(1, len(segments) - count))

    @property
    def learns(self) -> bool:
        return "attention" in self.kinds

    def forward(self, segments: torch.Tensor, species_score: torch.Tensor, recordings: torch.Tensor) -> torch.Tensor:
        """`species_score` is a logit [segments]; `recordings` holds indices from 0 on without gaps [segments]."""
        count = int(recordings.max()) + 1
        pooled = [self._pool(kind, segments, species_score, recordings, count) for kind in self.kinds]
        return torch.cat(pooled, dim=1)

    def weights(self, segments: torch.Tensor, species_score: torch.Tensor, recordings: torch.Tensor) -> torch.Tensor:
        """The say of each segment in its recording's answer [segments]: of attention, else of presence, else equal."""
        count = int(recordings.max()) + 1
        if "attention" in self.kinds:
            return _softmax(self.score(segments)[:, 0], recordings, count)
        if "present_mean" in self.kinds:
            return _shares(species_score.sigmoid() + MIN_PRESENCE, recordings, count)
        return _shares(torch.ones_like(species_score), recordings, count)

    def _pool(
        self, kind: str, segments: torch.Tensor, species_score: torch.Tensor, recordings: torch.Tensor, count: int
    ) -> torch.Tensor:
        if kind == "maximum":
            return _maximum(segments, recordings, count)
        if kind == "log_mean_exp":
            highest = _maximum(segments, recordings, count)
            return highest + _mean((segments - highest[recordings]).exp(), recordings, count).log()
        if kind == "deviation":
            around = segments - _mean(segments, recordings, count)[recordings]
            numbers = torch.bincount(recordings, minlength=count).to(segments.dtype)[:, None]
            squares = _sum(around.square(), recordings, count) + USUAL_SEGMENTS * self.usual_variance
            return (squares / (numbers - 1 + USUAL_SEGMENTS) + 1e-12).sqrt()  # the root of 0 has no gradient
        if kind == "present_mean":
            shares = _shares(species_score.sigmoid() + MIN_PRESENCE, recordings, count)
        elif kind == "attention":
            shares = _softmax(self.score(segments)[:, 0], recordings, count)
        else:
            shares = _shares(torch.ones_like(species_score), recordings, count)
        return _sum(segments * shares[:, None], recordings, count)


def _sum(values: torch.Tensor, recordings: torch.Tensor, count: int) -> torch.Tensor:
    return values.new_zeros(count, *values.shape[1:]).index_add(0, recordings, values)


def _shares(weights: torch.Tensor, recordings: torch.Tensor, count: int) -> torch.Tensor:
    return weights / _sum(weights, recordings, count)[recordings]


def _softmax(scores: torch.Tensor, recordings: torch.Tensor, count: int) -> torch.Tensor:
    highest = scores.detach().new_full((count,), -torch.inf).scatter_reduce(0, recordings, scores.detach(), "amax")
    return _shares((scores - highest[recordings]).exp(), recordings, count)


def _mean(values: torch.Tensor, recordings: torch.Tensor, count: int) -> torch.Tensor:
    numbers = torch.bincount(recordings, minlength=count).to(values.dtype)
    return _sum(values, recordings, count) / numbers[:, None]


def _maximum(values: torch.Tensor, recordings: torch.Tensor, count: int) -> torch.Tensor:
    index = recordings[:, None].expand_as(values)
    return values.new_full((count, values.shape[1]), -torch.inf).scatter_reduce(0, index, values, "amax")
