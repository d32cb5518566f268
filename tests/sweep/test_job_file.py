import os
import time
from dataclasses import replace

from birdnet_nl.sweep.job_file import (
    JOB,
    SILENT_S,
    JobRecord,
    State,
    read_heartbeat,
    read_record,
    true_record,
    write_record,
)
from birdnet_nl.sweep.processes import ProcessMark
from birdnet_nl.util.run_directory import HEARTBEAT


def test_a_record_is_read_as_it_was_written(tmp_path, running):
    write_record(tmp_path, running)
    assert read_record(tmp_path) == running
    assert true_record(tmp_path).state == State.RUNNING


def test_a_folder_without_files_waits(tmp_path):
    assert true_record(tmp_path) == JobRecord(State.WAITING, attempts=0)
    assert true_record(tmp_path / "not made yet").state == State.WAITING


def test_metrics_make_a_run_done_whatever_its_record_says(tmp_path, running, gone, finish):
    write_record(tmp_path, replace(running, process=gone))
    finish(tmp_path)
    assert true_record(tmp_path).state == State.DONE
    (tmp_path / JOB).unlink()
    assert true_record(tmp_path).state == State.DONE


def test_a_run_whose_process_died_is_not_running_for_ever(tmp_path, running, gone):
    write_record(tmp_path, replace(running, process=gone))
    record = true_record(tmp_path)
    assert record.state == State.CANCELLED and "without a word" in record.reason


def test_a_run_elsewhere_is_known_by_its_heartbeat(tmp_path, running):
    elsewhere = ProcessMark("another-machine", 1, "1")
    write_record(tmp_path, replace(running, process=elsewhere, started=time.time() - 2 * SILENT_S))
    assert true_record(tmp_path).state == State.CANCELLED
    (tmp_path / HEARTBEAT).write_text('{"epoch": 3, "epochs": 12}')
    assert true_record(tmp_path).state == State.RUNNING
    assert read_heartbeat(tmp_path) == (3, 12)
    old = time.time() - SILENT_S - 5
    os.utime(tmp_path / HEARTBEAT, (old, old))
    assert true_record(tmp_path).state == State.CANCELLED


def test_a_run_elsewhere_that_just_began_needs_no_heartbeat_yet(tmp_path, running):
    write_record(tmp_path, replace(running, process=ProcessMark("another-machine", 1, "1"), started=time.time()))
    assert true_record(tmp_path).state == State.RUNNING


def test_a_done_record_without_metrics_is_not_believed(tmp_path):
    write_record(tmp_path, JobRecord(State.DONE))
    assert true_record(tmp_path).state == State.CANCELLED


def test_half_a_record_counts_as_none(tmp_path):
    for text in ("", "{", "[]", '{"state": "asleep"}', '{"attempts": 1}'):
        (tmp_path / JOB).write_text(text)
        assert read_record(tmp_path) is None, text


def test_every_state_has_a_dutch_name():
    assert [state.dutch for state in State] == [
        "wachtend", "bezig", "voltooid", "mislukt", "te weinig opnames", "afgebroken",
    ]  # fmt: skip
