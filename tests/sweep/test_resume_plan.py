from dataclasses import replace

import pytest

from birdnet_nl.sweep.job_file import JobRecord, State, write_record
from birdnet_nl.sweep.resume_plan import EARLIER, Step, put_aside, settle


def record(state: State, **more) -> JobRecord:
    return JobRecord(state, configuration="c", recordings="r", **more)


@pytest.mark.parametrize(
    ("state", "step"),
    [
        (State.DONE, Step.SKIP),
        (State.FAILED, Step.AGAIN),
        (State.TOO_FEW, Step.AGAIN),
        (State.CANCELLED, Step.GO_ON),
    ],
)
def test_what_is_done_with_a_job_of_the_same_configuration_and_recordings(tmp_path, make_job, finish, state, step):
    write_record(tmp_path, record(state))
    if state == State.DONE:
        finish(tmp_path)
    assert settle(make_job("merel"), tmp_path, "c", "r").step == step


def test_a_job_that_never_was_begins(tmp_path, make_job):
    assert settle(make_job("merel"), tmp_path / "nothing", "c", "r").step == Step.BEGIN


def test_a_job_that_runs_is_let_be(tmp_path, make_job, running):
    write_record(tmp_path, running)
    assert settle(make_job("merel"), tmp_path, "c", "r").step == Step.AT_WORK


def test_a_job_whose_process_died_goes_on(tmp_path, make_job, running, gone):
    write_record(tmp_path, replace(running, process=gone))
    assert settle(make_job("merel"), tmp_path, "c", "r").step == Step.GO_ON


def test_what_changed_begins_anew_and_says_why(tmp_path, make_job, finish):
    write_record(tmp_path, record(State.DONE))
    finish(tmp_path)
    settled = settle(make_job("merel"), tmp_path, "other", "r")
    assert (settled.step, settled.why) == (Step.ANEW, "its configuration changed")
    assert settle(make_job("merel"), tmp_path, "c", "more").why == "its recordings changed"


def test_a_finished_run_that_lost_its_record_counts(tmp_path, make_job, finish):
    finish(tmp_path)
    assert settle(make_job("merel"), tmp_path, "c", "r").step == Step.SKIP


def test_what_is_put_aside_is_kept_and_hidden_from_comparisons(tmp_path, finish):
    from birdnet_nl.comparison.finished_runs import find_runs

    run_dir = tmp_path / "turbo/merel/0"
    kept = []
    for number in range(3):
        finish(run_dir, figure=number / 10)
        write_record(run_dir, record(State.DONE))
        kept.append(put_aside(run_dir))
        assert not run_dir.exists()
    assert len(set(kept)) == 3 and all((path / "metrics.json").is_file() for path in kept)
    assert {path.parent.name for path in kept} == {EARLIER}
    found = find_runs([tmp_path])
    assert not found.runs and not found.broken
    assert put_aside(run_dir) is None
