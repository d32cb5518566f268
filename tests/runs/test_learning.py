"""A network learns the demo's types, and learns nothing when the types are dealt out at random."""

import json

import pytest

# A narrow network on a coarse mel, with enough recordings for a score per recording to mean something.
LEARN = [
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
]


def balanced_accuracy(run_dir) -> float:
    return json.loads((run_dir / "metrics.json").read_text())["results"]["recording"]["balanced_accuracy"]


@pytest.mark.slow
def test_the_easy_demo_is_learned(train_in_process, tmp_path):
    scores = [
        balanced_accuracy(train_in_process(tmp_path / str(seed), "species=koolmees", *LEARN, f"seed={seed}"))
        for seed in (1, 2)
    ]
    assert sum(scores) / len(scores) > 0.55, scores


@pytest.mark.slow
def test_shuffled_types_score_at_chance(train_in_process, tmp_path):
    scores = [
        balanced_accuracy(
            train_in_process(
                tmp_path / str(seed), "species=koolmees", *LEARN, "data.shuffle_types=true", f"seed={seed}"
            )
        )
        for seed in range(1, 5)
    ]
    # four test splits of eighteen recordings each: the mean of chance has a standard deviation of about 0.055
    assert 0.17 < sum(scores) / len(scores) < 0.50, scores


@pytest.mark.slow
def test_mels_held_on_the_device_train_the_same_network(train_in_process, tmp_path):
    reports = []
    for value in ("false", "true"):
        run_dir = train_in_process(
            tmp_path / value, "species=koolmees", "trainer.max_epochs=1", f"data.resident={value}"
        )
        reports.append(json.loads((run_dir / "metrics.json").read_text()))
    assert reports[0]["results"] == reports[1]["results"] and reports[0]["history"][0]["train/loss"] > 0
