"""What a sweep's own files say at its end, for `sweep_faults`: finished, lost, trained twice."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from birdnet_nl.sweep.job_file import LOG, State, true_record
from birdnet_nl.sweep.jobs import Job
from birdnet_nl.sweep.sweep_file import find_sweeps, read_sweep
from birdnet_nl.util.run_directory import METRICS


def count(logs: Path, spoilt: Sequence[str]) -> dict[str, Any]:
    """Of the one sweep in `logs`; the species in `spoilt` are those that must fail."""
    (folder,) = find_sweeps(logs)
    jobs = read_sweep(folder).jobs
    records = {job: true_record(folder / job.folder) for job in jobs}
    states = Counter(str(record.state) for record in records.values())
    sound = [job for job in jobs if job.species not in spoilt]
    return {
        "states": dict(states),
        "finished": sum(records[job].state == State.DONE for job in sound),
        "lost": sorted(job.species for job in sound if records[job].state != State.DONE),
        "spoilt_that_failed": sum(records[job].state == State.FAILED for job in jobs if job.species in spoilt),
        "epochs_logged_twice": sum(_repeated_epochs(folder, job) for job in sound),
        "histories_broken": sorted(job.species for job in sound if not _whole_history(folder / job.folder / METRICS)),
        "worker_memory_mb": [
            record.memory_mb
            for record in sorted(records.values(), key=lambda record: record.started)
            if record.memory_mb and record.state == State.DONE
        ],
    }


def _repeated_epochs(folder: Path, job: Job) -> int:
    """Epochs that were trained more often than once, by the run's log."""
    path = folder / job.folder / LOG
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    logged = Counter(
        line.partition("] epoch ")[2].partition("/")[0] for line in text.splitlines() if "] epoch " in line
    )
    return sum(times - 1 for times in logged.values())


def _whole_history(path: Path) -> bool:
    """Whether every epoch stands in the run's history just once."""
    if not path.is_file():
        return False
    report = json.loads(path.read_text(encoding="utf-8"))
    return [row["epoch"] for row in report["history"]] == list(range(report["epochs"]))
