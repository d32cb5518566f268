"""A signal ends the program within seconds, whatever it is doing, with the exit code that a shell gives."""

import signal
import subprocess
import sys
import time

import pytest

from tests.runs.processes import interruptible

PROGRAM = """
import multiprocessing, os, signal, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from birdnet_nl.util import signals
signals.GRACE_S = 0.5

def cleaned():
    try:
        print("ready", flush=True)
        time.sleep(60)
    finally:
        print("cleaned", flush=True)

def blocked_by_threads():
    with ThreadPoolExecutor(1) as pool:
        pool.submit(time.sleep, 60)
        cleaned()

def blocked_in_c():
    lock = threading.Lock()
    lock.acquire()
    signals.set_advice("continue with: the first advice")
    signals.set_advice("continue with: another")
    try:
        print("ready", flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        signal.pthread_sigmask(signal.SIG_BLOCK, signals.SIGNALS)
        time.sleep(60)

def parent():
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
    child.start()
    print(child.pid, flush=True)
    blocked_in_c()

def replaced():
    try:
        cleaned()
    except KeyboardInterrupt:
        raise signals.interruption() from None

def terminates_a_child():
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
    child.start()
    time.sleep(0.2)
    child.terminate()
    child.join()
    time.sleep(2 * signals.GRACE_S)
    print("ready", flush=True)

if __name__ == "__main__":
    try:
        with signals.ending_on_signals():
            globals()[sys.argv[1]]()
    except KeyboardInterrupt:
        sys.exit(signals.exit_code())
"""
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}


@pytest.fixture
def start(tmp_path, repository):
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)

    def started(name: str, *before: str) -> subprocess.Popen:
        options = {
            "stdout": subprocess.PIPE,
            "stderr": subprocess.STDOUT,
            "text": True,
            "env": {"PYTHONPATH": str(repository)},
        }
        with interruptible():
            return subprocess.Popen([*before, sys.executable, str(path), name], **options)

    return started


def end(process: subprocess.Popen, number: int) -> tuple[int, str, float]:
    """Send the signal when the program is ready: exit code, output, seconds until the end."""
    lines = []
    while "ready\n" not in lines:
        lines.append(process.stdout.readline())
        assert lines[-1], lines
    started = time.monotonic()
    process.send_signal(number)
    output, _ = process.communicate(timeout=20)
    return process.returncode, "".join(lines) + output, time.monotonic() - started


@pytest.mark.parametrize("number", CODES)
@pytest.mark.parametrize("name", ["cleaned", "replaced"])
def test_a_signal_is_raised_like_ctrl_c(start, name, number):
    code, output, seconds = end(start(name), number)
    assert (code, "cleaned" in output) == (CODES[number], True), output
    assert seconds < 3


@pytest.mark.parametrize("name", ["blocked_by_threads", "blocked_in_c"])
def test_a_program_that_cannot_end_by_itself_is_ended(start, name):
    code, output, seconds = end(start(name), signal.SIGTERM)
    assert code == 143 and "stopped; " in output and "Traceback" not in output, output
    assert ("continue with: the first advice" in output) == (name == "blocked_in_c")
    assert seconds < 3


def test_children_end_with_the_program(start):
    process = start("parent")
    code, output, _ = end(process, signal.SIGTERM)
    assert code == 143, output
    child = output.split()[0]
    deadline = time.monotonic() + 3
    while subprocess.run(["kill", "-0", child], capture_output=True).returncode == 0:
        assert time.monotonic() < deadline, "the child is alive"
        time.sleep(0.05)


def test_a_signal_that_was_ignored_stays_ignored(start):
    process = start("cleaned", "nohup")
    assert process.stdout.readline() in ("ready\n", "nohup: ignoring input\n")
    process.send_signal(signal.SIGHUP)
    time.sleep(1)
    assert process.poll() is None
    process.kill()
    process.communicate()


def test_a_signal_to_a_forked_child_does_not_end_its_parent(start):
    process = start("terminates_a_child")
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 0 and "ready" in output, output
