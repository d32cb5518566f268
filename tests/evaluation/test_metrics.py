"""The figures equal scikit-learn's and arithmetic by hand."""

import json

import numpy as np
import pytest
import sklearn.metrics
import torch

from birdnet_nl.evaluation.metrics import Predictions, score, score_with_intervals

TYPES = ["song", "call", "alarm"]


def random_answers(count: int, types: int, seed: int, skill: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Probabilities that favour the true type by `skill`, and the unevenly distributed true types."""
    generator = torch.Generator().manual_seed(seed)
    truth = torch.multinomial(torch.tensor([0.6, 0.3, 0.1][:types]), count, replacement=True, generator=generator)
    truth[:types] = torch.arange(types)
    logits = torch.randn(count, types, generator=generator)
    logits[torch.arange(count), truth] += skill
    return logits.softmax(dim=1), truth


@pytest.mark.parametrize("types", [2, 3])
@pytest.mark.parametrize("skill", [0.0, 1.0, 5.0])
@pytest.mark.parametrize("seed", range(4))
def test_every_figure_is_scikit_learns(types, skill, seed):
    probabilities, truth = random_answers(200, types, seed, skill)
    answers, y = probabilities.argmax(dim=1).numpy(), truth.numpy()
    figures = score(probabilities, truth, TYPES[:types])
    recall = sklearn.metrics.recall_score(y, answers, average=None)
    one_against_rest = [sklearn.metrics.roc_auc_score(y == kind, probabilities[:, kind]) for kind in range(types)]
    assert figures["balanced_accuracy"] == pytest.approx(sklearn.metrics.balanced_accuracy_score(y, answers))
    assert figures["macro_f1"] == pytest.approx(sklearn.metrics.f1_score(y, answers, average="macro"))
    assert figures["accuracy"] == pytest.approx(sklearn.metrics.accuracy_score(y, answers))
    assert figures["auroc"] == pytest.approx(sum(one_against_rest) / types)
    assert figures["recall"] == pytest.approx(dict(zip(TYPES, recall, strict=False)))
    average_precision = [sklearn.metrics.average_precision_score(y == k, probabilities[:, k]) for k in range(types)]
    assert figures["average_precision"] == pytest.approx(sum(average_precision) / types)
    precision = sklearn.metrics.precision_score(y, answers, average=None)
    assert figures["precision"] == pytest.approx(dict(zip(TYPES, precision, strict=False)))
    assert list(figures["counts"].values()) == np.bincount(y).tolist()
    assert figures["absent"] == {}
    assert figures["confusion"] == sklearn.metrics.confusion_matrix(y, answers).tolist()
    assert figures["count"] == 200


def test_a_small_case_by_hand():
    probabilities = torch.tensor([[0.8, 0.2], [0.4, 0.6], [0.3, 0.7], [0.1, 0.9]])
    figures = score(probabilities, torch.tensor([0, 0, 0, 1]), ["song", "call"])
    assert figures["recall"] == pytest.approx({"song": 1 / 3, "call": 1.0})
    assert figures["balanced_accuracy"] == pytest.approx(2 / 3)
    assert figures["accuracy"] == pytest.approx(0.5)
    # F1 of song: precision 1, recall 1/3 -> 1/2; of call: precision 1/3, recall 1 -> 1/2
    assert figures["macro_f1"] == pytest.approx(0.5)
    assert figures["auroc"] == pytest.approx(1.0)
    assert figures["confusion"] == [[1, 2], [0, 1]]


def test_guessing_one_type_scores_chance_whatever_the_counts():
    truth = torch.tensor([0] * 90 + [1] * 8 + [2] * 2)
    figures = score(torch.tensor([[0.9, 0.05, 0.05]]).expand(100, 3), truth, TYPES)
    assert figures["balanced_accuracy"] == pytest.approx(1 / 3)
    assert figures["accuracy"] == pytest.approx(0.9)
    assert figures["auroc"] == pytest.approx(0.5)


def test_figures_are_plain_values_for_json():
    figures = score(*random_answers(50, 3, 1, 1.0), TYPES)
    assert json.loads(json.dumps(figures)) == figures


def test_what_a_missing_type_leaves_undefined_is_absent_with_the_reason():
    figures = score(torch.tensor([[0.7, 0.2, 0.1], [0.2, 0.7, 0.1]]), torch.tensor([0, 0]), TYPES)
    assert figures["recall"] == {"song": 0.5, "call": None, "alarm": None}
    assert figures["precision"] == {"song": 1.0, "call": 0.0, "alarm": None}
    assert figures["accuracy"] == 0.5
    for name in ("balanced_accuracy", "macro_f1", "auroc", "average_precision"):
        assert figures[name] is None
        assert figures["absent"][name] == "needs every type, and there is no call and no alarm"
    assert figures["absent"]["recall/call"] == "no call among the 2"
    assert figures["absent"]["precision/alarm"] == "alarm was never answered"
    assert figures["counts"] == {"song": 2, "call": 0, "alarm": 0}


@pytest.mark.parametrize("types", [2, 3])
def test_every_figure_that_is_given_lies_in_its_interval(types):
    probabilities, truth = random_answers(60, types, 2, 1.0)
    figures = score_with_intervals(probabilities, truth, np.arange(60) // 2, TYPES[:types])
    assert json.loads(json.dumps(figures)) == figures
    for name, (low, high) in figures["intervals"].items():
        figure, _, kind = name.partition("/")
        assert low <= (figures[figure][kind] if kind else figures[figure]) + 1e-6 <= high + 2e-6, name


def test_the_true_type_of_a_recording_is_that_of_its_segments():
    predictions = Predictions(torch.ones(4, 2) / 2, torch.tensor([1, 1, 0, 1]), torch.tensor([2, 0, 1, 0]), list("abc"))
    assert predictions.types_of_recordings.tolist() == [1, 0, 1]


def test_batches_are_joined_in_order():
    batches = [
        (torch.tensor([[0.9, 0.1], [0.2, 0.8]]), torch.tensor([0, 1]), torch.tensor([0, 1])),
        (torch.tensor([[0.3, 0.7]]), torch.tensor([1]), torch.tensor([1])),
    ]
    joined = Predictions.join(batches, ["a", "b"])
    assert joined.probabilities.shape == (3, 2)
    assert (joined.true_types.tolist(), joined.recordings.tolist()) == ([0, 1, 1], [0, 1, 1])
    assert joined.recording_ids == ["a", "b"]
