"""trainer=turbo from the command line's values to a tested classifier: alone, in a pool, in folds, interrupted."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from birdnet_nl.training.checkpoint import load_classifier
from birdnet_nl.util.errors import RunError
from birdnet_nl.util.run_directory import change_config, read_config


@pytest.fixture
def train_turbo(train_turbo_in_process, tmp_path) -> Callable[..., Path]:
    """Train as `trainer=turbo` at a size that takes seconds; gives the run directory."""

    def made(name: str, *overrides: str, resume: bool = False) -> Path:
        return train_turbo_in_process(tmp_path / name, *overrides, resume=resume)

    return made


def metrics_of(run_dir: Path) -> dict:
    return json.loads((run_dir / "metrics.json").read_text())


def weights_of(checkpoint: Path) -> torch.Tensor:
    return flattened(torch.load(checkpoint, weights_only=True)["state_dict"])


def flattened(state: dict[str, torch.Tensor]) -> torch.Tensor:
    """All weights of the network one after the other."""
    return torch.cat([tensor.float().flatten() for name, tensor in state.items() if name.startswith("network.")])


@pytest.mark.slow
def test_a_run_ends_with_its_last_averaged_weights(train_turbo, monkeypatch, tmp_path):
    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("birdnet_nl.runs.train.judge_run", stop)  # a finished run has its last checkpoint no more
        with pytest.raises(KeyboardInterrupt):
            train_turbo("run", "species=koolmees")
    last = torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)
    run_dir = train_turbo("run", "species=koolmees", resume=True)
    metrics = metrics_of(run_dir)
    assert (metrics["epochs"], metrics["best_epoch"]) == (4, 3)
    best = weights_of(run_dir / "checkpoints/best.ckpt")
    assert torch.equal(best, flattened(last["state_dict"]))
    assert not torch.equal(best, flattened(last["current_model_state"]))
    assert load_classifier(run_dir / "checkpoints/best.ckpt").types == ["song", "call", "alarm"]
    rates = [row["learning_rate"] for row in metrics["history"]]
    assert rates[-1] < max(rates) / 10


@pytest.mark.slow
def test_an_interrupted_run_becomes_the_one_that_was_not(train_turbo, monkeypatch):
    whole = train_turbo("whole", "species=koolmees")
    from birdnet_nl.training.callbacks import TrainingProgress

    told = TrainingProgress.on_train_epoch_end

    def interrupt(self, trainer, module):
        told(self, trainer, module)
        if trainer.current_epoch == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(TrainingProgress, "on_train_epoch_end", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train_turbo("cut", "species=koolmees")
    cut = train_turbo("cut", "species=koolmees", resume=True)
    assert metrics_of(cut)["results"] == metrics_of(whole)["results"]
    assert torch.equal(weights_of(cut / "checkpoints/best.ckpt"), weights_of(whole / "checkpoints/best.ckpt"))


@pytest.mark.slow
def test_a_pool_in_folds_tests_the_recordings_of_all_its_species(train_turbo):
    overrides = ["species=pool", "data.pool=[koolmees,merel]", "data.folds=3", "data.fold=1", "trainer.max_epochs=1"]
    run_dir = train_turbo("pool", *overrides)
    metrics = metrics_of(run_dir)
    assert metrics["pool"] == ["koolmees", "merel"] and metrics["species"]["slug"] == "pool-koolmees-merel"
    assert (metrics["folds"], metrics["fold"], metrics["split_by"]) == (3, 1, "recording")
    rows = (run_dir / "splits.csv").read_text().splitlines()[1:]
    assert {"koolmees", "merel"} == {species for row in rows for species in ("koolmees", "merel") if species in row}


@pytest.mark.slow
def test_the_leak_is_told(train_turbo, capsys):
    overrides = ["data.crops=null", "data.split_by=segment", "data.batch_size=16", "trainer.max_epochs=1"]
    metrics = metrics_of(train_turbo("leak", "species=koolmees", *overrides))
    assert metrics["split_by"] == "segment"
    assert "LEAK (data.split_by=segment)" in capsys.readouterr().err


def test_the_length_of_one_cycle_cannot_change(tmp_path):
    (tmp_path / "config.yaml").write_text(
        "species: {slug: merel}\nscheduler: {_target_: birdnet_nl.training.schedules.one_cycle}\n"
        "trainer: {max_epochs: 12}\n"
    )
    with pytest.raises(RunError, match="one cycle of 12 epochs"):
        change_config(tmp_path, read_config(tmp_path), ["trainer.max_epochs=20"])
