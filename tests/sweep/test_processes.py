import os
import subprocess
import sys
import threading
import time

import pytest

from birdnet_nl.sweep.processes import ProcessId, memory_mb, process_id, repeat_in_background, this_process


def test_only_a_live_process_of_this_machine_is_alive(ended_process):
    own = this_process()
    assert own.is_alive and own.pid == os.getpid()
    assert not ended_process.is_alive
    assert not ProcessId(own.host, own.pid, own.started + "0").is_alive  # an earlier process with the same number
    elsewhere = ProcessId("another-machine", own.pid, own.started)
    assert not elsewhere.is_local and not elsewhere.is_alive
    assert 10 < memory_mb() < 10_000


def test_a_zombie_is_not_alive():
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    identity = process_id(process.pid)
    assert identity.is_alive
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # ended, but not yet collected by its parent
    assert not identity.is_alive
    process.wait()


def test_an_idle_child_exits_with_its_parent():
    child = (
        "from birdnet_nl.sweep.processes import exit_with_parent; import time;"
        "exit_with_parent(); print(1, flush=True); time.sleep(60)"
    )
    parent = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {child!r}]); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"1\n"
    process.kill()
    started = time.monotonic()
    assert process.stdout.read() == b""  # ends once the child has closed its end too
    assert time.monotonic() - started < 10
    process.wait()


def test_a_repeated_action_is_called_during_the_block_and_once_at_its_end():
    called, calls = threading.Event(), []

    def action():
        calls.append(1)
        called.set()

    with repeat_in_background(action, 0.01):
        assert called.wait(5)
        during = len(calls)
    assert len(calls) > during >= 1


def test_an_error_in_the_block_ends_the_repetition():
    calls = []
    with pytest.raises(RuntimeError, match="broken"), repeat_in_background(lambda: calls.append(1), 60):
        raise RuntimeError("broken")
    assert calls == [1]
