from dataclasses import replace

import pytest

from birdnet_nl.sweep.job_file import JobRecord, State, write_record
from birdnet_nl.sweep.resume_plan import EARLIER, Action, JobPlan, move_aside, plan_job


@pytest.fixture
def planned(tmp_path, make_job):
    """The plan of the job in `tmp_path`, for a configuration `c` and recordings `r`."""

    def plan(configuration: str = "c", recordings: str = "r", run_dir=tmp_path) -> JobPlan:
        return plan_job(make_job("merel"), run_dir, configuration, recordings)

    return plan


def record(state: State) -> JobRecord:
    return JobRecord(state, configuration="c", recordings="r")


@pytest.mark.parametrize(
    ("state", "action"),
    [
        (State.DONE, Action.SKIP),
        (State.FAILED, Action.RETRY),
        (State.TOO_FEW, Action.RETRY),
        (State.CANCELLED, Action.RESUME),
    ],
)
def test_an_unchanged_job_is_planned_by_its_state(tmp_path, planned, finish_run, state, action):
    write_record(tmp_path, record(state))
    if state == State.DONE:
        finish_run(tmp_path)
    assert planned().action == action


def test_a_job_without_a_run_starts(tmp_path, planned):
    assert planned(run_dir=tmp_path / "missing").action == Action.START


def test_a_running_job_is_left_alone_and_resumes_once_its_process_died(tmp_path, planned, running, ended_process):
    write_record(tmp_path, running)
    assert planned().action == Action.RUNNING and not planned().is_todo
    write_record(tmp_path, replace(running, process=ended_process))
    assert planned().action == Action.RESUME and planned().is_todo


def test_a_changed_job_starts_again_with_the_reason(tmp_path, planned, finish_run):
    write_record(tmp_path, record(State.DONE))
    finish_run(tmp_path)
    assert (planned("other").action, planned("other").reason) == (Action.RESTART, "its configuration changed")
    assert planned(recordings="more").reason == "its recordings changed"


def test_a_finished_run_without_a_record_is_skipped(tmp_path, planned, finish_run):
    finish_run(tmp_path)
    assert planned().action == Action.SKIP


def test_runs_moved_aside_are_kept_and_hidden_from_comparisons(tmp_path, finish_run):
    from birdnet_nl.comparison.finished_runs import find_runs

    run_dir = tmp_path / "turbo/merel/0"
    moved = []
    for number in range(3):
        finish_run(run_dir, accuracy=number / 10)
        write_record(run_dir, record(State.DONE))
        moved.append(move_aside(run_dir))
        assert not run_dir.exists()
    assert len(set(moved)) == 3 and all((path / "metrics.json").is_file() for path in moved)
    assert {path.parent.name for path in moved} == {EARLIER}
    search = find_runs([tmp_path])
    assert not search.runs and not search.broken
    assert move_aside(run_dir) is None
