"""The simulated sweep agrees with arithmetic by hand."""

import pytest

from benchmarks.makespan import duration, headline, read_job_seconds, schedule, simulate, table

FREE = {"start_s": 0.0, "mb_per_job": 0.0, "mb_per_s": 1.0}


def test_one_worker_takes_the_sum_and_enough_workers_the_longest():
    assert schedule([3, 1, 2], 1, **FREE) == 6
    assert schedule([3, 1, 2], 3, **FREE) == 3
    assert schedule([3, 1, 2], 500, **FREE) == 3


def test_jobs_go_to_the_first_free_worker():
    assert schedule([4, 1, 1, 1, 3], 2, **FREE) == 6  # 4 on one; 1, 1, 1 and then 3 on the other
    assert schedule([1, 1, 1, 3, 4], 2, **FREE) == 6


def test_a_worker_starts_once_or_for_every_job():
    assert schedule([1] * 4, 2, start_s=10, mb_per_job=0, mb_per_s=1) == 12
    assert schedule([1] * 4, 2, start_s=10, mb_per_job=0, mb_per_s=1, start_each=True) == 22


def test_a_shared_link_limits_the_sweep():
    slow = schedule([1] * 100, 100, start_s=0, mb_per_job=50, mb_per_s=10)
    assert slow == 100 * 5 + 1  # the last job waits for all transfers
    assert schedule([1] * 100, 100, start_s=0, mb_per_job=50, mb_per_s=1e9) == pytest.approx(1, abs=1e-4)


def test_durations_are_drawn_from_the_measured_ones_and_repeat_with_the_seed():
    result = simulate([2.0], 10, 5, seed=1, **FREE)
    assert (result.seconds, result.busy) == (4.0, 1.0)
    assert simulate([1.0, 9.0], 50, 4, seed=2, **FREE) == simulate([1.0, 9.0], 50, 4, seed=2, **FREE)
    durations_s = [simulate([1.0, 9.0], 200, workers, **FREE).seconds for workers in (1, 4, 16, 64)]
    assert durations_s == sorted(durations_s, reverse=True)


def test_durations_of_jobs_are_read_from_finished_runs(make_finished_run, tmp_path):
    make_finished_run(tmp_path / "a", train_s=20.0)
    make_finished_run(tmp_path / "b", "fast", "merel", train_s=30.0)
    assert sorted(read_job_seconds([tmp_path])) == [34.0, 44.0]
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no finished run below"):
        read_job_seconds([tmp_path / "empty"])


def test_the_table_has_a_row_for_each_number_of_workers():
    shown = table([simulate([60.0], 232, workers, draws=1, **FREE) for workers in (1, 8)])
    assert headline([60.0, 62.0], 232) == "232 jobs drawn from 2 measured (median 61.0 s, longest 62.0 s)"
    assert shown.row_count == 2
    assert list(shown.columns[1].cells) == ["3.9 h", "29 min"]


@pytest.mark.parametrize(("seconds", "text"), [(47, "47 s"), (700, "12 min"), (12_240, "3.4 h"), (450_000, "5.2 days")])
def test_durations_are_formatted_with_a_fitting_unit(seconds, text):
    assert duration(seconds) == text
