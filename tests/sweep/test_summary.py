from dataclasses import replace

import pytest

from birdnet_nl.sweep.job_file import JobRecord, State
from birdnet_nl.sweep.summary import finish
from birdnet_nl.util.errors import RunError


def test_a_sweep_whose_jobs_are_done_or_have_too_few_recordings_ends_well(make_sweep, make_job):
    finish(make_sweep({make_job("merel"): JobRecord(State.DONE), make_job("vink"): JobRecord(State.TOO_FEW)}))


def test_what_is_left_is_counted_with_the_way_on(make_sweep, make_job):
    jobs = {make_job("merel"): JobRecord(State.FAILED, reason="so"), make_job("vink"): JobRecord(State.DONE)}
    sweep = make_sweep(jobs | {make_job("roek"): None})
    with pytest.raises(RunError, match=r"^2 jobs of the sweep failed or are not finished; .* sweep=.*sweep-1"):
        finish(sweep)


def test_a_job_that_another_process_works_on_is_left_too(make_sweep, make_job, running):
    sweep = make_sweep({make_job("merel"): JobRecord(State.DONE), make_job("vink"): replace(running, started=1.0)})
    with pytest.raises(RunError, match=r"^1 jobs of the sweep .* \(1 at work elsewhere\)"):
        finish(sweep)
