"""A run that was stopped at any moment continues from its last finished epoch."""

import json
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from omegaconf import OmegaConf

from birdnet_nl.sweep.job_file import State, current_record, read_record
from birdnet_nl.util.errors import RunError
from tests.runs.processes import interruptible, wait_for

LONG = ["trainer.max_epochs=400", "callbacks.early_stopping.patience=1000", "evaluation.plots=false"]


MAX_END_S = 10  # five seconds on an idle machine


def resume_in_process(run_dir: Path, **data) -> dict:
    """Continue a run in this process, with changed values of `data`, and return its report."""
    from birdnet_nl.runs.train import run

    cfg = OmegaConf.merge(OmegaConf.load(run_dir / "config.yaml"), {"data": data})
    run(cfg, run_dir, resume=True)
    return json.loads((run_dir / "metrics.json").read_text())


@pytest.fixture(scope="module")
def finished_run(train_in_process, tmp_path_factory) -> Path:
    return train_in_process(tmp_path_factory.mktemp("finished") / "run", "species=koolmees")


@pytest.fixture
def trained_run(finished_run, tmp_path) -> Path:
    """A run that was killed between the end of its training and the end of its test."""
    run_dir = tmp_path / "run"
    shutil.copytree(finished_run, run_dir)
    (run_dir / "metrics.json").unlink()
    return run_dir


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Checkpoint directory")
@pytest.mark.parametrize(
    ("sign", "exit_code"),
    [(signal.SIGKILL, -9), (signal.SIGINT, 130), (signal.SIGTERM, 143)],
    ids=["kill", "ctrl-c", "terminate"],
)
def test_a_stopped_run_continues_from_its_last_epoch(start_train_py, main, tiny, tmp_path, sign, exit_code):
    run_dir, last = tmp_path / "run", tmp_path / "run/checkpoints/last.ckpt"
    with interruptible():
        process = start_train_py("species=koolmees", *tiny, *LONG, f"hydra.run.dir={run_dir}")
    wait_for(last.is_file, process)
    first_ns = last.stat().st_mtime_ns
    wait_for(lambda: last.is_file() and last.stat().st_mtime_ns > first_ns, process)  # a later epoch
    process.send_signal(sign)
    started = time.monotonic()
    screen, _ = process.communicate(timeout=60)
    assert process.returncode == exit_code, screen
    assert time.monotonic() - started < MAX_END_S
    if sign != signal.SIGKILL:
        assert f"python train.py resume={run_dir}" in screen
        assert read_record(run_dir).state == State.CANCELLED
        assert "Traceback" not in screen
    assert not (run_dir / "metrics.json").exists()
    finished_epochs = len(torch.load(last, weights_only=True)["birdnet_nl"]["history"])

    code, screen = main(f"resume={run_dir}", f"trainer.max_epochs={finished_epochs + 1}")
    assert code == 0, screen
    assert f"continuing after epoch {finished_epochs}" in screen
    report = json.loads((run_dir / "metrics.json").read_text())
    assert report["epochs"] == finished_epochs + 1
    assert set(report["results"]) == {"recording", "segment"}

    code, screen = main(f"resume={run_dir}")
    assert code == 0 and "finished already" in screen


def test_a_run_killed_before_its_first_epoch_starts_again_in_its_directory(finished_run, tmp_path):
    shutil.copy(finished_run / "config.yaml", tmp_path)
    assert resume_in_process(tmp_path)["epochs"] == 2


def test_a_run_killed_after_its_training_continues_with_its_test(finished_run, trained_run, capsys):
    before = json.loads((finished_run / "metrics.json").read_text())
    after = resume_in_process(trained_run)
    assert "training had ended" in capsys.readouterr().err
    assert after["results"] == before["results"] and after["epochs"] == before["epochs"]


def test_a_run_does_not_continue_with_other_recordings(trained_run, tmp_path):
    folder = Path(OmegaConf.load(trained_run / "config.yaml").data.demo.folder)
    shutil.copytree(folder / "xeno-canto-koolmees", tmp_path / "data" / "xeno-canto-koolmees")
    next((tmp_path / "data").rglob("song/*.mp3")).unlink()
    with pytest.raises(RunError, match="no longer those of"):
        resume_in_process(trained_run, source="xeno_canto", root=str(tmp_path / "data"))


def test_a_finished_run_keeps_the_best_weights_without_the_training_state(finished_run):
    assert [path.name for path in (finished_run / "checkpoints").iterdir()] == ["best.ckpt"]
    checkpoint = torch.load(finished_run / "checkpoints/best.ckpt", weights_only=True)
    assert set(checkpoint) == {"state_dict", "birdnet_nl"}


def test_a_moved_run_does_not_continue_because_its_best_epoch_is_unknown(train_in_process, tmp_path, monkeypatch):
    def interrupt(*_) -> None:
        raise KeyboardInterrupt

    before = tmp_path / "before"
    with monkeypatch.context() as patched:
        patched.setattr("birdnet_nl.runs.train.test", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train_in_process(before, "species=koolmees")
    after = before.rename(tmp_path / "after")
    (after / "trained.json").unlink()
    with pytest.raises(RunError, match=f"was {before} when its training stopped"):
        resume_in_process(after)


def test_resuming_without_a_run_is_an_error(tmp_path, main):
    (tmp_path / "empty").mkdir()
    for name, sentence in (("missing", "is not a folder; give a run directory"), ("empty", "holds no config.yaml")):
        code, screen = main(f"resume={tmp_path / name}")
        assert code == 1 and sentence in screen and "Traceback" not in screen


@pytest.mark.slow
def test_a_run_that_is_terminated_while_it_prepares_ends_at_once_and_can_be_resumed(start_train_py, tiny_of, tmp_path):
    """Long recordings, whose decoding takes seconds each; the mels that were finished are used again."""
    root, run_dir = tmp_path / "recordings", tmp_path / "run"
    samples = np.random.default_rng(1).normal(0, 0.1, 22050 * 300)
    for kind in ("song", "call"):
        for number in range(12):
            path = root / "xeno-canto-merel" / kind / f"XC{kind == 'song':d}{number:02d}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, np.roll(samples, 1000 * number) * (1 + number / 99), 22050)
    tiny = [text for text in tiny_of(tmp_path / "logs") if not text.startswith(("data=", "data.demo", "paths.cache"))]
    arguments = ["species=merel", "data=xeno_canto", f"data.root={root}", f"paths.cache={tmp_path / 'cache'}", *tiny]
    with interruptible():
        process = start_train_py(*arguments, f"hydra.run.dir={run_dir}")
    wait_for(lambda: list((tmp_path / "cache").rglob("*.npy")), process)
    process.send_signal(signal.SIGTERM)
    started = time.monotonic()
    screen, _ = process.communicate(timeout=60)
    assert process.returncode == 143, screen
    assert time.monotonic() - started < MAX_END_S
    assert f"python train.py resume={run_dir}" in screen and "Traceback" not in screen, screen
    assert current_record(run_dir).state == State.CANCELLED


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_a_sweep_that_is_terminated_ends_at_once_with_its_workers(start_train_py, tiny, tmp_path, launcher):
    folder = tmp_path / "sweep"
    with interruptible():
        process = start_train_py(
            "-m", "species=koolmees,merel", *tiny, *LONG, f"launcher={launcher}", f"hydra.sweep.dir={folder}"
        )
    wait_for(lambda: list(folder.rglob("last.ckpt")), process)
    workers = {record.process.pid for path in folder.rglob("job.json") if (record := read_record(path.parent))}
    process.send_signal(signal.SIGTERM)
    started = time.monotonic()
    screen, _ = process.communicate(timeout=60)
    assert process.returncode == 143, screen
    assert time.monotonic() - started < MAX_END_S
    assert f"train.py -m sweep={folder}" in screen, screen
    assert "Traceback" not in screen, screen
    deadline = time.monotonic() + 5
    while any(Path(f"/proc/{pid}/exe").exists() for pid in workers):
        assert time.monotonic() < deadline, "a worker is alive"
        time.sleep(0.1)
    states = {current_record(path.parent).state for path in folder.rglob("job.json")}
    assert states <= {State.CANCELLED, State.WAITING}
