"""What a classifier is worth: figures per segment, and per recording after pooling its segments."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torchmetrics.functional import classification as metrics

from birdnet_nl.training.module import pool_recordings, types_of_recordings


@dataclass(frozen=True)
class Predictions:
    """Answers on one split.

    Attributes:
        probabilities: float32 [segments, types]; true_types, recordings: int64 [segments].
        recording_ids: id of each recording index.
    """

    probabilities: torch.Tensor
    true_types: torch.Tensor
    recordings: torch.Tensor
    recording_ids: list[str]

    @classmethod
    def join(cls, batches: Sequence[tuple[torch.Tensor, ...]], recording_ids: list[str]) -> "Predictions":
        """From what `TypeClassifier.predict_step` gave for each batch."""
        probabilities, types, recordings = (torch.cat(parts).cpu() for parts in zip(*batches, strict=True))
        return cls(probabilities, types, recordings, recording_ids)

    def per_recording(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean probability over a recording's segments [recordings, types] and true type [recordings]."""
        pooled = pool_recordings(self.probabilities, self.recordings)
        return pooled, types_of_recordings(self.true_types, self.recordings)


def score(probabilities: torch.Tensor, true_types: torch.Tensor, types: Sequence[str]) -> dict[str, Any]:
    """Figures for answers [items, types] against true types [items]; every type must occur at least once.

    Balanced accuracy is the mean recall over types, so that guessing scores 1/types whatever the counts; AUROC is the
    mean of one type against the rest. `confusion` has true types in rows and answers in columns.
    """
    n = len(types)
    recall = metrics.multiclass_recall(probabilities, true_types, num_classes=n, average=None)
    return {
        "balanced_accuracy": float(recall.mean()),
        "macro_f1": float(metrics.multiclass_f1_score(probabilities, true_types, num_classes=n, average="macro")),
        "accuracy": float(metrics.multiclass_accuracy(probabilities, true_types, num_classes=n, average="micro")),
        "auroc": float(metrics.multiclass_auroc(probabilities, true_types, num_classes=n, average="macro")),
        "recall": dict(zip(types, recall.tolist(), strict=True)),
        "confusion": metrics.multiclass_confusion_matrix(probabilities, true_types, num_classes=n).tolist(),
        "count": len(true_types),
    }


def score_predictions(predictions: Predictions, types: Sequence[str]) -> dict[str, dict[str, Any]]:
    """`score` per recording and per segment."""
    return {
        "recording": score(*predictions.per_recording(), types),
        "segment": score(predictions.probabilities, predictions.true_types, types),
    }
