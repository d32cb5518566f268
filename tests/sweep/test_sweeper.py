"""The loop around a launcher, with scripted launchers: no training, no processes."""

import errno
from dataclasses import replace
from types import SimpleNamespace

import pytest
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import OmegaConf

from birdnet_nl.sweep.job_file import FORESEEN, TRANSIENT, UNFORESEEN, JobRecord, State, read_record, write_record
from birdnet_nl.sweep.processes import ProcessId, this_process
from birdnet_nl.sweep.sweeper import ResumableSweeper
from birdnet_nl.util.errors import RunError

DONE = (State.DONE, "")


class TerminatedWorkerError(Exception):
    """An error with the name of joblib's."""


@pytest.fixture
def make_sweeper(tmp_path, finish_run, make_job):
    """Create a sweeper, its jobs and the list of its launches, from the outcomes of each species per attempt.

    An outcome is a state with its cause, a record whose worker dies, or an error of the job or of the launcher. A
    launcher that raises reports `dead` as the workers that died.
    """

    def make(outcomes: dict[str, list], retries: int = 1, dead: set[int] = frozenset()):
        launches: list[list[str]] = []

        def launch(batch, initial_job_idx):
            launches.append([])
            results = []
            for overrides in batch:
                slug = overrides[0].removeprefix("species=")
                run_dir = tmp_path / "turbo" / slug / "0"
                run_dir.mkdir(parents=True, exist_ok=True)
                launches[-1].append(slug)
                outcome = outcomes[slug].pop(0)
                if isinstance(outcome, (TerminatedWorkerError, ValueError)):
                    raise outcome
                if isinstance(outcome, JobRecord):
                    write_record(run_dir, outcome)
                    continue  # the worker died: no result
                result = JobReturn(status=JobStatus.COMPLETED)
                if isinstance(outcome, OSError):
                    result.status, result.return_value = JobStatus.FAILED, outcome
                else:
                    state, cause = outcome
                    write_record(run_dir, JobRecord(state, process=this_process(), reason="so", cause=cause))
                    if state == State.DONE:
                        finish_run(run_dir)
                results.append(result)
            return results

        sweeper = object.__new__(ResumableSweeper)
        sweeper.folder, sweeper.launcher = tmp_path, SimpleNamespace(launch=launch)
        sweeper.config = OmegaConf.create({"sweep": {"retries": retries}})
        if dead:
            original = sweeper._launch

            def launch_with_dead_workers(jobs):
                results, _, error = original(jobs)
                return results, dead if error else set(), error

            sweeper._launch = launch_with_dead_workers
        return sweeper, [make_job(slug) for slug in outcomes], launches

    return make


def state_of(tmp_path, slug: str) -> State:
    return read_record(tmp_path / "turbo" / slug / "0").state


def test_unforeseen_failures_are_tried_again_transient_ones_first(make_sweeper):
    sweeper, jobs, launches = make_sweeper({
        "merel": [(State.FAILED, UNFORESEEN), DONE],
        "vink": [(State.FAILED, TRANSIENT), DONE],
        "roek": [(State.FAILED, FORESEEN)],
        "ekster": [(State.TOO_FEW, FORESEEN)],
        "havik": [DONE],
    })  # fmt: skip
    sweeper._run_all(jobs)
    assert launches == [["merel", "vink", "roek", "ekster", "havik"], ["vink", "merel"]]


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_a_failing_job_is_tried_again_as_often_as_configured(make_sweeper, retries):
    sweeper, jobs, launches = make_sweeper({"merel": [(State.FAILED, TRANSIENT)] * 9}, retries)
    sweeper._run_all(jobs)
    assert launches == [["merel"]] * (1 + retries)


def test_a_killed_worker_costs_only_its_own_job_an_attempt(make_sweeper, tmp_path, ended_process, running):
    killed = replace(running, process=ended_process)
    bystander = replace(running, process=ProcessId(ended_process.host, ended_process.pid + 1, "1"))
    sweeper, jobs, launches = make_sweeper({
        "merel": [killed, killed, DONE],
        "vink": [bystander, bystander, DONE],
        "roek": [TerminatedWorkerError(), TerminatedWorkerError(), DONE],
    }, dead={ended_process.pid})  # fmt: skip
    sweeper._run_all(jobs)
    assert state_of(tmp_path, "merel") == State.FAILED  # twice, with one retry
    assert "was killed" in read_record(tmp_path / "turbo/merel/0").reason
    assert state_of(tmp_path, "vink") == state_of(tmp_path, "roek") == State.DONE
    assert launches[1] == ["vink", "roek", "merel"][: len(launches[1])]  # the killed job last


def test_an_earlier_failure_that_was_not_reached_is_tried_again(make_sweeper, tmp_path, ended_process, running):
    sweeper, jobs, launches = make_sweeper({
        "merel": [replace(running, process=ended_process), DONE],
        "vink": [TerminatedWorkerError(), (State.FAILED, TRANSIENT), DONE],
        "roek": [DONE],
        "ekster": [DONE],
    }, dead={ended_process.pid})  # fmt: skip
    for slug, state, cause in (
        ("vink", State.FAILED, TRANSIENT), ("roek", State.FAILED, FORESEEN), ("ekster", State.TOO_FEW, FORESEEN),
    ):  # fmt: skip
        (tmp_path / "turbo" / slug / "0").mkdir(parents=True)
        write_record(tmp_path / "turbo" / slug / "0", JobRecord(state, process=ended_process, cause=cause))
    sweeper._run_all(jobs)
    assert {state_of(tmp_path, slug) for slug in ("merel", "vink", "roek", "ekster")} == {State.DONE}
    assert launches == [["merel", "vink"], ["merel", "vink", "roek", "ekster"], ["vink"]]


def test_a_launcher_without_progress_is_tried_three_times(make_sweeper):
    sweeper, jobs, launches = make_sweeper({"merel": [TerminatedWorkerError("no worker starts")] * 50})
    with pytest.raises(TerminatedWorkerError):
        sweeper._run_all(jobs)
    assert len(launches) == 3


def test_an_error_of_the_launcher_itself_is_raised(make_sweeper):
    sweeper, jobs, _ = make_sweeper({"merel": [ValueError("no such cluster")]})
    with pytest.raises(ValueError, match="no such cluster"):
        sweeper._run_all(jobs)


def test_a_full_disk_stops_the_sweep_with_the_command_to_resume(make_sweeper):
    outcomes = {"merel": [DONE], "vink": [OSError(errno.ENOSPC, "No space left on device")]}
    sweeper, jobs, launches = make_sweeper(outcomes)
    with pytest.raises(RunError, match=r"the disk is full, so the sweep stopped.*sweep="):
        sweeper._run_all(jobs)
    assert len(launches) == 1
