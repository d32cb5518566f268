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


def test_jobs_that_are_left_are_counted_with_the_command_to_resume(make_sweep, make_job, running):
    records = {"merel": JobRecord(State.FAILED, reason="so"), "vink": JobRecord(State.DONE), "ekster": running}
    sweep = make_sweep({make_job(slug): record for slug, record in {**records, "roek": None}.items()})
    message = r"^3 jobs of the sweep failed or are not finished \(1 running in another process\); .* sweep=.*sweep-1"
    with pytest.raises(RunError, match=message):
        finish_sweep(sweep)
