import json
import multiprocessing
import os
import signal
import time

import pytest

from birdnet_nl.sweep.jobs import Job
from birdnet_nl.sweep.processes import ProcessId
from birdnet_nl.sweep.sweep_file import (
    Sweep,
    find_same_sweep,
    find_sweeps,
    lock_sweep,
    new_sweep,
    read_sweep,
    write_sweep,
)
from birdnet_nl.util.errors import RunError

OF_VERSION_0_1 = {
    "arguments": ["species=merel", "practice.use=never"], "started": 1.0, "resumed": [2.0],
    "process": {"host": "nas", "pid": 7, "started": "88"}, "workers": 3,
    "jobs": [{"overrides": ["species=merel", "practice.use=never"], "folder": "fast/merel/0", "species": "merel",
              "parameter_set": "fast"}],
}  # fmt: skip


def test_the_file_has_the_format_of_version_0_1(tmp_path):
    (tmp_path / "sweep.json").write_text(json.dumps(OF_VERSION_0_1))
    arguments = ("species=merel", "practice.use=never")
    job = Job(arguments, "fast/merel/0", "merel", "fast")
    sweep = Sweep(tmp_path, arguments, (job,), 1.0, (2.0,), ProcessId("nas", 7, "88"), 3)
    assert read_sweep(tmp_path) == sweep
    write_sweep(sweep)
    assert json.loads((tmp_path / "sweep.json").read_text()) == OF_VERSION_0_1


def test_the_newest_sweep_of_the_same_jobs_is_found_in_any_order(make_sweep, make_job):
    merel, vink, roek = make_job("merel"), make_job("vink"), make_job("roek")
    make_sweep({merel: None, vink: None}, "sweep-1", started=1.0)
    newer = make_sweep({vink: None, merel: None}, "sweep-2", started=2.0)
    make_sweep({merel: None, roek: None}, "sweep-3", started=3.0)
    logs = newer.folder.parent
    assert [folder.name for folder in find_sweeps(logs)] == ["sweep-3", "sweep-2", "sweep-1"]
    assert find_same_sweep(logs, [merel, vink]).folder == newer.folder


def test_without_a_sweep_of_the_same_jobs_the_newest_is_named(make_sweep, make_job, tmp_path):
    sweep = make_sweep({make_job("merel"): None})
    with pytest.raises(RunError, match=r"none of the 1 sweeps in .* has exactly these 1 jobs; the newest, .*sweep-1"):
        find_same_sweep(sweep.folder.parent, [make_job("vink")])
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match="there is no sweep in"):
        find_same_sweep(tmp_path / "empty", [make_job("vink")])


def test_the_error_for_an_invalid_file_names_the_command_that_rebuilds_it(make_sweep, make_job):
    sweep = make_sweep({make_job("merel"): None})
    (sweep.folder / "sweep.json").write_text("{")
    with pytest.raises(RunError, match="--rebuild"):
        read_sweep(sweep.folder)


def test_a_resumed_sweep_keeps_its_start_and_its_jobs(make_sweep, make_job):
    merel, vink = make_job("merel"), make_job("vink")
    before = make_sweep({merel: None, vink: None}, started=5.0)
    after = new_sweep(before.folder, ["species=vink", "trainer=turbo"], [vink], workers=2)
    assert after.started == 5.0 and len(after.resumed) == 1 and set(after.jobs) == {merel, vink}
    assert after.arguments == before.arguments  # they restore both jobs
    write_sweep(after)
    assert read_sweep(before.folder).is_running  # by this process


def hold_lock(folder, is_held) -> None:
    with lock_sweep(folder):
        is_held.set()
        time.sleep(60)


def test_a_sweep_is_locked_by_one_process_until_it_ends(make_sweep, make_job):
    folder = make_sweep({make_job("merel"): None}).folder
    context = multiprocessing.get_context("fork")
    is_held = context.Event()
    process = context.Process(target=hold_lock, args=(folder, is_held))
    process.start()
    assert is_held.wait(10)
    with pytest.raises(RunError, match="another process is running"), lock_sweep(folder):
        pass
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    with lock_sweep(folder):
        pass
