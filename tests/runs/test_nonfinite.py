"""A number that is not finite ends a run with one sentence, which names the recording or the parameter."""

import numpy as np
import pytest
import torch

from birdnet_nl.data import datamodule
from birdnet_nl.sweep.job_file import State, read_record
from birdnet_nl.util.errors import DataError
from birdnet_nl.util.failure import explain


def sentences(screen: str) -> list[str]:
    return [line for line in screen.splitlines() if line.startswith("✗")]


def test_a_learning_rate_that_diverges_fails_one_job_of_a_sweep_and_the_others_go_on(main, tiny, tmp_path):
    folder = tmp_path / "sweep"
    tiny = [text for text in tiny if not text.startswith("trainer.max_epochs")]
    settings = ["trainer.max_epochs=1", "evaluation.plots=false", f"hydra.sweep.dir={folder}"]
    code, screen = main("-m", "species=koolmees", "optimizer.lr=1e38,1e-3", *tiny, *settings)
    assert code == 1 and "Traceback" not in screen, screen
    of_job, of_sweep = sentences(screen)
    assert "a smaller optimizer.lr (now 1e+38)" in of_job and "1 job of the sweep failed" in of_sweep
    records = {path.parent: read_record(path.parent) for path in folder.rglob("job.json")}
    assert sorted(record.state for record in records.values()) == sorted([State.DONE, State.FAILED])
    (failed,) = (run_dir for run_dir, record in records.items() if record.state == State.FAILED)
    assert "optimizer.lr (now 1e+38)" in records[failed].reason
    assert not (failed / "metrics.json").exists() and not list(failed.rglob("*.ckpt"))


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_a_mel_that_is_damaged_after_it_was_cached_is_named(train_in_process, tmp_path, split, monkeypatch):
    damaged = {}

    def prepare(self):
        original(self)
        path = tmp_path / "damaged.npy"
        mel = np.load(self.datasets[split].paths[0])
        mel[:, 2] = np.nan
        np.save(path, mel)
        self.datasets[split].paths[0] = path
        damaged[split] = self.datasets[split].recording_ids[0]

    original = datamodule.SpeciesDataModule.prepare
    monkeypatch.setattr(datamodule.SpeciesDataModule, "prepare", prepare)
    run_dir = tmp_path / "run"
    with pytest.raises(DataError) as caught:
        train_in_process(run_dir, "species=koolmees", "trainer.max_epochs=1", "evaluation.plots=false")
    assert f"recording {damaged[split]} cannot be used: its cached mel {tmp_path}/damaged.npy" in explain(caught.value)
    assert not (run_dir / "metrics.json").exists() and not (run_dir / "predictions.csv").exists()
    for checkpoint in run_dir.rglob("*.ckpt"):
        weights = torch.load(checkpoint, weights_only=True)["state_dict"].values()
        assert all(value.isfinite().all() for value in weights)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("optimizer.lr=nan", "optimizer.lr=nan must be a finite number"),
        ("optimizer.lr=inf", "optimizer.lr=inf must be a finite number"),
        ("optimizer.lr=1e39", "optimizer.lr=1e+39 is too large"),
        ("+optimizer.weight_decay=nan", "optimizer.weight_decay=nan must be a finite number"),
        ("data.shares.val=nan", "data.shares.val=nan must be a finite number"),
        ("evaluation.target_accuracy=nan", "evaluation.target_accuracy=nan must be a finite number"),
    ],
)
def test_a_parameter_that_is_no_finite_number_is_refused(train_in_process, tmp_path, override, sentence):
    with pytest.raises(ValueError) as caught:
        train_in_process(tmp_path / "run", "species=koolmees", override)
    assert sentence in explain(caught.value)
