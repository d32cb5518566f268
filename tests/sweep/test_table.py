import json
from dataclasses import replace

import pytest

from birdnet_nl.sweep.job_file import JobRecord, State
from birdnet_nl.sweep.processes import this_process
from birdnet_nl.sweep.table import Ledger, exit_code, group_reasons, jobs_below, read_row, seconds_left


def failed(reason: str) -> JobRecord:
    return JobRecord(State.FAILED, attempts=2, process=this_process(), started=10.0, ended=14.0, reason=reason)


def test_a_row_tells_everything_about_a_finished_job(make_sweep, make_job):
    job = make_job("koolmees", "turbo", 0, "data.fold=2")
    record = JobRecord(State.DONE, attempts=2, process=this_process(), started=10.0, ended=15.0, memory_mb=500)
    sweep = make_sweep({job: record})
    row = read_row(sweep.folder / job.folder, job)
    assert (row.dutch, row.english, row.priority) == ("Koolmees", "Great Tit", 1)
    assert (row.state, row.attempts, row.figure, row.seconds, row.memory_mb) == (State.DONE, 2, 0.75, 4.0, 500)
    assert row.interval == pytest.approx((0.65, 0.85))
    assert (row.settings, row.fold, row.seed, row.host) == ("data.fold=2", 2, 1, this_process().host)
    assert row.log == sweep.folder / job.folder / "train.log"


def test_reasons_that_differ_by_species_only_are_one_group(make_sweep, make_job):
    records = {
        make_job("koolmees"): failed("koolmees: none of the 3 files in data/xeno-canto-koolmees can be used"),
        make_job("merel"): failed("merel: none of the 12 files in data/xeno-canto-merel can be used"),
        make_job("vink"): failed("out of memory (…)"),
    }
    sweep = make_sweep(records)
    groups = group_reasons([read_row(sweep.folder / job.folder, job) for job in records])
    assert [[row.species for row in rows] for _, rows in groups] == [["koolmees", "merel"], ["vink"]]
    assert groups[0][0].startswith("koolmees: none of the 3 files")


@pytest.mark.parametrize(
    ("states", "at_work", "code"),
    [
        ([State.DONE, State.TOO_FEW], False, 0),
        ([State.DONE, State.FAILED], False, 1),
        ([State.DONE, State.CANCELLED], False, 1),
        ([State.DONE, State.WAITING], False, 1),
        ([State.DONE, State.WAITING], True, 2),
        ([State.DONE, State.CANCELLED], True, 2),
        ([State.DONE, State.TOO_FEW], True, 0),
        ([State.FAILED, State.RUNNING], False, 2),
    ],
)
def test_the_exit_code_tells_done_trouble_and_work(make_sweep, make_job, states, at_work, code):
    jobs = [make_job(slug) for slug in ("koolmees", "merel")]
    sweep = make_sweep({job: None for job in jobs})
    rows = [read_row(sweep.folder / job.folder, job) for job in jobs]
    assert exit_code([replace(row, state=state) for row, state in zip(rows, states, strict=True)], at_work) == code


def test_the_time_left_follows_the_pace_of_what_ended(make_sweep, make_job):
    done = {
        make_job(slug): JobRecord(State.DONE, started=1000.0 + 10 * number, ended=1004.0 + 10 * number)
        for number, slug in enumerate(("koolmees", "merel"))
    }
    waiting = {make_job(slug): None for slug in ("vink", "roek", "ekster")}
    sweep = make_sweep(done | waiting, started=1000.0, process=this_process())
    rows = Ledger().rows(sweep.folder, sweep.jobs)
    assert seconds_left(rows, sweep) == pytest.approx(3 * 14 / 2)  # two jobs in 14 s, three to go
    assert seconds_left(rows, replace(sweep, process=None)) is None


def test_the_ledger_sees_a_job_that_ends_while_it_looks(make_sweep, make_job, finish):
    job = make_job("merel")
    sweep, ledger = make_sweep({job: None}), Ledger()
    assert ledger.rows(sweep.folder, [job])[0].state == State.WAITING
    finish(sweep.folder / job.folder)
    assert ledger.rows(sweep.folder, [job])[0].state == State.DONE
    (sweep.folder / job.folder / "metrics.json").unlink()
    assert ledger.rows(sweep.folder, [job])[0].state == State.WAITING


def test_runs_without_a_sweep_are_found_by_their_files(tmp_path, finish):
    finish(tmp_path / "fast/merel/2026-01-01_10-00-00-synthetic")
    (tmp_path / "turbo/vink/2026-01-02_10-00-00").mkdir(parents=True)
    (tmp_path / "turbo/vink/2026-01-02_10-00-00/config.yaml").write_text("seed: 1\n")
    (tmp_path / "turbo/vink/.earlier/0").mkdir(parents=True)
    (tmp_path / "turbo/vink/.earlier/0/config.yaml").write_text("seed: 1\n")
    jobs = jobs_below(tmp_path)
    assert [(job.species, job.parameter_set) for job in jobs] == [("merel", "fast"), ("vink", "turbo")]
    assert read_row(tmp_path / jobs[0].folder, jobs[0]).synthetic


def test_a_broken_report_does_not_break_the_table(make_sweep, make_job):
    job = make_job("merel")
    sweep = make_sweep({job: JobRecord(State.DONE)})
    (sweep.folder / job.folder / "metrics.json").write_text(json.dumps([1]))
    assert read_row(sweep.folder / job.folder, job).figure is None
