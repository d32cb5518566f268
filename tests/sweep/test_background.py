"""What is repeated beside a block ends with it, after a last time."""

import threading
import time

import pytest

from birdnet_nl.sweep.background import repeated


def test_it_is_called_while_the_block_runs_and_once_more_at_its_end():
    called = threading.Event()
    times = []

    def action():
        times.append(time.monotonic())
        called.set()

    with repeated(action, 0.01):
        assert called.wait(5)
        during = len(times)
    ended = len(times)
    assert ended > during >= 1
    time.sleep(0.05)
    assert len(times) == ended


def test_an_error_in_the_block_goes_on_its_way_and_ends_it_too():
    calls = []
    with pytest.raises(RuntimeError, match="broken"), repeated(lambda: calls.append(1), 60):
        raise RuntimeError("broken")
    assert calls == [1]
