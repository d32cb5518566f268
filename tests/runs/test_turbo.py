"""`trainer=turbo` from the command line's values to a tested classifier: alone, in a pool, in folds, interrupted."""

from pathlib import Path

import pytest
import torch

from birdnet_nl.inference.classifier import Classifier
from birdnet_nl.util.errors import RunError
from birdnet_nl.util.run_directory import change_config, read_config
from tests.runs.conftest import read_metrics


def best_weights(run_dir: Path) -> torch.Tensor:
    return network_weights(torch.load(run_dir / "checkpoints/best.ckpt", weights_only=True)["state_dict"])


def network_weights(state: dict[str, torch.Tensor]) -> torch.Tensor:
    """All weights of the network as one vector."""
    return torch.cat([tensor.float().flatten() for name, tensor in state.items() if name.startswith("network.")])


@pytest.mark.slow
def test_an_interrupted_run_ends_with_the_averaged_weights_of_one_that_was_not(
    turbo_run, train_turbo_in_process, tmp_path, monkeypatch
):
    """Interrupted after two epochs, and again after the training, where a finished run has no last checkpoint."""
    from birdnet_nl.training.callbacks import TrainingProgress

    report_epoch = TrainingProgress.on_train_epoch_end

    def interrupt_epoch(self, trainer, module):
        report_epoch(self, trainer, module)
        if trainer.current_epoch == 2:
            raise KeyboardInterrupt

    def interrupt_test(*_):
        raise KeyboardInterrupt

    run_dir = tmp_path / "run"
    for target, interrupt, resume in (
        ("birdnet_nl.training.callbacks.TrainingProgress.on_train_epoch_end", interrupt_epoch, False),
        ("birdnet_nl.runs.train.test", interrupt_test, True),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(target, interrupt)
            with pytest.raises(KeyboardInterrupt):
                train_turbo_in_process(run_dir, "species=koolmees", resume=resume)
    last = torch.load(run_dir / "checkpoints/last.ckpt", weights_only=True)
    train_turbo_in_process(run_dir, "species=koolmees", resume=True)

    metrics = read_metrics(run_dir)
    assert (metrics["epochs"], metrics["best_epoch"]) == (4, 3)
    assert torch.equal(best_weights(run_dir), network_weights(last["state_dict"]))
    assert not torch.equal(best_weights(run_dir), network_weights(last["current_model_state"]))
    assert metrics["results"] == read_metrics(turbo_run)["results"]
    assert torch.equal(best_weights(run_dir), best_weights(turbo_run))
    rates = [row["learning_rate"] for row in metrics["history"]]
    assert rates[-1] < max(rates) / 10


@pytest.mark.slow
def test_a_pool_in_folds_tests_the_recordings_of_all_its_species(turbo_pool_run):
    metrics = read_metrics(turbo_pool_run)
    assert metrics["pool"] == ["koolmees", "merel"] and metrics["species"]["slug"] == "pool-koolmees-merel"
    assert (metrics["folds"], metrics["fold"], metrics["split_by"]) == (3, 1, "recording")
    rows = (turbo_pool_run / "splits.csv").read_text().splitlines()[1:]
    assert {"koolmees", "merel"} == {species for row in rows for species in ("koolmees", "merel") if species in row}
    assert Classifier.load(turbo_pool_run).types == ["song", "call", "alarm"]


@pytest.mark.slow
def test_a_split_by_segment_is_reported_as_a_leak(train_turbo_in_process, tmp_path, capsys):
    overrides = ["data.crops.enabled=false", "data.split_by=segment", "trainer.max_epochs=1", "evaluation.plots=false"]
    metrics = read_metrics(train_turbo_in_process(tmp_path / "leak", "species=koolmees", *overrides))
    assert metrics["split_by"] == "segment"
    assert "LEAK (data.split_by=segment)" in capsys.readouterr().err


def test_the_length_of_one_cycle_cannot_change(tmp_path):
    (tmp_path / "config.yaml").write_text(
        "species: {slug: merel}\nscheduler: {_target_: torch.optim.lr_scheduler.OneCycleLR}\n"
        "trainer: {max_epochs: 12}\n"
    )
    with pytest.raises(RunError, match="one cycle of 12 epochs"):
        change_config(tmp_path, read_config(tmp_path), ["trainer.max_epochs=20"])
