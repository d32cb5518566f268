"""What a classifier is worth: figures per segment, and per recording after pooling its segments."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torchmetrics.functional import classification as metrics

from birdnet_nl.evaluation.intervals import bootstrap_intervals
from birdnet_nl.training.module import types_of_recordings

OVERALL = ("balanced_accuracy", "macro_f1", "accuracy", "auroc", "average_precision")


@dataclass(frozen=True)
class Predictions:
    """Answers on one split, before any temperature.

    Attributes:
        probabilities: float32 [segments, types]; true_types, recordings: int64 [segments].
        recording_ids: id of each recording index.
        whole: what a network that decides on whole recordings answered to them, float32 [recordings, types]; None for
            one that knows segments only.
        species: slug of the species of each recording index; empty where nobody asks.
        activity: of each segment, float32 [segments] (`data/segment_activity.py`); None where it is not known.
    """

    probabilities: torch.Tensor
    true_types: torch.Tensor
    recordings: torch.Tensor
    recording_ids: list[str]
    whole: torch.Tensor | None = None
    species: Sequence[str] = ()
    activity: torch.Tensor | None = None

    @classmethod
    def join(
        cls,
        batches: Sequence[tuple[torch.Tensor, ...]],
        recording_ids: list[str],
        species: Sequence[str] = (),
        activity: torch.Tensor | None = None,
    ) -> "Predictions":
        """From what `predict_step` of a classifier gave for each batch."""
        probabilities, types, recordings, *whole = (torch.cat(parts).cpu() for parts in zip(*batches, strict=True))
        return cls(probabilities, types, recordings, recording_ids, whole[0] if whole else None, species, activity)

    @property
    def types_of_recordings(self) -> torch.Tensor:
        """True type of each recording, int64 [recordings]."""
        return types_of_recordings(self.true_types, self.recordings)


def score(probabilities: torch.Tensor, true_types: torch.Tensor, types: Sequence[str]) -> dict[str, Any]:
    """Figures for answers [items, types] against true types [items].

    Balanced accuracy is the mean recall over types, so that guessing scores 1/types whatever the counts; AUROC and
    average precision are means of one type against the rest. `confusion` has true types in rows and answers in columns.
    A figure that the items do not define is None, and `absent` says why.
    """
    n = len(types)
    counts = torch.bincount(true_types, minlength=n).tolist()
    answered = torch.bincount(probabilities.argmax(dim=1), minlength=n).tolist()
    recall = metrics.multiclass_recall(probabilities, true_types, num_classes=n, average=None).tolist()
    precision = metrics.multiclass_precision(probabilities, true_types, num_classes=n, average=None).tolist()
    lacking = [name for name, count in zip(types, counts, strict=True) if not count]
    absent = {f"recall/{name}": f"no {name} among the {len(true_types)}" for name in lacking}
    absent |= {
        f"precision/{name}": f"{name} was never answered" for name, a in zip(types, answered, strict=True) if not a
    }
    figures: dict[str, float | None] = {
        "accuracy": float(metrics.multiclass_accuracy(probabilities, true_types, num_classes=n, average="micro"))
    }
    if lacking:
        why = f"needs every type, and there is no {' and no '.join(lacking)}"
        absent |= {name: why for name in OVERALL if name not in figures}
    else:
        figures |= {
            "balanced_accuracy": float(np.mean(recall)),
            "macro_f1": float(metrics.multiclass_f1_score(probabilities, true_types, num_classes=n, average="macro")),
            "auroc": float(metrics.multiclass_auroc(probabilities, true_types, num_classes=n, average="macro")),
            "average_precision": float(
                metrics.multiclass_average_precision(probabilities, true_types, num_classes=n, average="macro")
            ),
        }
    return {
        **{name: figures.get(name) for name in OVERALL},
        "recall": {name: None if f"recall/{name}" in absent else recall[kind] for kind, name in enumerate(types)},
        "precision": {
            name: None if f"precision/{name}" in absent else precision[kind] for kind, name in enumerate(types)
        },
        "confusion": metrics.multiclass_confusion_matrix(probabilities, true_types, num_classes=n).tolist(),
        "count": len(true_types),
        "counts": dict(zip(types, counts, strict=True)),
        "absent": absent,
    }


def score_with_intervals(
    probabilities: torch.Tensor, true_types: torch.Tensor, groups: np.ndarray, types: Sequence[str]
) -> dict[str, Any]:
    """`score`, and for each figure its interval over `groups`, indices of recordists [items]."""
    intervals = bootstrap_intervals(probabilities.numpy(), true_types.numpy(), groups, types)
    return {**score(probabilities, true_types, types), "intervals": intervals}
