"""State of a run: `job.json` (state and cause of failure) and `heartbeat.json` (current epoch) in the run directory.

A run is done when `metrics.json` exists, which is written last.
"""

import errno
import json
import time
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from pathlib import Path

from birdnet_nl.sweep.processes import ProcessId
from birdnet_nl.util.errors import TooFewRecordingsError
from birdnet_nl.util.failure import explain
from birdnet_nl.util.files import write_text_atomic
from birdnet_nl.util.run_directory import HEARTBEAT, METRICS
from birdnet_nl.util.value_types import NUMBER, read_json_table, wrong_value

JOB, LOG = "job.json", "train.log"
HEARTBEAT_TIMEOUT_S = 300.0  # a process on another machine without a heartbeat for so long counts as dead
TRANSIENT, FORESEEN, UNFORESEEN = "transient", "foreseen", "unforeseen"
PROCESS_DIED = "its process ended without an error: killed, out of memory, or the machine went down"
OUT_OF_MEMORY = ("can't allocate memory", "out of memory", "unable to allocate")
MAX_REASON_CHARACTERS = 600


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


DUTCH = dict(zip(State, ("wachtend", "bezig", "voltooid", "mislukt", "te weinig opnames", "afgebroken"), strict=True))


@dataclass(frozen=True)
class JobRecord:
    """Content of a `job.json`.

    Attributes:
        attempts: number of times the run was started or resumed.
        process: process of the last attempt; None in an incomplete file.
        started, ended: seconds since 1970, of the last attempt.
        reason: cause of a failure or an interruption, in one sentence.
        cause: `transient` when another attempt may succeed, `foreseen` when something must be repaired first,
            `unforeseen` when neither is known.
        configuration, recordings: fingerprints at the start (`fingerprints.py`).
        memory_mb: memory of the process when the attempt ended.
    """

    state: State
    attempts: int = 1
    process: ProcessId | None = None
    started: float = 0.0
    ended: float | None = None
    reason: str = ""
    cause: str = ""
    configuration: str = ""
    recordings: str = ""
    memory_mb: int | None = None


RECORD = {  # types of the values of the file
    "process": {"host": str, "pid": int, "started": str},
    **dict.fromkeys(("state", "reason", "cause", "configuration", "recordings"), str),
    **dict.fromkeys(("attempts", "memory_mb"), int),
    **dict.fromkeys(("started", "ended"), NUMBER),
}


def write_record(run_dir: Path, record: JobRecord) -> None:
    write_text_atomic(run_dir / JOB, json.dumps(asdict(record), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_record(run_dir: Path) -> JobRecord | None:
    """Return the content of the file; None when it is missing or invalid. See `current_record` for the real state."""
    try:
        values = read_json_table(run_dir / JOB)
        if wrong_value(values, RECORD):
            return None
        values = {field.name: values[field.name] for field in fields(JobRecord) if field.name in values}
        process = ProcessId(**values["process"]) if values.get("process") else None
        return JobRecord(**{**values, "state": State(values["state"]), "process": process})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def current_record(run_dir: Path) -> JobRecord:
    """Return the record with its real state, also when the process of the run could not update the file."""
    record = read_record(run_dir)
    if (run_dir / METRICS).is_file():
        return replace(record, state=State.DONE) if record else JobRecord(State.DONE)
    if record is None:
        return JobRecord(State.WAITING, attempts=0)
    if record.state == State.DONE:  # metrics.json was removed
        return replace(record, state=State.CANCELLED, reason="its metrics.json is gone")
    if record.state == State.RUNNING and not is_running(run_dir, record):
        return replace(record, state=State.CANCELLED, reason=PROCESS_DIED, cause=TRANSIENT)
    return record


def is_running(run_dir: Path, record: JobRecord) -> bool:
    """Return True when the process of a running record is alive; on another machine the heartbeat decides."""
    if record.process is None or record.state != State.RUNNING:
        return False
    if record.process.is_local:
        return record.process.is_alive
    try:
        last_beat = (run_dir / HEARTBEAT).stat().st_mtime
    except OSError:
        last_beat = record.started
    return time.time() - max(last_beat, record.started) < HEARTBEAT_TIMEOUT_S


def read_heartbeat(run_dir: Path) -> tuple[int, int] | None:
    """Return the current epoch, counted from 1, and the maximum number of epochs; None before the first epoch."""
    try:
        values = json.loads((run_dir / HEARTBEAT).read_text())
        return int(values["epoch"]), int(values["epochs"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def classify_failure(error: BaseException) -> tuple[State, str, str]:
    """Return the state, the reason and the cause of a record whose job `error` ended."""
    if isinstance(error, KeyboardInterrupt | SystemExit):
        return State.CANCELLED, "interrupted", TRANSIENT
    if isinstance(error, TooFewRecordingsError):
        return State.TOO_FEW, str(error), FORESEEN
    explanation = explain(error)
    reason, cause = explanation or f"{type(error).__name__}: {error}", FORESEEN if explanation else UNFORESEEN
    if is_disk_full(error):
        cause = TRANSIENT
    elif isinstance(error, MemoryError) or any(words in str(error).lower() for words in OUT_OF_MEMORY):
        reason, cause = f"out of memory ({reason})", TRANSIENT
    return State.FAILED, reason[:MAX_REASON_CHARACTERS], cause


def is_disk_full(error: object) -> bool:
    """Return True for a full disk, also behind another error; `error` may come from another process, or be None."""
    while isinstance(error, BaseException):
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__ or error.__context__
    return False
