"""A network learns the demo's types, and learns nothing when the types are permuted at random."""

import numpy as np
import pytest

from tests.runs.conftest import read_metrics

pytestmark = pytest.mark.slow

# A narrow network on a coarse mel, with enough recordings for a metric per recording to mean something.
LEARN = [
    "species=koolmees",
    "data.demo.recordings_per_type=30",
    "mel=wide",
    "mel.n_mels=48",
    "mel.hop_samples=1024",
    "model.channels=[16,32,64]",
    "model.channel_dropout=0.1",
    "model.hidden_dropout=0.2",
    "data.batch_size=32",
    "optimizer.lr=3e-3",
    "trainer.max_epochs=12",
    "callbacks.early_stopping.patience=12",
    "evaluation.plots=false",
]


@pytest.fixture(scope="module")
def balanced_accuracies(train_in_process, cache, tmp_path_factory):
    """Train with several seeds; the demo of thirty recordings has a folder of its own."""
    folder = tmp_path_factory.mktemp("learning")

    def trained(seeds: range, *overrides: str) -> list[float]:
        runs = [
            train_in_process(folder / f"{len(overrides)}-{seed}", *LEARN, f"data.demo.folder={cache / 'demo30'}",
                             f"seed={seed}", *overrides)
            for seed in seeds
        ]  # fmt: skip
        return [read_metrics(run_dir)["results"]["recording"]["balanced_accuracy"] for run_dir in runs]

    return trained


def test_the_easy_demo_is_learned(balanced_accuracies):
    accuracies = balanced_accuracies(range(1, 3))
    assert np.mean(accuracies) > 0.55, accuracies


def test_permuted_types_are_predicted_at_chance(balanced_accuracies):
    accuracies = balanced_accuracies(range(1, 5), "data.shuffle_types=true")
    # four test splits of eighteen recordings each: the mean of chance has a standard deviation of about 0.055
    assert 0.17 < np.mean(accuracies) < 0.50, accuracies


def test_mels_held_on_the_device_train_the_same_network(train_in_process, tmp_path):
    overrides = ["species=koolmees", "trainer.max_epochs=1", "evaluation.plots=false"]
    loaded, resident = (
        read_metrics(train_in_process(tmp_path / value, *overrides, f"data.resident={value}"))
        for value in ("false", "true")
    )
    assert loaded["results"] == resident["results"] and loaded["history"][0]["train/loss"] > 0
