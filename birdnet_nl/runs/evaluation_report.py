"""Report of an evaluation: recordings seen in training, metrics without known recordists, and the majority control."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from birdnet_nl.data.prepare import EvaluationSet
from birdnet_nl.evaluation.controls import majority_control
from birdnet_nl.evaluation.evaluate import Evaluation
from birdnet_nl.evaluation.metrics import Predictions, score_with_intervals
from birdnet_nl.inference.classifier import Classifier
from birdnet_nl.recordings.recording import Recording


def describe_seen(classifier: Classifier, evaluation_set: EvaluationSet, evaluated_anyway: bool) -> dict[str, Any]:
    """Count the recordings that were used for training or validation, and those by recordists who were."""
    if classifier.trained_on is None:
        return {"absent": f"without splits.csv in {classifier.run_dir} the training recordings are unknown"}
    return {
        "recordings": len(evaluation_set.seen),
        "evaluated_anyway": evaluated_anyway,
        "by_seen_recordists": sum(map(classifier.trained_on.recordist_seen, evaluation_set.recordings)),
        "by_unknown_recordists": sum(not recording.recordist for recording in evaluation_set.recordings),
    }


def score_new_recordists(
    classifier: Classifier, recordings: Sequence[Recording], test: Predictions, evaluation: Evaluation
) -> dict[str, Any]:
    """Metrics per recording and per segment without recordists seen in training, or the reason for their absence."""
    if classifier.trained_on is None:
        return {"absent": "the training recordings are unknown"}
    new = torch.tensor([not classifier.trained_on.recordist_seen(recording) for recording in recordings])
    types = classifier.types
    missing = [name for name, count in count_types(evaluation.true_types[new], types).items() if not count]
    if new.all():
        return {"absent": "no recordist was seen in training"}
    if missing:
        return {"absent": f"no {' and no '.join(missing)} by recordists that were not seen in training"}
    new_segments, groups = new[test.recordings], evaluation.groups
    segment_groups = groups[test.recordings.numpy()][new_segments.numpy()]
    return {
        "recording": score_with_intervals(
            evaluation.probabilities[new], evaluation.true_types[new], _without_gaps(groups[new.numpy()]), types
        ),
        "segment": score_with_intervals(
            evaluation.segments[new_segments], test.true_types[new_segments], _without_gaps(segment_groups), types
        ),
    }


def _without_gaps(groups: np.ndarray) -> np.ndarray:
    return np.unique(groups, return_inverse=True)[1]


def score_majority(classifier: Classifier, evaluation: Evaluation) -> dict[str, Any]:
    """Metrics of always predicting the most frequent training type, or the reason for their absence."""
    types = classifier.types
    if classifier.trained_on is None:
        return {"absent": "the training recordings are unknown"}
    if 0 in count_types(evaluation.true_types, types).values():
        return {"absent": "needs every type"}
    train_types = [types.index(name) for name in classifier.trained_on.type_counts.elements() if name in types]
    return majority_control(np.array(train_types), evaluation.true_types.numpy(), types)


def includes_training_recordings(report: Mapping[str, Any]) -> bool:
    """Whether recordings were evaluated that the network was trained or validated on."""
    seen = report["evaluated"]["seen"]
    return bool(seen.get("evaluated_anyway") and seen["recordings"])


def count_types(indices: torch.Tensor, types: Sequence[str]) -> dict[str, int]:
    """Number of items of each type, from type indices [items]."""
    return dict(zip(types, torch.bincount(indices, minlength=len(types)).tolist(), strict=True))
