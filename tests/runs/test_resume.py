"""A run stopped at any moment goes on from its last finished epoch."""

import json
import signal
import time
from pathlib import Path

import pytest
import torch

LONG = ["trainer.max_epochs=400", "callbacks.early_stopping.patience=1000"]


def wait_for(path: Path, process, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not path.is_file():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.05)


def stop(*_) -> None:
    raise KeyboardInterrupt


def epochs_in(checkpoint: Path) -> int:
    return len(torch.load(checkpoint, weights_only=True)["birdnet_nl"]["history"])


@pytest.mark.slow
@pytest.mark.parametrize(("sign", "exit_code"), [(signal.SIGKILL, -9), (signal.SIGINT, 130)], ids=["kill", "ctrl-c"])
def test_a_stopped_run_goes_on_from_its_last_epoch(start_train_py, train_py, tiny, tmp_path, sign, exit_code):
    run_dir = tmp_path / "run"
    process = start_train_py("species=koolmees", *tiny, *LONG, f"hydra.run.dir={run_dir}")
    wait_for(run_dir / "checkpoints/last.ckpt", process)
    time.sleep(0.5)
    process.send_signal(sign)
    screen, _ = process.communicate(timeout=60)
    assert process.returncode == exit_code, screen
    if sign == signal.SIGINT:
        assert f"python train.py resume={run_dir}" in screen
        assert "Traceback" not in screen
    assert not (run_dir / "metrics.json").exists()
    finished_epochs = epochs_in(run_dir / "checkpoints/last.ckpt")

    code, screen = train_py(f"resume={run_dir}", f"trainer.max_epochs={finished_epochs + 3}")
    assert code == 0, screen
    assert f"going on after epoch {finished_epochs}" in screen
    metrics = json.loads((run_dir / "metrics.json").read_text())
    assert metrics["epochs"] == finished_epochs + 3
    assert {"recording", "segment"} == set(metrics["results"])

    code, screen = train_py(f"resume={run_dir}")
    assert code == 0 and "finished already" in screen


@pytest.mark.slow
def test_a_run_killed_after_training_goes_on_with_its_test(train_in_process, train_py, tmp_path):
    run_dir = train_in_process(tmp_path / "run", "species=koolmees")
    before = json.loads((run_dir / "metrics.json").read_text())
    (run_dir / "metrics.json").unlink()
    code, screen = train_py(f"resume={run_dir}")
    assert code == 0 and "training had ended" in screen, screen
    after = json.loads((run_dir / "metrics.json").read_text())
    assert after["results"] == before["results"] and after["epochs"] == before["epochs"]


@pytest.mark.slow
def test_a_run_killed_before_its_first_epoch_starts_over_in_its_folder(start_train_py, train_py, tiny, tmp_path):
    run_dir = tmp_path / "run"
    process = start_train_py("species=koolmees", *tiny, f"hydra.run.dir={run_dir}")
    wait_for(run_dir / "config.yaml", process)
    process.kill()
    process.communicate(timeout=60)
    assert not (run_dir / "checkpoints").exists()
    code, screen = train_py(f"resume={run_dir}")
    assert code == 0, screen
    assert json.loads((run_dir / "metrics.json").read_text())["epochs"] == 2


def test_only_what_keeps_a_run_comparable_can_change(train_in_process, tmp_path):
    from birdnet_nl.util.errors import RunError
    from birdnet_nl.util.run_directory import change_config, read_config

    run_dir = train_in_process(tmp_path / "run", "species=koolmees", "trainer.max_epochs=1")
    with pytest.raises(RunError, match=r"is finished, so .* changes nothing"):
        change_config(run_dir, read_config(run_dir), ["trainer.max_epochs=9"])
    (run_dir / "metrics.json").unlink()
    for refused in ("seed=2", "trainer=legacy", "data.batch_size=8", "trainer.max_epoch=9"):
        with pytest.raises(RunError, match=f"{refused} cannot change when a run goes on"):
            change_config(run_dir, read_config(run_dir), [refused])
    change_config(run_dir, read_config(run_dir), ["trainer.max_epochs=9"])
    assert read_config(run_dir).trainer.max_epochs == 9


def test_resuming_with_other_recordings_is_refused(train_in_process, tmp_path):
    import shutil

    from omegaconf import OmegaConf

    from birdnet_nl.runs.train import run
    from birdnet_nl.util.errors import RunError

    run_dir = train_in_process(tmp_path / "run", "species=koolmees")
    (run_dir / "metrics.json").unlink()
    cfg = OmegaConf.load(run_dir / "config.yaml")
    shutil.copytree(Path(cfg.data.demo.folder) / "xeno-canto-koolmees", tmp_path / "data" / "xeno-canto-koolmees")
    next((tmp_path / "data").rglob("song/*.mp3")).unlink()
    cfg.data.source, cfg.data.root = "xeno_canto", str(tmp_path / "data")
    with pytest.raises(RunError, match="no longer those of"):
        run(cfg, run_dir, resume=True)


def test_a_finished_run_keeps_what_prediction_needs_and_nothing_to_resume_from(train_in_process, tmp_path):
    run_dir = train_in_process(tmp_path / "run", "species=koolmees")
    assert [path.name for path in (run_dir / "checkpoints").iterdir()] == ["best.ckpt"]
    assert set(torch.load(run_dir / "checkpoints/best.ckpt", weights_only=True)) == {"state_dict", "birdnet_nl"}


def test_a_run_that_was_moved_is_not_continued_with_a_forgotten_best_epoch(train_in_process, tmp_path, monkeypatch):
    from omegaconf import OmegaConf

    from birdnet_nl.runs.train import run
    from birdnet_nl.util.errors import RunError

    before = tmp_path / "before"
    with monkeypatch.context() as patched:
        patched.setattr("birdnet_nl.runs.train.judge_run", stop)
        with pytest.raises(KeyboardInterrupt):
            train_in_process(before, "species=koolmees")
    after = before.rename(tmp_path / "after")
    (after / "trained.json").unlink()
    with pytest.raises(RunError, match=f"was {before} when its training stopped"):
        run(OmegaConf.load(after / "config.yaml"), after, resume=True)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda path: None, "is not a folder; give a run directory"),
        (lambda path: path.mkdir(), "holds no config.yaml"),
    ],
)
def test_resuming_what_is_no_run_is_a_clear_error(train_py, tmp_path, make, sentence):
    make(tmp_path / "run")
    code, screen = train_py(f"resume={tmp_path / 'run'}")
    assert code == 1 and sentence in screen and "Traceback" not in screen
