"""The folds of a cross-validation are joined to one result, with all metrics and those of each fold."""

import numpy as np
import pytest
import sklearn.metrics

from birdnet_nl.comparison.compare import compare_runs
from birdnet_nl.comparison.cross_validation import over_seeds, song_against_call
from birdnet_nl.comparison.finished_runs import find_runs
from birdnet_nl.comparison.predictions import RunPredictions


def recording_predictions(truth, probabilities, types=("song", "call", "alarm")):
    probabilities = np.array(probabilities)
    ids = tuple(f"XC{index}" for index in range(len(truth)))
    return RunPredictions(types, ids, ("",) * len(truth), np.array(truth), probabilities.argmax(axis=1), probabilities)


def test_a_single_set_has_its_cross_validation(tmp_path, make_finished_run):
    for fold in range(3):
        make_finished_run(tmp_path / str(fold), "turbo", fold=fold, folds=3, per_type=8)
    comparison = compare_runs(find_runs([tmp_path]))
    assert comparison.sections == () and comparison.others == ()
    (joined,) = comparison.cross_validations
    predictions, scores = joined.result.predictions, joined.result.scores
    assert len(predictions.ids) == 3 * 8 * 3
    assert scores["balanced_accuracy"] == pytest.approx(
        sklearn.metrics.balanced_accuracy_score(predictions.truth, predictions.predicted)
    )
    f1 = sklearn.metrics.f1_score(predictions.truth, predictions.predicted, average="macro")
    assert scores["macro_f1"] == pytest.approx(f1) and joined.result.seconds("train") == 300.0
    low, high = scores["intervals"]["balanced_accuracy"]
    assert low < scores["balanced_accuracy"] < high
    assert len(joined.fold_accuracies) == 3 and joined.metadata is None
    squares = (predictions.probabilities - np.eye(3)[predictions.truth]) ** 2
    assert joined.calibration["brier"] == pytest.approx(squares.sum(axis=1).mean())


def test_a_missing_fold_is_reported_instead_of_a_cross_validation(tmp_path, make_finished_run):
    for fold in (0, 2):
        make_finished_run(tmp_path / str(fold), "turbo", fold=fold, folds=3)
    comparison = compare_runs(find_runs([tmp_path]))
    assert comparison.cross_validations == ()
    assert [item.reason for item in comparison.left_out] == ["fold 1 of 3 (counted from 0) is missing"]


def test_seeds_are_grouped_and_variants_are_not(tmp_path, make_finished_run):
    for seed in (2, 1):
        for fold in range(2):
            make_finished_run(tmp_path / f"{seed}{fold}", "turbo", seed=seed, fold=fold, folds=2)
            make_finished_run(
                tmp_path / f"m{seed}{fold}", "turbo", seed=seed, fold=fold, folds=2, overrides=["mel=wide"]
            )
    groups = over_seeds(compare_runs(find_runs([tmp_path])).cross_validations)
    assert [[item.result.seed for item in group] for group in groups] == [[1, 2], [1, 2]]
    assert [group[0].kind.variant for group in groups] == [(), ("mel=wide",)]


def test_song_against_call_ignores_alarm():
    predictions = recording_predictions(
        [0, 0, 1, 1, 2],
        [[0.3, 0.1, 0.6], [0.2, 0.3, 0.5], [0.1, 0.8, 0.1], [0.1, 0.2, 0.7], [0.9, 0.05, 0.05]],
    )
    scores = song_against_call(predictions)
    assert scores["balanced_accuracy"] == pytest.approx(0.75)  # song 1 of 2, call 2 of 2
    shares = [0.75, 0.4, 1 / 9, 1 / 3]
    assert scores["auroc"] == pytest.approx(sklearn.metrics.roc_auc_score([1, 1, 0, 0], shares))


@pytest.mark.parametrize("types", [("song", "alarm"), ("song", "call", "alarm")])
def test_song_against_call_is_absent_without_both(types):
    probabilities = np.full((2, len(types)), 1 / len(types))
    assert song_against_call(recording_predictions([0, len(types) - 1], probabilities, types)) == {}
