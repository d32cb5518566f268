"""`job.json` in a run's folder: what became of the run so far; and `heartbeat.json`, how far it is.

`metrics.json`, which a run writes last, is what makes it done; these files tell the rest.
"""

import json
import time
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from birdnet_nl.sweep.processes import ProcessMark
from birdnet_nl.util.files import write_text_atomic
from birdnet_nl.util.run_directory import HEARTBEAT, METRICS

JOB, LOG = "job.json", "train.log"
SILENT_S = 300.0  # a process on another machine that wrote no heartbeat for so long is taken for dead
TRANSIENT, FORESEEN, UNFORESEEN = "transient", "foreseen", "unforeseen"
ENDED_WITHOUT_A_WORD = "its process ended without a word: killed, out of memory, or the machine went down"


class State(StrEnum):
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    TOO_FEW = "too few recordings"
    CANCELLED = "cancelled"

    @property
    def dutch(self) -> str:
        return DUTCH[self]


DUTCH = {
    State.WAITING: "wachtend",
    State.RUNNING: "bezig",
    State.DONE: "voltooid",
    State.FAILED: "mislukt",
    State.TOO_FEW: "te weinig opnames",
    State.CANCELLED: "afgebroken",
}


@dataclass(frozen=True)
class JobRecord:
    """The content of a `job.json`.

    Attributes:
        attempts: how often the run was started or taken up again.
        process: who works or worked on it; None in a file that has lost it.
        started, ended: seconds since 1970, of the last attempt.
        reason: why it failed or stopped, in one sentence.
        cause: `transient` when it may well go otherwise next time, `foreseen` when it will not before something is
            mended, `unforeseen` when nobody can say.
        configuration, recordings: fingerprints of what it was started with (`fingerprints.py`).
        memory_mb: of the process when the attempt ended.
    """

    state: State
    attempts: int = 1
    process: ProcessMark | None = None
    started: float = 0.0
    ended: float | None = None
    reason: str = ""
    cause: str = ""
    configuration: str = ""
    recordings: str = ""
    memory_mb: int | None = None


def write_record(run_dir: Path, record: JobRecord) -> None:
    write_text_atomic(run_dir / JOB, json.dumps(asdict(record), indent=2, ensure_ascii=False) + "\n")


def read_record(run_dir: Path) -> JobRecord | None:
    """What the file says; None when there is none or it cannot be understood. `true_record` judges it."""
    try:
        values: dict[str, Any] = json.loads((run_dir / JOB).read_text(encoding="utf-8"))
        values = {field.name: values[field.name] for field in fields(JobRecord) if field.name in values}
        process = ProcessMark(**values["process"]) if values.get("process") else None
        return JobRecord(**{**values, "state": State(values["state"]), "process": process})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def true_record(run_dir: Path) -> JobRecord:
    """What has become of the run in `run_dir`, also when its process could not say so any more."""
    record = read_record(run_dir)
    if (run_dir / METRICS).is_file():
        return replace(record, state=State.DONE) if record else JobRecord(State.DONE)
    if record is None:
        return JobRecord(State.WAITING, attempts=0)
    if record.state == State.DONE:  # metrics.json was taken away
        return replace(record, state=State.CANCELLED, reason="its metrics.json is gone")
    if record.state == State.RUNNING and not is_at_work(run_dir, record):
        return replace(record, state=State.CANCELLED, reason=ENDED_WITHOUT_A_WORD, cause=TRANSIENT)
    return record


def is_at_work(run_dir: Path, record: JobRecord) -> bool:
    """Whether the process of a running record lives: by its number here, by its heartbeat elsewhere."""
    if record.process is None or record.state != State.RUNNING:
        return False
    if record.process.is_here:
        return record.process.is_alive
    try:
        heard = (run_dir / HEARTBEAT).stat().st_mtime
    except OSError:
        heard = record.started
    return time.time() - max(heard, record.started) < SILENT_S


def read_heartbeat(run_dir: Path) -> tuple[int, int] | None:
    """The epoch the run is in, from 1 on, and how many there are at most; None before the first."""
    try:
        values = json.loads((run_dir / HEARTBEAT).read_text())
        return int(values["epoch"]), int(values["epochs"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
