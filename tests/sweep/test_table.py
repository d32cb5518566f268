import json
from dataclasses import replace

import pytest

from birdnet_nl.sweep.job_file import JobRecord, State
from birdnet_nl.sweep.processes import this_process
from birdnet_nl.sweep.table import (
    JobTable,
    exit_code,
    find_jobs,
    format_duration,
    group_failures,
    read_row,
    seconds_left,
)


def failed(reason: str) -> JobRecord:
    return JobRecord(State.FAILED, attempts=2, process=this_process(), started=10.0, ended=14.0, reason=reason)


def test_a_row_describes_a_finished_job(make_sweep, make_job):
    job = make_job("koolmees", "turbo", 0, "data.fold=2")
    record = JobRecord(State.DONE, attempts=2, process=this_process(), started=10.0, ended=15.0, memory_mb=500)
    sweep = make_sweep({job: record})
    row = read_row(sweep.folder / job.folder, job)
    assert (row.dutch, row.english, row.priority) == ("Koolmees", "Great Tit", 1)
    assert (row.state, row.attempts, row.balanced_accuracy, row.seconds) == (State.DONE, 2, 0.75, 4.0)
    assert row.interval == pytest.approx((0.65, 0.85)) and row.accuracy_text == "75.0% [65–85]"
    assert (row.settings, row.fold, row.seed, row.host) == ("data.fold=2", 2, 1, this_process().host)
    assert (row.memory_mb, row.log) == (500, sweep.folder / job.folder / "train.log")


def test_reasons_that_differ_by_species_only_are_one_group(make_sweep, make_job):
    records = {
        make_job("koolmees"): failed("koolmees: none of the 3 files in data/xeno-canto-koolmees can be used"),
        make_job("merel"): failed("merel: none of the 12 files in data/xeno-canto-merel can be used"),
        make_job("vink"): failed("out of memory (…)"),
    }
    sweep = make_sweep(records)
    groups = group_failures([read_row(sweep.folder / job.folder, job) for job in records])
    assert [[row.species for row in rows] for _, rows in groups] == [["koolmees", "merel"], ["vink"]]
    assert groups[0][0].startswith("koolmees: none of the 3 files")


@pytest.mark.parametrize(
    ("states", "is_running", "code"),
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
def test_the_exit_code_is_0_when_done_1_when_jobs_are_left_2_while_running(
    make_sweep, make_job, states, is_running, code
):
    jobs = [make_job(slug) for slug in ("koolmees", "merel")]
    sweep = make_sweep({job: None for job in jobs})
    rows = [read_row(sweep.folder / job.folder, job) for job in jobs]
    assert exit_code([replace(row, state=state) for row, state in zip(rows, states, strict=True)], is_running) == code


def test_the_time_left_is_estimated_from_the_finished_jobs(make_sweep, make_job):
    done = {
        make_job(slug): JobRecord(State.DONE, started=1000.0 + 10 * number, ended=1004.0 + 10 * number)
        for number, slug in enumerate(("koolmees", "merel"))
    }
    waiting = {make_job(slug): None for slug in ("vink", "roek", "ekster")}
    sweep = make_sweep(done | waiting, started=1000.0, process=this_process())
    rows = JobTable().rows(sweep.folder, sweep.jobs)
    assert seconds_left(rows, sweep) == pytest.approx(3 * 14 / 2)  # two jobs in 14 s, three left
    assert seconds_left(rows, replace(sweep, process=None)) is None


def test_the_table_follows_changes_on_disk(make_sweep, make_job, finish_run):
    job = make_job("merel")
    sweep, table = make_sweep({job: None}), JobTable()
    assert table.rows(sweep.folder, [job])[0].state == State.WAITING
    finish_run(sweep.folder / job.folder)
    assert table.rows(sweep.folder, [job])[0].state == State.DONE
    (sweep.folder / job.folder / "metrics.json").unlink()
    assert table.rows(sweep.folder, [job])[0].state == State.WAITING


def test_runs_without_a_sweep_are_found_by_their_files(tmp_path, finish_run):
    finish_run(tmp_path / "fast/merel/2026-01-01_10-00-00-synthetic")
    for run_dir in ("turbo/vink/2026-01-02_10-00-00", "turbo/vink/.earlier/0"):
        (tmp_path / run_dir).mkdir(parents=True)
        (tmp_path / run_dir / "config.yaml").write_text("seed: 1\n")
    jobs = find_jobs(tmp_path)
    assert [(job.species, job.parameter_set) for job in jobs] == [("merel", "fast"), ("vink", "turbo")]
    assert read_row(tmp_path / jobs[0].folder, jobs[0]).synthetic


def test_an_invalid_report_gives_a_row_without_metrics(make_sweep, make_job):
    job = make_job("merel")
    sweep = make_sweep({job: JobRecord(State.DONE)})
    (sweep.folder / job.folder / "metrics.json").write_text(json.dumps([1]))
    assert read_row(sweep.folder / job.folder, job).balanced_accuracy is None


@pytest.mark.parametrize(
    ("seconds", "text"), [(4, "4 s"), (89, "89 s"), (90, "2 min"), (7200, "2 h"), (3 * 86400, "3 days")]
)
def test_durations_have_their_largest_suitable_unit(seconds, text):
    assert format_duration(seconds) == text
