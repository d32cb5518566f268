from dataclasses import replace

import pytest

from birdnet_nl.sweep.job_file import JobRecord, State, write_record
from birdnet_nl.sweep.progress import finish_sweep, show_progress
from birdnet_nl.util.errors import RunError


def test_jobs_are_printed_when_they_end(make_sweep, make_job, finish_run, capsys):
    jobs = [make_job(slug) for slug in ("merel", "vink", "roek")]
    sweep = make_sweep({job: None for job in jobs})
    with show_progress(sweep, jobs, failures_are_printed=False):
        finish_run(sweep.folder / jobs[0].folder)
        (sweep.folder / jobs[1].folder).mkdir(parents=True)
        write_record(sweep.folder / jobs[0].folder, JobRecord(State.DONE))
        write_record(sweep.folder / jobs[1].folder, JobRecord(State.FAILED, reason="no space"))
    first, second = capsys.readouterr().err.splitlines()
    assert "Merel, turbo  75.0% [65–85]  4 s" in first
    assert "2/3" in second and "Vink, turbo: no space" in second


def test_a_sweep_whose_jobs_are_done_or_have_too_few_recordings_is_complete(make_sweep, make_job):
    finish_sweep(make_sweep({make_job("merel"): JobRecord(State.DONE), make_job("vink"): JobRecord(State.TOO_FEW)}))


def test_jobs_that_are_left_are_counted_with_the_command_to_resume(make_sweep, make_job):
    jobs = {make_job("merel"): JobRecord(State.FAILED, reason="so"), make_job("vink"): JobRecord(State.DONE)}
    sweep = make_sweep(jobs | {make_job("roek"): None})
    with pytest.raises(RunError, match=r"^2 jobs of the sweep failed or are not finished; .* sweep=.*sweep-1"):
        finish_sweep(sweep)


def test_a_job_that_another_process_runs_is_left_too(make_sweep, make_job, running):
    sweep = make_sweep({make_job("merel"): JobRecord(State.DONE), make_job("vink"): replace(running, started=1.0)})
    with pytest.raises(RunError, match=r"^1 jobs of the sweep .* \(1 running in another process\)"):
        finish_sweep(sweep)
