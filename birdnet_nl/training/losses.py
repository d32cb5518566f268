"""What training minimises: the answers of bags against their types, and a student's against its teacher's."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from birdnet_nl.training.bags import POOLINGS, pool_bags, pool_each

KINDS = ("one", "each")


@dataclass(frozen=True)
class LossSettings:
    """How answers are judged in training.

    Attributes:
        label_smoothing: share of a type's answer that is spread over all types.
        kind: `one`: types compete for the answer, a recording of several shares it between them. `each`: every type
            is a question of its own, so that a recording of several is fully each of them.
        bag_pooling: how the crops of a recording become one answer (`training/bags.py`); of `kind=one`.
        teacher_share: of the target that a student takes from its teacher's answer.
        embedding_weight: of the squared distance to the teacher's embedding, beside the loss of the answers.
    """

    label_smoothing: float
    kind: str
    bag_pooling: str
    teacher_share: float
    embedding_weight: float

    def __post_init__(self) -> None:
        for name in ("label_smoothing", "teacher_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"loss.{name}={getattr(self, name)} must lie between 0 and 1")
        for name, choices in (("kind", KINDS), ("bag_pooling", POOLINGS)):
            if getattr(self, name) not in choices:
                raise ValueError(f"loss.{name}={getattr(self, name)} is unknown; choose one of {', '.join(choices)}")
        if self.embedding_weight < 0:
            raise ValueError(f"loss.embedding_weight={self.embedding_weight} must be 0 (none) or more")


class Objective(nn.Module):
    """The loss of a training batch; `class_weights` are float32 [types]."""

    def __init__(self, settings: LossSettings, class_weights: torch.Tensor) -> None:
        super().__init__()
        self.settings = settings
        self.register_buffer("weight", class_weights)

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Logits of crops [bags · bag, types]; targets: int64 types [bags], or the share of each type [bags, types]."""
        settings, bag = self.settings, len(logits) // len(targets)
        if settings.kind == "one":
            answers = logits if bag == 1 else pool_bags(logits, bag, settings.bag_pooling)
            return F.cross_entropy(answers, targets, self.weight, label_smoothing=settings.label_smoothing)
        if targets.ndim == 1:
            targets = F.one_hot(targets, logits.shape[1])
        there = (targets > 0).float()
        smoothed = there * (1 - settings.label_smoothing) + settings.label_smoothing / logits.shape[1]
        return F.binary_cross_entropy_with_logits(pool_each(logits, bag), smoothed, self.weight.expand_as(there))
