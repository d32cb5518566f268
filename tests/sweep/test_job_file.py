import errno
import json
import os
import time
from dataclasses import replace

import pytest

from birdnet_nl.sweep.job_file import (
    FORESEEN,
    HEARTBEAT_TIMEOUT_S,
    JOB,
    TRANSIENT,
    UNFORESEEN,
    JobRecord,
    State,
    classify_failure,
    current_record,
    is_disk_full,
    read_heartbeat,
    read_record,
    write_record,
)
from birdnet_nl.sweep.processes import ProcessId
from birdnet_nl.util.errors import DataError, TooFewRecordingsError
from birdnet_nl.util.run_directory import HEARTBEAT

OF_VERSION_0_1 = {
    "state": "too few recordings", "attempts": 2, "process": {"host": "nas", "pid": 7, "started": "88"}, "started": 1.5,
    "ended": 2.5, "reason": "merel: only 2", "cause": "foreseen", "configuration": "0a", "recordings": "0b",
    "memory_mb": 512,
}  # fmt: skip


def test_the_file_has_the_format_of_version_0_1(tmp_path):
    (tmp_path / JOB).write_text(json.dumps(OF_VERSION_0_1))
    process = ProcessId("nas", 7, "88")
    record = JobRecord(State.TOO_FEW, 2, process, 1.5, 2.5, "merel: only 2", "foreseen", "0a", "0b", 512)
    assert read_record(tmp_path) == record
    write_record(tmp_path, record)
    assert json.loads((tmp_path / JOB).read_text()) == OF_VERSION_0_1


def test_the_state_of_a_job_follows_its_process_and_its_metrics(tmp_path, running, ended_process, finish_run):
    assert current_record(tmp_path / "missing") == JobRecord(State.WAITING, attempts=0)
    write_record(tmp_path, running)
    assert current_record(tmp_path) == running
    write_record(tmp_path, replace(running, process=ended_process))
    record = current_record(tmp_path)
    assert record.state == State.CANCELLED and "ended without an error" in record.reason
    finish_run(tmp_path)
    assert current_record(tmp_path).state == State.DONE
    (tmp_path / JOB).unlink()
    assert current_record(tmp_path).state == State.DONE


def test_a_run_on_another_machine_is_running_while_it_has_a_heartbeat(tmp_path, running):
    elsewhere = replace(running, process=ProcessId("another-machine", 1, "1"))
    write_record(tmp_path, replace(elsewhere, started=time.time()))
    assert current_record(tmp_path).state == State.RUNNING  # the first heartbeat is still to come
    write_record(tmp_path, replace(elsewhere, started=time.time() - 2 * HEARTBEAT_TIMEOUT_S))
    assert current_record(tmp_path).state == State.CANCELLED
    (tmp_path / HEARTBEAT).write_text('{"epoch": 3, "epochs": 12}')
    assert current_record(tmp_path).state == State.RUNNING
    assert read_heartbeat(tmp_path) == (3, 12)
    old = time.time() - HEARTBEAT_TIMEOUT_S - 5
    os.utime(tmp_path / HEARTBEAT, (old, old))
    assert current_record(tmp_path).state == State.CANCELLED


def test_a_done_record_without_metrics_is_cancelled(tmp_path):
    write_record(tmp_path, JobRecord(State.DONE))
    assert current_record(tmp_path).state == State.CANCELLED


@pytest.mark.parametrize("text", ["", "{", "[]", '{"state": "asleep"}', '{"attempts": 1}'])
def test_an_invalid_record_counts_as_missing(tmp_path, text):
    (tmp_path / JOB).write_text(text)
    assert read_record(tmp_path) is None


def test_states_have_their_own_dutch_names():
    dutch = [State.WAITING.dutch, State.DONE.dutch, State.FAILED.dutch, State.CANCELLED.dutch]
    assert dutch == ["wachtend", "voltooid", "mislukt", "afgebroken"]


@pytest.mark.parametrize(
    ("error", "state", "cause", "words"),
    [
        (TooFewRecordingsError("merel: only 2"), State.TOO_FEW, FORESEEN, "merel: only 2"),
        (DataError("none of the 3 files can be used"), State.FAILED, FORESEEN, "none of the 3 files"),
        (MemoryError(), State.FAILED, TRANSIENT, "out of memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), State.FAILED, TRANSIENT, "out of memory"),
        (OSError(errno.ENOSPC, "No space left on device"), State.FAILED, TRANSIENT, "the disk is full"),
        (KeyError("a bug"), State.FAILED, UNFORESEEN, "KeyError"),
        (KeyboardInterrupt(), State.CANCELLED, TRANSIENT, "interrupted"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_failures_are_classified_by_state_and_cause(error, state, cause, words):
    classified, reason, of_kind = classify_failure(error)
    assert (classified, of_kind) == (state, cause) and words in reason


def test_a_full_disk_is_recognised_behind_another_error():
    try:
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as error:
            raise RuntimeError("could not save") from error
    except RuntimeError as error:
        assert is_disk_full(error)
    assert not is_disk_full(RuntimeError("x")) and not is_disk_full(None)
