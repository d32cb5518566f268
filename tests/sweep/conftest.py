"""Folders of sweeps, written without any training."""

import json
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import birdnet_nl.sweep.job  # noqa: F401  registers the species and the resolver of the configuration
from birdnet_nl.sweep.job_file import JobRecord, State, write_record
from birdnet_nl.sweep.jobs import Job
from birdnet_nl.sweep.processes import ProcessId, this_process
from birdnet_nl.sweep.sweep_file import Sweep, write_sweep


@pytest.fixture(scope="session")
def ended_process() -> ProcessId:
    """A process of this machine that has ended."""
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    process.wait()
    return ProcessId(platform.node(), process.pid, "1")


@pytest.fixture
def running() -> JobRecord:
    return JobRecord(State.RUNNING, process=this_process(), started=1000.0, configuration="c", recordings="r")


@pytest.fixture
def make_job() -> Callable[..., Job]:
    def make(species: str, parameter_set: str = "turbo", number: int = 0, *more: str) -> Job:
        overrides = (f"species={species}", f"trainer={parameter_set}", *more)
        return Job(overrides, f"{parameter_set}/{species}/{number}", species, parameter_set)

    return make


@pytest.fixture
def make_sweep(tmp_path: Path) -> Callable[..., Sweep]:
    """Write a sweep whose jobs have the given records; None for a job without a run directory."""

    def make(
        records: dict[Job, JobRecord | None], name: str = "sweep-1", started: float = 1000.0, process=None
    ) -> Sweep:
        folder = tmp_path / "logs" / name
        folder.mkdir(parents=True)
        sweep = Sweep(folder, ("species=all", "trainer=turbo"), tuple(records), started, (), process)
        write_sweep(sweep)
        for job, record in records.items():
            if record is not None:
                (folder / job.folder).mkdir(parents=True)
                write_record(folder / job.folder, record)
                if record.state == State.DONE:
                    write_metrics(folder / job.folder)
        return sweep

    return make


@pytest.fixture
def finish_run() -> Callable[..., None]:
    return write_metrics


def write_metrics(run_dir: Path, accuracy: float = 0.75, seconds: float = 4.0) -> None:
    results = {"balanced_accuracy": accuracy, "intervals": {"balanced_accuracy": [accuracy - 0.1, accuracy + 0.1]}}
    report = {
        "species": {"slug": run_dir.parent.name, "dutch": run_dir.parent.name.capitalize()},
        "parameter_set": run_dir.parent.parent.name,
        "seed": 1,
        "synthetic": True,
        "seconds": {"total": seconds},
        "results": {"recording": results},
    }
    run_dir.mkdir(parents=True, exist_ok=True)
    (run_dir / "metrics.json").write_text(json.dumps(report))
