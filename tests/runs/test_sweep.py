"""Sweeps from the command line: every combination runs, failures stop no other job, and finished work is kept.

The training is a scripted one where the promise is about the sweep; one sweep is real, and is killed twice.
"""

import json
import os
import signal
from pathlib import Path

import pytest
import yaml
from omegaconf import DictConfig, OmegaConf

from birdnet_nl.sweep.job import LAUNCHER
from birdnet_nl.sweep.job_file import State, current_record
from birdnet_nl.util.errors import DataError, TooFewRecordingsError
from birdnet_nl.util.run_directory import METRICS, claim, write_json
from tests.runs.processes import wait_for

RUNS = "sweep-*/*/*/*"


def finish_times_ns(logs: Path) -> dict[str, int]:
    return {path.parts[-3]: path.stat().st_mtime_ns for path in logs.glob(f"{RUNS}/metrics.json")}


def states_of(logs: Path) -> dict[str, State]:
    return {path.parts[-3]: current_record(path.parent).state for path in logs.glob(f"{RUNS}/job.json")}


class ScriptedTraining:
    """In place of `runs.train.run`: keeps the configurations; a species in `errors` fails."""

    def __init__(self) -> None:
        self.configurations: list[DictConfig] = []
        self.errors: dict[str, Exception] = {}

    def __call__(self, cfg: DictConfig, run_dir: Path, resume: bool) -> float:
        self.configurations.append(OmegaConf.create(OmegaConf.to_container(cfg, resolve=True)))
        if not resume:
            claim(run_dir, cfg)
        if error := self.errors.get(cfg.species.slug):
            raise error
        write_json(run_dir / METRICS, {"species": {"slug": cfg.species.slug}, "results": {"recording": {}}})
        return 1 - abs(cfg.optimizer.lr - 0.001)


@pytest.fixture
def training(monkeypatch) -> ScriptedTraining:
    scripted = ScriptedTraining()
    monkeypatch.setattr("birdnet_nl.runs.train.run", scripted)
    monkeypatch.setenv(LAUNCHER, "")  # set by every sweep; restored after the test
    return scripted


def test_a_sweep_trains_every_combination_in_its_own_directory(training, main, tiny, tmp_path):
    code, screen = main("-m", "species=Koolmees,Turdus merula", "trainer=legacy,fast", *tiny)
    assert code == 0, screen
    jobs = [(cfg.species.slug, cfg.parameter_set, cfg.data.batch_size) for cfg in training.configurations]
    combinations = [(name, size) for name, size in (("legacy", 64), ("fast", 128))]
    assert jobs == [(slug, *combination) for slug in ("koolmees", "merel") for combination in combinations]
    run_dirs = [path.parent.relative_to(path.parents[3]) for path in (tmp_path / "logs").glob(f"{RUNS}/config.yaml")]
    assert set(map(str, run_dirs)) == {f"{name}/{slug}/0-synthetic" for slug, name, _ in jobs}


def test_failed_jobs_stop_no_other_job_and_only_a_repaired_one_is_trained_when_the_sweep_is_resumed(
    training, main, tmp_path, make_recordings_folder
):
    root, logs = tmp_path / "recordings", tmp_path / "logs"
    for number, slug in enumerate(("merel", "vink", "koolmees")):
        make_recordings_folder(root, slug, {"song": 1, "call": 1}, first_number=10 * number)
    training.errors = {"merel": TooFewRecordingsError("merel: only 1"), "vink": DataError("vink: none of the 2 files")}
    overrides = ["species=merel,vink,koolmees", f"data.root={root}", f"paths.logs={logs}", f"paths.cache={tmp_path}"]
    code, screen = main("-m", *overrides)
    assert code == 1, screen
    assert states_of(logs) == {"koolmees": State.DONE, "merel": State.TOO_FEW, "vink": State.FAILED}
    assert screen.count("vink: none of the 2 files") == 2  # when it fails, and at the end
    assert "not finished, 1: Vink: vink: none of the 2 files" in screen
    assert "1 job of the sweep failed" in screen and "python train.py -m sweep=" in screen
    assert "Traceback" not in screen
    before, trained = finish_times_ns(logs), len(training.configurations)

    make_recordings_folder(root, "vink", {"song": 2, "call": 1}, first_number=20)
    del training.errors["vink"]
    code, screen = main("-m", *overrides, "sweep=resume")
    assert code == 0, screen  # too few recordings are no failure
    assert "its recordings changed" in screen and "1 already finished" in screen
    assert [cfg.species.slug for cfg in training.configurations[trained:]] == ["merel", "vink"]
    assert len(list(logs.glob("sweep-*"))) == 1
    assert states_of(logs) == {"koolmees": State.DONE, "merel": State.TOO_FEW, "vink": State.DONE}
    assert finish_times_ns(logs)["koolmees"] == before["koolmees"]


def test_a_search_writes_the_values_of_its_best_trial(training, main, tiny_of, tmp_path):
    pytest.importorskip("optuna")
    code, screen = main(
        "-m", "species=koolmees", "sweeper=optuna", "trainer=turbo", "hydra.sweeper.trials=4", "data=demo",
        f"paths.cache={tmp_path}", f"hydra.sweep.dir={tmp_path / 'search'}",
    )  # fmt: skip
    assert code == 0, screen
    assert {path.parent.name[:2] for path in (tmp_path / "search").rglob("metrics.json")} == {"0-", "1-", "2-", "3-"}
    rates = [cfg.optimizer.lr for cfg in training.configurations]
    parameter_set = yaml.safe_load((tmp_path / "search/conf/trainer/turbo_searched.yaml").read_text())
    assert parameter_set["optimizer"]["lr"] == min(rates, key=lambda rate: abs(rate - 0.001))
    assert len(set(rates)) == 4 and "best of 4 trials" in screen and "Warning" not in screen


@pytest.mark.slow
def test_killed_workers_and_a_killed_launcher_cost_no_finished_work(start_train_py, main, tiny, tmp_path, monkeypatch):
    monkeypatch.setenv(LAUNCHER, "")
    logs, names = tmp_path / "logs", ("koolmees", "merel", "vink")
    long = ["trainer.max_epochs=6", "callbacks.early_stopping.patience=99", "evaluation.plots=false"]
    overrides = [f"species={','.join(names)}", *(text for text in tiny if "max_epochs" not in text), *long]

    def training_workers() -> list[int]:
        checkpoints = logs.glob(f"{RUNS}/checkpoints/last.ckpt")
        records = [current_record(path.parents[1]) for path in checkpoints]
        return [record.process.pid for record in records if record.state == State.RUNNING]

    launcher = start_train_py("-m", *overrides, "launcher=joblib", "hydra.launcher.n_jobs=2")
    os.kill(wait_for(training_workers, launcher)[0], signal.SIGKILL)
    wait_for(lambda: finish_times_ns(logs), launcher)
    launcher.kill()
    screen = launcher.communicate()[0]
    assert "a worker was killed; the sweep continues with the remaining jobs" in screen
    before = finish_times_ns(logs)
    assert 1 <= len(before) < len(names), screen

    code, screen = main("-m", *overrides, "sweep=resume")
    assert code == 0, screen
    after = finish_times_ns(logs)
    assert set(after) == set(names) and before.items() <= after.items()
    for path in logs.glob(f"{RUNS}/metrics.json"):  # every epoch of every job once
        assert [row["epoch"] for row in json.loads(path.read_text())["history"]] == list(range(6))
    assert set(states_of(logs).values()) == {State.DONE}

    code, screen = main("sweep=resume", f"paths.logs={logs}")  # nothing is left
    assert code == 0 and "3 already finished" in screen and finish_times_ns(logs) == after
