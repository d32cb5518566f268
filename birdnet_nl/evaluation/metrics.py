"""Classification metrics of predictions on segments or on recordings, with confidence intervals."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torchmetrics.functional import classification as functional

from birdnet_nl.evaluation.intervals import bootstrap_intervals
from birdnet_nl.training.module import types_of_recordings
from birdnet_nl.util.errors import DataError

OVERALL = ("balanced_accuracy", "macro_f1", "accuracy", "auroc", "average_precision")


@dataclass(frozen=True)
class Predictions:
    """Predictions on one split, before calibration.

    Attributes:
        probabilities: float32 [segments, types]; true_types, recordings: int64 [segments].
        recording_ids: id of each recording index.
        whole: predictions of a network for whole recordings, float32 [recordings, types]; None for a network that
            predicts segments.
        species: slug of the species of each recording index; empty where it is not needed.
        activity: bird activity of each segment, float32 [segments]; None where it is unknown.

    Raises:
        DataError: if a prediction is not a finite number, which `argmax` would take for the first type.
    """

    probabilities: torch.Tensor
    true_types: torch.Tensor
    recordings: torch.Tensor
    recording_ids: list[str]
    whole: torch.Tensor | None = None
    species: Sequence[str] = ()
    activity: torch.Tensor | None = None

    def __post_init__(self) -> None:
        of_recordings = torch.arange(len(self.recording_ids))
        for values, recordings in ((self.probabilities, self.recordings), (self.whole, of_recordings)):
            if values is not None and not values.isfinite().all():
                bad = recordings[~values.isfinite().all(dim=1)].unique()
                others = f" (and {len(bad) - 1} others)" if len(bad) > 1 else ""
                raise DataError(
                    f"the prediction for recording {self.recording_ids[bad[0]]}{others} is not a finite number, so "
                    "nothing is evaluated; take it out, or train again with a smaller optimizer.lr if it is sound"
                )

    @classmethod
    def join(
        cls,
        batches: Sequence[tuple[torch.Tensor, ...]],
        recording_ids: list[str],
        species: Sequence[str] = (),
        activity: torch.Tensor | None = None,
    ) -> "Predictions":
        """Concatenate the outputs of a classifier's `predict_step`."""
        probabilities, types, recordings, *whole = (torch.cat(parts).cpu() for parts in zip(*batches, strict=True))
        return cls(probabilities, types, recordings, recording_ids, whole[0] if whole else None, species, activity)

    @property
    def types_of_recordings(self) -> torch.Tensor:
        """True type of each recording, int64 [recordings]."""
        return types_of_recordings(self.true_types, self.recordings)


def score(probabilities: torch.Tensor, true_types: torch.Tensor, types: Sequence[str]) -> dict[str, Any]:
    """Compute all metrics of predictions [items, types] against true types [items].

    Balanced accuracy is the mean recall over types, so that chance is 1/types whatever the counts; AUROC and average
    precision are means of one type against the rest. `confusion` has true types in rows and predicted types in columns.
    A metric that the items do not define is None, with the reason in `absent`.
    """
    n = len(types)
    counts = torch.bincount(true_types, minlength=n).tolist()
    predicted_counts = torch.bincount(probabilities.argmax(dim=1), minlength=n).tolist()
    recall = functional.multiclass_recall(probabilities, true_types, num_classes=n, average=None).tolist()
    precision = functional.multiclass_precision(probabilities, true_types, num_classes=n, average=None).tolist()
    missing = [name for name, count in zip(types, counts, strict=True) if not count]
    never = [name for name, count in zip(types, predicted_counts, strict=True) if not count]
    absent = {f"recall/{name}": f"no {name} among the {len(true_types)}" for name in missing}
    absent |= {f"precision/{name}": f"{name} was never predicted" for name in never}
    overall: dict[str, float | None] = {
        "accuracy": float(functional.multiclass_accuracy(probabilities, true_types, num_classes=n, average="micro"))
    }
    if missing:
        reason = f"needs every type, and there is no {' and no '.join(missing)}"
        absent |= {name: reason for name in OVERALL if name not in overall}
    else:
        overall["balanced_accuracy"] = float(np.mean(recall))
        for name, metric in (
            ("macro_f1", functional.multiclass_f1_score),
            ("auroc", functional.multiclass_auroc),
            ("average_precision", functional.multiclass_average_precision),
        ):
            overall[name] = float(metric(probabilities, true_types, num_classes=n, average="macro"))
    return {
        **{name: overall.get(name) for name in OVERALL},
        "recall": dict(zip(types, recall, strict=True)) | dict.fromkeys(missing),
        "precision": dict(zip(types, precision, strict=True)) | dict.fromkeys(never),
        "confusion": functional.multiclass_confusion_matrix(probabilities, true_types, num_classes=n).tolist(),
        "count": len(true_types),
        "counts": dict(zip(types, counts, strict=True)),
        "absent": absent,
    }


def score_with_intervals(
    probabilities: torch.Tensor, true_types: torch.Tensor, groups: np.ndarray, types: Sequence[str]
) -> dict[str, Any]:
    """Compute `score` and the interval of each metric over `groups`, the indices of recordists [items]."""
    intervals = bootstrap_intervals(probabilities.numpy(), true_types.numpy(), groups, types)
    return {**score(probabilities, true_types, types), "intervals": intervals}
