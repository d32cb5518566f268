"""Metrics equal scikit-learn's; undefined ones are absent with the reason."""

import json

import numpy as np
import pytest
import sklearn.metrics
import torch

from birdnet_nl.evaluation.metrics import Predictions, score, score_with_intervals
from birdnet_nl.util.errors import DataError

TYPES = ["song", "call", "alarm"]


def random_predictions(count: int, types: int, seed: int, skill: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Probabilities that favour the true type by `skill`, and unevenly distributed true types."""
    generator = torch.Generator().manual_seed(seed)
    truth = torch.multinomial(torch.tensor([0.6, 0.3, 0.1][:types]), count, replacement=True, generator=generator)
    truth[:types] = torch.arange(types)
    logits = torch.randn(count, types, generator=generator)
    logits[torch.arange(count), truth] += skill
    return logits.softmax(dim=1), truth


@pytest.mark.parametrize("types", [2, 3])
@pytest.mark.parametrize("skill", [0.0, 1.0, 5.0])
@pytest.mark.parametrize("seed", range(2))
def test_every_metric_equals_scikit_learns(types, skill, seed):
    probabilities, truth = random_predictions(200, types, seed, skill)
    predicted, y = probabilities.argmax(dim=1).numpy(), truth.numpy()
    scores = score(probabilities, truth, TYPES[:types])
    recall = sklearn.metrics.recall_score(y, predicted, average=None)
    one_against_rest = [sklearn.metrics.roc_auc_score(y == index, probabilities[:, index]) for index in range(types)]
    assert scores["balanced_accuracy"] == pytest.approx(sklearn.metrics.balanced_accuracy_score(y, predicted))
    assert scores["macro_f1"] == pytest.approx(sklearn.metrics.f1_score(y, predicted, average="macro"))
    assert scores["accuracy"] == pytest.approx(sklearn.metrics.accuracy_score(y, predicted))
    assert scores["auroc"] == pytest.approx(sum(one_against_rest) / types)
    assert scores["recall"] == pytest.approx(dict(zip(TYPES, recall, strict=False)))
    average_precision = [sklearn.metrics.average_precision_score(y == k, probabilities[:, k]) for k in range(types)]
    assert scores["average_precision"] == pytest.approx(sum(average_precision) / types)
    precision = sklearn.metrics.precision_score(y, predicted, average=None)
    assert scores["precision"] == pytest.approx(dict(zip(TYPES, precision, strict=False)))
    assert list(scores["counts"].values()) == np.bincount(y).tolist()
    assert scores["absent"] == {}
    assert scores["confusion"] == sklearn.metrics.confusion_matrix(y, predicted).tolist()
    assert scores["count"] == 200


def test_a_constant_prediction_has_chance_balanced_accuracy():
    truth = torch.tensor([0] * 90 + [1] * 8 + [2] * 2)
    scores = score(torch.tensor([[0.9, 0.05, 0.05]]).expand(100, 3), truth, TYPES)
    assert scores["balanced_accuracy"] == pytest.approx(1 / 3)
    assert scores["accuracy"] == pytest.approx(0.9)
    assert scores["auroc"] == pytest.approx(0.5)


def test_metrics_of_a_missing_type_are_absent_with_the_reason():
    scores = score(torch.tensor([[0.7, 0.2, 0.1], [0.2, 0.7, 0.1]]), torch.tensor([0, 0]), TYPES)
    assert scores["recall"] == {"song": 0.5, "call": None, "alarm": None}
    assert scores["precision"] == {"song": 1.0, "call": 0.0, "alarm": None}
    assert scores["accuracy"] == 0.5
    for name in ("balanced_accuracy", "macro_f1", "auroc", "average_precision"):
        assert scores[name] is None
        assert scores["absent"][name] == "needs every type, and there is no call and no alarm"
    assert scores["absent"]["recall/call"] == "no call among the 2"
    assert scores["absent"]["precision/alarm"] == "alarm was never predicted"
    assert scores["counts"] == {"song": 2, "call": 0, "alarm": 0}


@pytest.mark.parametrize("types", [2, 3])
def test_every_defined_metric_is_within_its_interval(types):
    probabilities, truth = random_predictions(60, types, 2, 1.0)
    scores = score_with_intervals(probabilities, truth, np.arange(60) // 2, TYPES[:types])
    assert json.loads(json.dumps(scores)) == scores
    for name, (low, high) in scores["intervals"].items():
        metric, _, type_name = name.partition("/")
        assert low <= (scores[metric][type_name] if type_name else scores[metric]) + 1e-6 <= high + 2e-6, name


def test_the_true_type_of_a_recording_is_the_type_of_its_segments():
    predictions = Predictions(torch.ones(4, 2) / 2, torch.tensor([1, 1, 0, 1]), torch.tensor([2, 0, 1, 0]), list("abc"))
    assert predictions.types_of_recordings.tolist() == [1, 0, 1]


def test_batches_are_concatenated_in_order():
    batches = [
        (torch.tensor([[0.9, 0.1], [0.2, 0.8]]), torch.tensor([0, 1]), torch.tensor([0, 1])),
        (torch.tensor([[0.3, 0.7]]), torch.tensor([1]), torch.tensor([1])),
    ]
    joined = Predictions.join(batches, ["a", "b"])
    assert joined.probabilities.shape == (3, 2)
    assert (joined.true_types.tolist(), joined.recordings.tolist()) == ([0, 1, 1], [0, 1, 1])
    assert joined.recording_ids == ["a", "b"]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("whole", [False, True])
def test_a_prediction_that_is_no_finite_number_is_refused_with_its_recording(value, whole):
    """`argmax` of NaN is the first type, which would count as correct for songs."""
    probabilities = torch.full((4, 2), 0.5)
    types, recordings = torch.tensor([0, 0, 1, 0]), torch.tensor([0, 1, 1, 2])
    of_recordings = torch.full((3, 2), 0.5)
    (of_recordings if whole else probabilities)[1, 1] = value
    with pytest.raises(DataError, match="the prediction for recording XC2 is not a finite number, so nothing is"):
        Predictions(probabilities, types, recordings, ["XC1", "XC2", "XC3"], of_recordings if whole else None)
