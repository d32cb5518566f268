"""What an evaluation says of itself beyond its figures: what the network had met before, and figures without that."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from birdnet_nl.data.evaluation_set import EvaluationSet
from birdnet_nl.evaluation.controls import majority_control
from birdnet_nl.evaluation.evaluate import Evaluation
from birdnet_nl.evaluation.metrics import Predictions, score_with_intervals
from birdnet_nl.inference.classifier import TrainedNetwork
from birdnet_nl.recordings.recording import Recording


def describe_known(trained: TrainedNetwork, evaluation_set: EvaluationSet, judged: bool) -> dict[str, Any]:
    """What of the recordings and their recordists the network met in training or validation."""
    if trained.trained_on is None:
        return {"absent": f"no splits.csv in {trained.home} tells what the network was trained on"}
    known = [trained.trained_on.knows_recordist(recording) for recording in evaluation_set.recordings]
    return {
        "recordings": len(evaluation_set.seen),
        "judged_all_the_same": judged,
        "by_known_recordists": sum(known),
        "by_unknown_recordists": sum(not recording.recordist for recording in evaluation_set.recordings),
    }


def score_new_recordists(
    trained: TrainedNetwork, recordings: Sequence[Recording], test: Predictions, evaluation: Evaluation
) -> dict[str, Any]:
    """The figures per recording and per segment once more, without recordists met in training; or why not."""
    if trained.trained_on is None:
        return {"absent": "what the network was trained on is not known"}
    new = torch.tensor([not trained.trained_on.knows_recordist(recording) for recording in recordings])
    types = trained.at_temperature_1.types
    lacking = [name for name, count in count_types(evaluation.true_types[new], types).items() if not count]
    if new.all():
        return {"absent": "no recordist was met in training"}
    if lacking:
        return {"absent": f"no {' and no '.join(lacking)} by recordists that were not met in training"}
    of_new = new[test.recordings]
    groups = evaluation.groups
    segment_groups = groups[test.recordings.numpy()][of_new.numpy()]
    return {
        "recording": score_with_intervals(
            evaluation.probabilities[new], evaluation.true_types[new], _without_gaps(groups[new.numpy()]), types
        ),
        "segment": score_with_intervals(
            evaluation.segments[of_new], test.true_types[of_new], _without_gaps(segment_groups), types
        ),
    }


def _without_gaps(groups: np.ndarray) -> np.ndarray:
    return np.unique(groups, return_inverse=True)[1]


def score_majority(trained: TrainedNetwork, evaluation: Evaluation) -> dict[str, Any]:
    types = trained.at_temperature_1.types
    if trained.trained_on is None:
        return {"absent": "what the network was trained on is not known"}
    if 0 in count_types(evaluation.true_types, types).values():
        return {"absent": "needs every type"}
    train_types = [types.index(name) for name in trained.trained_on.of_type.elements() if name in types]
    return majority_control(np.array(train_types), evaluation.true_types.numpy(), types)


def knows_what_it_judged(report: Mapping[str, Any]) -> bool:
    """Whether recordings were judged that the network was trained on or validated with."""
    known = report["evaluated"]["known"]
    return bool(known.get("judged_all_the_same") and known["recordings"])


def count_types(kinds: torch.Tensor, types: Sequence[str]) -> dict[str, int]:
    return dict(zip(types, torch.bincount(kinds, minlength=len(types)).tolist(), strict=True))
