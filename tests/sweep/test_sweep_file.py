import multiprocessing
import os
import signal
import time

import pytest

from birdnet_nl.sweep.sweep_file import at_work_on, find_same, find_sweeps, new_sweep, read_sweep, write_sweep
from birdnet_nl.util.errors import RunError


def test_a_sweep_is_read_as_it_was_written(make_sweep, make_job):
    sweep = make_sweep({make_job("merel"): None, make_job("vink", "fast", 1, "seed=2"): None})
    assert read_sweep(sweep.folder) == sweep


def test_the_newest_sweep_of_the_same_jobs_is_found_in_any_order(make_sweep, make_job):
    merel, vink, roek = make_job("merel"), make_job("vink"), make_job("roek")
    make_sweep({merel: None, vink: None}, "sweep-1", started=1.0)
    newer = make_sweep({vink: None, merel: None}, "sweep-2", started=2.0)
    make_sweep({merel: None, roek: None}, "sweep-3", started=3.0)
    logs = newer.folder.parent
    assert [folder.name for folder in find_sweeps(logs)] == ["sweep-3", "sweep-2", "sweep-1"]
    assert find_same(logs, [merel, vink]).folder == newer.folder


def test_when_there_is_none_the_newest_is_named(make_sweep, make_job, tmp_path):
    sweep = make_sweep({make_job("merel"): None})
    with pytest.raises(RunError, match=r"none of the 1 sweeps in .* is of these 1 jobs; the newest, .*sweep-1"):
        find_same(sweep.folder.parent, [make_job("vink")])
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match="there is no sweep in"):
        find_same(tmp_path / "empty", [make_job("vink")])


def test_a_broken_sweep_file_says_how_to_mend_it(make_sweep, make_job):
    sweep = make_sweep({make_job("merel"): None})
    (sweep.folder / "sweep.json").write_text("{")
    with pytest.raises(RunError, match="--rebuild"):
        read_sweep(sweep.folder)


def test_going_on_keeps_the_start_and_the_jobs_there_were(make_sweep, make_job):
    merel, vink = make_job("merel"), make_job("vink")
    before = make_sweep({merel: None, vink: None}, started=5.0)
    after = new_sweep(before.folder, ["species=vink", "trainer=turbo"], [vink], workers=2)
    assert after.started == 5.0 and len(after.resumed) == 1 and set(after.jobs) == {merel, vink}
    assert after.arguments == before.arguments  # which bring back both
    write_sweep(after)
    assert read_sweep(before.folder).is_at_work  # by this process


def hold(folder, held) -> None:
    with at_work_on(folder):
        held.set()
        time.sleep(60)


def test_one_process_works_on_a_sweep_and_a_killed_one_lets_go(make_sweep, make_job):
    folder = make_sweep({make_job("merel"): None}).folder
    context = multiprocessing.get_context("fork")
    held = context.Event()
    process = context.Process(target=hold, args=(folder, held))
    process.start()
    assert held.wait(10)
    with pytest.raises(RunError, match="another process is at work on"), at_work_on(folder):
        pass
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    with at_work_on(folder):
        pass
