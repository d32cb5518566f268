"""Batches in a known order, whatever loads them, and to the end when a worker dies."""

import os
import time

import pytest
import torch
from torch.utils.data import Dataset
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from birdnet_nl.data import feeding
from birdnet_nl.data.loading import ResilientLoader, SegmentBatches, choose_workers


class Numbers(Dataset):
    """Gives its indices back; `deadly` ends the process that loads it, unless it is the test's own."""

    def __init__(self, deadly: int | None = None, error: Exception | None = None) -> None:
        self.deadly, self.error, self.parent = deadly, error, os.getpid()

    def __getitems__(self, indices: list[int]) -> torch.Tensor:
        if self.deadly in indices and os.getpid() != self.parent:
            os._exit(1)
        if self.error is not None:
            raise self.error
        return torch.tensor(indices)


@pytest.fixture
def soon_noticed(monkeypatch):
    """Dead workers are looked for every 0.2 s instead of every 5."""
    monkeypatch.setattr(_MultiProcessingDataLoaderIter._try_get_data, "__defaults__", (0.2,))


def loader(dataset: Dataset, workers: int = 0, seed: int | None = None, persistent: bool = False) -> ResilientLoader:
    return ResilientLoader(
        dataset, SegmentBatches(23, 4, seed), workers, pin_memory=False, persistent_workers=persistent
    )


def numbers(batches) -> list[list[int]]:
    return [batch.tolist() for batch in batches]


def test_without_a_seed_everything_comes_in_order():
    assert numbers(loader(Numbers())) == [list(range(start, min(start + 4, 23))) for start in range(0, 23, 4)]


def test_with_a_seed_each_epoch_has_its_own_order_of_everything():
    batches = SegmentBatches(23, 4, seed=1)
    first = list(batches)
    assert sorted(index for batch in first for index in batch) == list(range(23)) and len(first) == len(batches) == 6
    batches.set_epoch(1)
    second = list(batches)
    batches.set_epoch(0)
    assert first == list(batches) != second
    assert first != list(SegmentBatches(23, 4, seed=2))


@pytest.mark.parametrize("persistent", [False, True])
def test_workers_give_the_same_batches_epoch_after_epoch(persistent):
    alone, helped = loader(Numbers(), seed=1), loader(Numbers(), 2, seed=1, persistent=persistent)
    for epoch in range(3):
        alone.batch_sampler.set_epoch(epoch)
        helped.batch_sampler.set_epoch(epoch)
        assert numbers(alone) == numbers(helped)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_worker_that_dies_costs_no_batch_and_one_sentence(workers, capsys, soon_noticed):
    dying = loader(Numbers(deadly=13), workers)
    assert numbers(dying) == numbers(loader(Numbers()))
    assert dying.num_workers == 0
    assert "loading goes on in this process" in capsys.readouterr().err.replace("\n", " ")
    assert numbers(dying) == numbers(loader(Numbers()))  # and the next epoch


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_of_the_data_itself_is_not_hidden(workers):
    with pytest.raises(ValueError, match="broken mel"):
        numbers(loader(Numbers(error=ValueError("broken mel")), workers))


@pytest.mark.parametrize(
    ("seconds", "chosen"),
    [
        ({0: 1.0, 1: 0.9, 2: 0.9}, 0),
        ({0: 1.0, 1: 0.5, 2: 0.45}, 1),
        ({0: 1.0, 1: 0.7, 2: 0.3}, 2),
        ({0: 1, 1: 2, 2: 3}, 0),
    ],
)
def test_workers_must_be_clearly_faster_to_be_chosen(monkeypatch, seconds, chosen):
    monkeypatch.setattr(feeding.joblib, "cpu_count", lambda: 8)
    monkeypatch.setattr(feeding, "_seconds_per_batch", lambda made: seconds[made.num_workers])
    assert choose_workers(lambda workers: loader(Numbers(), workers)) == chosen


def test_a_worker_that_dies_during_a_training_step_does_not_interrupt_it(soon_noticed):
    seen = []
    for batch in loader(Numbers(deadly=13), 1):
        deadline = time.monotonic() + 0.1
        while time.monotonic() < deadline:  # a step, in which the worker loads ahead and dies
            sum(range(1000))
        seen.append(batch.tolist())
    assert seen == numbers(loader(Numbers()))


def test_workers_that_die_while_they_are_tried_are_not_chosen(monkeypatch, soon_noticed):
    monkeypatch.setattr(feeding.joblib, "cpu_count", lambda: 2)
    assert choose_workers(lambda workers: loader(Numbers(deadly=0), workers)) == 0
