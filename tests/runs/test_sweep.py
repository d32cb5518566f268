"""A sweep: every combination has its run; a failing job is told and does not stop the others; a kill costs nothing."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from birdnet_nl.sweep.job_file import State, current_record

TWO_AT_A_TIME = ["launcher=joblib", "hydra.launcher.n_jobs=2"]


@pytest.mark.slow
def test_a_sweep_trains_every_combination_on_the_same_recordings(train_py, tiny, tmp_path):
    code, screen = train_py(
        "-m", "species=Koolmees,Turdus merula", "trainer=legacy,fast", *tiny, "trainer.max_epochs=1"
    )
    assert code == 0, screen
    runs = {
        (report["species"]["slug"], report["parameter_set"]): report
        for report in (json.loads(path.read_text()) for path in (tmp_path / "logs").glob("sweep-*/*/*/*/metrics.json"))
    }
    assert set(runs) == {(slug, name) for slug in ("koolmees", "merel") for name in ("legacy", "fast")}
    for slug in ("koolmees", "merel"):
        legacy, fast = runs[slug, "legacy"], runs[slug, "fast"]
        assert legacy["data_fingerprint"] == fast["data_fingerprint"]
        assert (legacy["parameters"]["batch_size"], fast["parameters"]["batch_size"]) == (64, 128)
        assert legacy["synthetic"] and fast["synthetic"]


@pytest.mark.slow
def test_a_failing_job_does_not_stop_the_others(train_py, tiny, tmp_path, make_recordings_folder):
    root = tmp_path / "recordings"
    make_recordings_folder(root, "koolmees", {"song": 6, "call": 6})
    tiny = [override for override in tiny if override != "data=demo"]
    code, screen = train_py(
        "-m", "species=merel,koolmees", "trainer=fast", f"data.root={root}", *tiny, "trainer.max_epochs=1"
    )
    assert code == 1
    assert screen.count("none of merel") == 2, screen  # when it fails, and at the end
    assert "1 jobs of the sweep failed" in screen
    (metrics,) = (tmp_path / "logs").glob("sweep-*/*/*/*/metrics.json")
    assert json.loads(metrics.read_text())["species"]["slug"] == "koolmees"


def job_files(logs: Path) -> dict[str, dict]:
    return {path.parts[-3]: json.loads(path.read_text()) for path in logs.glob("sweep-*/*/*/*/job.json")}


def written(logs: Path) -> dict[str, int]:
    """When each run was finished, by species."""
    return {path.parts[-3]: path.stat().st_mtime_ns for path in logs.glob("sweep-*/*/*/*/metrics.json")}


def wait_until(found, process, seconds: float = 120):
    deadline = time.monotonic() + seconds
    while not (value := found()):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return value


@pytest.fixture
def three_species(tmp_path, make_recordings_folder) -> list[str]:
    """Overrides for one species in order, one with too few recordings and one whose files are broken."""
    root = tmp_path / "recordings"
    make_recordings_folder(root, "koolmees", {"song": 5, "call": 5})
    make_recordings_folder(root, "merel", {"song": 5, "call": 1}, first_number=100)
    broken = make_recordings_folder(root, "vink", {"song": 5, "call": 5}, first_number=200)
    for path in broken.rglob("*.wav"):
        path.write_bytes(b"not a sound")
    return ["species=koolmees,merel,vink", "data=xeno_canto", f"data.root={root}", "trainer.max_epochs=1"]


@pytest.mark.slow
def test_one_broken_species_fails_alone_and_only_it_is_tried_again(
    train_py, tiny, tmp_path, three_species, make_recordings_folder
):
    logs, tiny = tmp_path / "logs", [override for override in tiny if override != "data=demo"]
    overrides = [*three_species, *(text for text in tiny if "max_epochs" not in text), *TWO_AT_A_TIME]
    code, screen = train_py("-m", *overrides)
    assert code == 1, screen
    states = {species: record["state"] for species, record in job_files(logs).items()}
    assert states == {"koolmees": "done", "merel": "too few recordings", "vink": "failed"}
    assert "not finished, 1: Vink: vink: none of the 10 files" in screen
    assert "1 jobs of the sweep failed" in screen and "python train.py -m sweep=" in screen
    assert "Traceback" not in screen
    finished = written(logs)

    make_recordings_folder(tmp_path / "recordings", "vink", {"song": 5, "call": 5}, first_number=200)
    code, screen = train_py("-m", *overrides, "sweep=resume")
    assert code == 0, screen
    assert "its recordings changed" in screen and "1 finished already" in screen
    assert len(list(logs.glob("sweep-*"))) == 1
    assert written(logs)["koolmees"] == finished["koolmees"] and "vink" in written(logs)
    assert job_files(logs)["merel"]["state"] == "too few recordings"  # a state, so the exit code is 0


@pytest.mark.slow
def test_killed_workers_and_a_killed_launcher_cost_no_finished_work(start_train_py, train_py, tiny, tmp_path):
    logs = tmp_path / "logs"
    names = ("koolmees", "merel", "vink")
    long = ["trainer.max_epochs=8", "callbacks.early_stopping.patience=99"]
    overrides = [f"species={','.join(names)}", *(text for text in tiny if "max_epochs" not in text), *long]

    def in_training() -> list[int]:
        return [
            record["process"]["pid"]
            for path in logs.glob("sweep-*/*/*/*/checkpoints/last.ckpt")
            if (record := json.loads((path.parents[1] / "job.json").read_text()))["state"] == "running"
        ]

    launcher = start_train_py("-m", *overrides, *TWO_AT_A_TIME)
    os.kill(wait_until(in_training, launcher)[0], signal.SIGKILL)  # a worker in the middle of its job
    wait_until(lambda: written(logs), launcher)
    launcher.kill()
    screen = launcher.communicate()[0]
    assert "a worker was killed; the sweep goes on with what is left" in screen
    finished = written(logs)
    assert 1 <= len(finished) < len(names), screen

    code, screen = train_py("-m", *overrides, *TWO_AT_A_TIME, "sweep=resume")
    assert code == 0, screen
    after = written(logs)
    assert set(after) == set(names) and finished.items() <= after.items()
    for path in logs.glob("sweep-*/*/*/*/metrics.json"):  # every epoch of every job once
        report = json.loads(path.read_text())
        assert [row["epoch"] for row in report["history"]] == list(range(8))
    # A launcher killed between a run's last two files leaves a record that says "running"; the report decides.
    assert {current_record(path.parent).state for path in logs.glob("sweep-*/*/*/*/job.json")} == {State.DONE}

    code, screen = train_py("sweep=resume", f"paths.logs={logs}")  # nothing is left, and that takes a moment
    assert code == 0 and "3 finished already" in screen and written(logs) == after
