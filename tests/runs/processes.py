"""Processes that tests interrupt or kill."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from subprocess import Popen
from typing import Any


@contextmanager
def interruptible() -> Iterator[None]:
    """Let SIGINT interrupt this process, and processes started in the block.

    `nohup` and background shells start pytest with SIGINT ignored, and child processes would inherit that.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a new program gets the default action instead
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def wait_for(condition: Callable[[], Any], process: Popen, timeout_s: float = 120) -> Any:
    """Wait until `condition()` is true and return its value; fails when `process` ends first."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.05)
    return value
