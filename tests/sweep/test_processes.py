import os
import subprocess
import sys
import time

from birdnet_nl.sweep.processes import ProcessMark, memory_mb, this_process


def test_this_process_is_alive_and_one_that_ended_is_not(gone):
    assert this_process().is_alive and this_process().pid == os.getpid()
    assert not gone.is_alive


def test_a_number_that_is_used_again_is_another_process():
    mark = this_process()
    assert not ProcessMark(mark.host, mark.pid, mark.started + "0").is_alive


def test_nothing_is_claimed_about_another_machine():
    mark = ProcessMark("another-machine", os.getpid(), this_process().started)
    assert not mark.is_here and not mark.is_alive


def test_what_is_left_of_a_killed_process_is_not_alive():
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    from birdnet_nl.sweep.processes import _mark_of

    mark = _mark_of(process.pid)
    assert mark.is_alive
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # ended, but not yet collected by its parent
    assert not mark.is_alive
    process.wait()


def test_an_idle_child_leaves_with_its_parent():
    child = (
        "from birdnet_nl.sweep.processes import leave_with_parent; import time;"
        "leave_with_parent(); print(1, flush=True); time.sleep(60)"
    )
    parent = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {child!r}]); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"1\n"
    process.kill()
    started = time.monotonic()
    assert process.stdout.read() == b""  # ends only when the child has closed its end too
    assert time.monotonic() - started < 10


def test_memory_is_that_of_a_python_with_libraries():
    assert 10 < memory_mb() < 10_000
