"""A sweep runs every combination; a failing job does not stop the others, and a kill costs no finished work."""

import json
import os
import signal
from pathlib import Path

import pytest

from birdnet_nl.sweep.job_file import State, current_record
from tests.runs.processes import wait_for

TWO_IN_PARALLEL = ["launcher=joblib", "hydra.launcher.n_jobs=2"]
RUNS = "sweep-*/*/*/*"

pytestmark = pytest.mark.slow


def read_reports(logs: Path) -> list[dict]:
    return [json.loads(path.read_text()) for path in logs.glob(f"{RUNS}/metrics.json")]


def states_of(logs: Path) -> dict[str, str]:
    return {path.parts[-3]: json.loads(path.read_text())["state"] for path in logs.glob(f"{RUNS}/job.json")}


def finish_times_ns(logs: Path) -> dict[str, int]:
    return {path.parts[-3]: path.stat().st_mtime_ns for path in logs.glob(f"{RUNS}/metrics.json")}


def without(overrides: list[str], *words: str) -> list[str]:
    return [text for text in overrides if not any(word in text for word in words)]


def test_a_sweep_trains_every_combination_on_the_same_recordings(train_py, tiny, tmp_path):
    code, screen = train_py(
        "-m", "species=Koolmees,Turdus merula", "trainer=legacy,fast", *tiny, "trainer.max_epochs=1"
    )
    assert code == 0, screen
    reports = {
        (report["species"]["slug"], report["parameter_set"]): report for report in read_reports(tmp_path / "logs")
    }
    assert set(reports) == {(slug, name) for slug in ("koolmees", "merel") for name in ("legacy", "fast")}
    for slug in ("koolmees", "merel"):
        legacy, fast = reports[slug, "legacy"], reports[slug, "fast"]
        assert legacy["data_fingerprint"] == fast["data_fingerprint"]
        assert (legacy["parameters"]["batch_size"], fast["parameters"]["batch_size"]) == (64, 128)
        assert legacy["synthetic"] and fast["synthetic"]


def test_a_failing_job_does_not_stop_the_others(train_py, tiny, tmp_path, make_recordings_folder):
    root = tmp_path / "recordings"
    make_recordings_folder(root, "koolmees", {"song": 6, "call": 6})
    code, screen = train_py(
        "-m", "species=merel,koolmees", "trainer=fast", f"data.root={root}", *without(tiny, "data=demo"),
        "trainer.max_epochs=1",
    )  # fmt: skip
    assert code == 1
    assert screen.count("none of merel") == 2, screen  # when it fails, and at the end
    assert "1 jobs of the sweep failed" in screen
    (report,) = read_reports(tmp_path / "logs")
    assert report["species"]["slug"] == "koolmees"


@pytest.fixture
def three_species(tmp_path, make_recordings_folder) -> list[str]:
    """Overrides for a valid species, one with too few recordings and one whose files are broken."""
    root = tmp_path / "recordings"
    make_recordings_folder(root, "koolmees", {"song": 5, "call": 5})
    make_recordings_folder(root, "merel", {"song": 5, "call": 1}, first_number=100)
    broken = make_recordings_folder(root, "vink", {"song": 5, "call": 5}, first_number=200)
    for path in broken.rglob("*.wav"):
        path.write_bytes(b"not a sound")
    return ["species=koolmees,merel,vink", "data=xeno_canto", f"data.root={root}", "trainer.max_epochs=1"]


def test_only_a_repaired_species_is_trained_when_the_sweep_is_resumed(
    train_py, tiny, tmp_path, three_species, make_recordings_folder
):
    logs = tmp_path / "logs"
    overrides = [*three_species, *without(tiny, "data=demo", "max_epochs"), *TWO_IN_PARALLEL]
    code, screen = train_py("-m", *overrides)
    assert code == 1, screen
    assert states_of(logs) == {"koolmees": "done", "merel": "too few recordings", "vink": "failed"}
    assert "not finished, 1: Vink: vink: none of the 10 files" in screen
    assert "1 jobs of the sweep failed" in screen and "python train.py -m sweep=" in screen
    assert "Traceback" not in screen
    before = finish_times_ns(logs)

    make_recordings_folder(tmp_path / "recordings", "vink", {"song": 5, "call": 5}, first_number=200)
    code, screen = train_py("-m", *overrides, "sweep=resume")
    assert code == 0, screen
    assert "its recordings changed" in screen and "1 already finished" in screen
    assert len(list(logs.glob("sweep-*"))) == 1
    after = finish_times_ns(logs)
    assert after["koolmees"] == before["koolmees"] and "vink" in after
    assert states_of(logs)["merel"] == "too few recordings"  # no failure, so the exit code is 0


def test_killed_workers_and_a_killed_launcher_cost_no_finished_work(start_train_py, train_py, tiny, tmp_path):
    logs = tmp_path / "logs"
    names = ("koolmees", "merel", "vink")
    long = ["trainer.max_epochs=8", "callbacks.early_stopping.patience=99"]
    overrides = [f"species={','.join(names)}", *without(tiny, "max_epochs"), *long, *TWO_IN_PARALLEL]

    def training_workers() -> list[int]:
        records = [
            json.loads((path.parents[1] / "job.json").read_text())
            for path in logs.glob(f"{RUNS}/checkpoints/last.ckpt")
        ]
        return [record["process"]["pid"] for record in records if record["state"] == "running"]

    launcher = start_train_py("-m", *overrides)
    os.kill(wait_for(training_workers, launcher)[0], signal.SIGKILL)
    wait_for(lambda: finish_times_ns(logs), launcher)
    launcher.kill()
    screen = launcher.communicate()[0]
    assert "a worker was killed; the sweep continues with the remaining jobs" in screen
    before = finish_times_ns(logs)
    assert 1 <= len(before) < len(names), screen

    code, screen = train_py("-m", *overrides, "sweep=resume")
    assert code == 0, screen
    after = finish_times_ns(logs)
    assert set(after) == set(names) and before.items() <= after.items()
    for report in read_reports(logs):  # every epoch of every job once
        assert [row["epoch"] for row in report["history"]] == list(range(8))
    # A launcher killed between the last two files of a run leaves a record in state "running"; the report decides.
    assert {current_record(path.parent).state for path in logs.glob(f"{RUNS}/job.json")} == {State.DONE}

    code, screen = train_py("sweep=resume", f"paths.logs={logs}")  # nothing is left
    assert code == 0 and "3 already finished" in screen and finish_times_ns(logs) == after
