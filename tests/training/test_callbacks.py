"""Callbacks: a trial below the median of the others at the same epoch ends early; none ends without comparison."""

import json
from types import SimpleNamespace

import pytest

from birdnet_nl.training.callbacks import PRUNING_METRIC, MedianPruner, is_below_median, read_histories

OTHERS = [[0.3, 0.5, 0.9], [0.3, 0.6, 0.7], [0.3, 0.4, 0.8]]


@pytest.mark.parametrize(
    ("own", "pruned"), [([0.3, 0.49], True), ([0.3, 0.5], False), ([0.55, 0.2], False), ([0.3, 0.5, 0.79], True)]
)
def test_the_best_so_far_is_compared_with_the_median_of_the_best_at_that_epoch(own, pruned):
    assert is_below_median(own, OTHERS, min_trials=3) == pruned


def test_too_few_trials_that_came_as_far_decide_nothing():
    assert not is_below_median([0.1], OTHERS, min_trials=4)
    assert not is_below_median([0.1] * 4, OTHERS, min_trials=1)


@pytest.fixture
def folder(tmp_path):
    """Three trials that ended, one that did not, one whose file is broken."""
    for number, values in enumerate(OTHERS):
        run = tmp_path / "turbo" / "merel" / str(number)
        run.mkdir(parents=True)
        history = [{"epoch": epoch, PRUNING_METRIC: value} for epoch, value in enumerate(values)]
        (run / "trained.json").write_text(json.dumps({"epochs": 3, "history": history}))
    (tmp_path / "turbo/merel/3").mkdir()
    (tmp_path / "turbo/merel/4").mkdir()
    (tmp_path / "turbo/merel/4/trained.json").write_text('{"epochs": 3')
    return tmp_path


def test_curves_are_read_from_the_runs_whose_training_ended(folder):
    assert read_histories(folder) == OTHERS


@pytest.mark.parametrize(
    ("values", "stops"), [([0.1], False), ([0.1, 0.2], True), ([0.1, 0.6], False), ([0.1, 0.2, 0.3], False)]
)
def test_training_is_stopped_between_the_first_epoch_allowed_and_the_last(folder, values, stops):
    trainer = SimpleNamespace(should_stop=False, max_epochs=3)
    module = SimpleNamespace(history=[{PRUNING_METRIC: value} for value in values])
    MedianPruner(str(folder), first_epoch=2, min_trials=3).on_train_epoch_end(trainer, module)
    assert trainer.should_stop == stops


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match="must be at least 1"):
        MedianPruner(".", first_epoch=0, min_trials=3)
