"""The loop around a launcher, with launchers that do what is written: no training, no processes."""

import errno
from dataclasses import replace
from types import SimpleNamespace

import pytest
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import OmegaConf

from birdnet_nl.sweep.job_file import FORESEEN, TRANSIENT, UNFORESEEN, JobRecord, State, read_record, write_record
from birdnet_nl.sweep.processes import ProcessMark, this_process
from birdnet_nl.sweep.sweeper import ResumableSweeper
from birdnet_nl.util.errors import RunError


class TerminatedWorkerError(Exception):
    """As joblib's is called."""


@pytest.fixture
def sweeper(tmp_path, finish, make_job):
    """Works off jobs with one scripted outcome per attempt: a state with its cause, or an exception of the launcher."""

    def make(scripts: dict[str, list], retries: int = 1):
        jobs = [make_job(slug) for slug in scripts]
        launched: list[list[str]] = []

        def launch(batch, initial_job_idx):
            launched.append([])
            returns = []
            for overrides in batch:
                slug = overrides[0].removeprefix("species=")
                run_dir = tmp_path / "turbo" / slug / "0"
                run_dir.mkdir(parents=True, exist_ok=True)
                launched[-1].append(slug)
                outcome = scripts[slug].pop(0)
                if isinstance(outcome, TerminatedWorkerError):
                    raise outcome
                ret = JobReturn(status=JobStatus.COMPLETED)
                if isinstance(outcome, OSError):
                    ret.status, ret.return_value = JobStatus.FAILED, outcome
                elif isinstance(outcome, JobRecord):
                    write_record(run_dir, outcome)
                    continue  # its worker died: nothing is returned
                else:
                    state, cause = outcome
                    write_record(run_dir, JobRecord(state, process=this_process(), reason="so", cause=cause))
                    if state == State.DONE:
                        finish(run_dir)
                returns.append(ret)
            return returns

        sweeper = object.__new__(ResumableSweeper)
        sweeper.folder, sweeper.launcher = tmp_path, SimpleNamespace(launch=launch)
        sweeper.config = OmegaConf.create({"sweep": {"retries": retries}})
        return sweeper, jobs, launched

    return make


DONE = (State.DONE, "")


def state_of(tmp_path, slug: str) -> State:
    return read_record(tmp_path / "turbo" / slug / "0").state


def test_what_failed_for_an_unknown_reason_is_tried_again_transient_ones_first(sweeper, tmp_path):
    work, jobs, launched = sweeper({
        "merel": [(State.FAILED, UNFORESEEN), DONE],
        "vink": [(State.FAILED, TRANSIENT), DONE],
        "roek": [(State.FAILED, FORESEEN)],
        "ekster": [(State.TOO_FEW, FORESEEN)],
        "havik": [DONE],
    })  # fmt: skip
    work._work_off(jobs)
    assert launched == [["merel", "vink", "roek", "ekster", "havik"], ["vink", "merel"]]


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_it_is_tried_again_as_often_as_asked_and_no_more(sweeper, retries):
    work, jobs, launched = sweeper({"merel": [(State.FAILED, TRANSIENT)] * 9}, retries)
    work._work_off(jobs)
    assert launched == [["merel"]] * (1 + retries)


def test_a_killed_worker_costs_its_job_a_try_and_the_others_none(sweeper, tmp_path, gone, running):
    culprit = replace(running, process=gone)
    bystander = replace(running, process=ProcessMark(gone.host, gone.pid + 1, "1"))
    work, jobs, launched = sweeper({
        "merel": [culprit, culprit, DONE],
        "vink": [bystander, bystander, DONE],
        "roek": [TerminatedWorkerError(), TerminatedWorkerError(), DONE],
    })  # fmt: skip
    work._launch = with_deaths(work, {gone.pid})
    work._work_off(jobs)
    assert state_of(tmp_path, "merel") == State.FAILED  # twice, with one retry
    assert "was killed" in read_record(tmp_path / "turbo/merel/0").reason
    assert state_of(tmp_path, "vink") == state_of(tmp_path, "roek") == State.DONE
    assert launched[1] == ["vink", "roek", "merel"][: len(launched[1])]  # the culprit last


def test_an_earlier_failure_whose_turn_had_not_come_is_still_tried(sweeper, tmp_path, gone, running):
    work, jobs, launched = sweeper({
        "merel": [replace(running, process=gone), DONE],
        "vink": [TerminatedWorkerError(), (State.FAILED, TRANSIENT), DONE],
        "roek": [DONE],
        "ekster": [DONE],
    })  # fmt: skip
    for slug, state, cause in (
        ("vink", State.FAILED, TRANSIENT), ("roek", State.FAILED, FORESEEN), ("ekster", State.TOO_FEW, FORESEEN),
    ):  # fmt: skip
        (tmp_path / "turbo" / slug / "0").mkdir(parents=True)
        write_record(tmp_path / "turbo" / slug / "0", JobRecord(state, process=gone, cause=cause))
    work._launch = with_deaths(work, {gone.pid})
    work._work_off(jobs)
    assert {state_of(tmp_path, slug) for slug in ("merel", "vink", "roek", "ekster")} == {State.DONE}
    assert launched == [["merel", "vink"], ["merel", "vink", "roek", "ekster"], ["vink"]]


def with_deaths(work, deaths: set[int]):
    real = work._launch

    def launch(jobs):
        returns, _, error = real(jobs)
        return returns, deaths if error else set(), error

    return launch


def test_a_launcher_that_cannot_work_is_not_tried_for_ever(sweeper):
    work, jobs, launched = sweeper({"merel": [TerminatedWorkerError("no worker comes up")] * 50})
    with pytest.raises(TerminatedWorkerError):
        work._work_off(jobs)
    assert len(launched) == 3


def test_an_error_of_the_launcher_itself_is_raised(sweeper):
    work, jobs, _ = sweeper({"merel": [DONE]})

    def launch(batch, initial_job_idx):
        raise ValueError("no such cluster")

    work.launcher.launch = launch
    with pytest.raises(ValueError, match="no such cluster"):
        work._work_off(jobs)


def test_a_full_disk_stops_the_sweep_with_a_sentence(sweeper):
    work, jobs, launched = sweeper({"merel": [DONE], "vink": [OSError(errno.ENOSPC, "No space left on device")]})
    with pytest.raises(RunError, match=r"the disk is full, so the sweep stopped.*sweep="):
        work._work_off(jobs)
    assert len(launched) == 1
