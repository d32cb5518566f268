"""Signals that end a program: they raise an exception, and end the process within seconds whatever it is doing."""

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from rich.markup import escape

from birdnet_nl.util.console import log, screen

SIGNALS = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
GRACE_S = 3.0  # to close files and to write the state of a run; then the process ends
SAME_COMMAND = "finished work is kept, and the same command continues from there"


class Interrupted(KeyboardInterrupt):
    """A signal that ends the program, like Ctrl-C."""


class _State:
    """State of this process: the signals that are handled, the one that came, and how to continue."""

    handlers: dict[int, Any] = {}  # noqa: RUF012  of one process; those from before
    received: int | None = None
    advice = SAME_COMMAND


def exit_code() -> int:
    """Exit code of an interrupted program, as a shell gives it: 130 for Ctrl-C, 143 for SIGTERM."""
    return 128 + (_State.received or signal.SIGINT)


def interruption() -> Interrupted:
    """Return the exception of the signal that came, where a library replaced it with another."""
    return Interrupted(_State.received)


def set_advice(text: str) -> None:
    """Set how to continue, for a process that does not come to print it before it ends.

    The first one stays: that of a sweep, which continues its runs too.
    """
    if _State.advice == SAME_COMMAND:
        _State.advice = text


@contextmanager
def ending_on_signals() -> Iterator[None]:
    """Raise `Interrupted` in the block on Ctrl-C, SIGTERM and SIGHUP, and end the process `GRACE_S` seconds later.

    Python raises only between two instructions, and waits for the threads of a pool; a decoder or a solver can take
    minutes. A thread therefore watches the signals too. Ignored signals (`nohup`, a background shell) stay ignored.
    """
    if _State.handlers or threading.current_thread() is not threading.main_thread():
        yield
        return
    handled = [number for number in SIGNALS if signal.getsignal(number) not in (signal.SIG_IGN, None)]
    _State.received, _State.advice = None, SAME_COMMAND
    _State.handlers = {number: signal.signal(number, _interrupt) for number in handled}
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(reader, handled), daemon=True, name="signals").start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(writer)  # ends the thread
        _restore()


def _interrupt(number: int, frame: FrameType | None) -> None:
    if _State.received is None:  # a second one does not disturb what the first one began
        _State.received = number
        raise Interrupted(number)


def _watch(reader: int, handled: list[int]) -> None:
    is_ending = False
    while number := os.read(reader, 1):  # to the end: a second signal must find a reader
        if number[0] in handled and not is_ending:
            is_ending = True
            threading.Thread(target=_end_after_grace, args=(number[0],), daemon=True, name="end").start()
    os.close(reader)


def _end_after_grace(number: int) -> None:
    time.sleep(GRACE_S)
    with suppress(Exception):
        screen.print(f"stopped; {escape(_State.advice)}", soft_wrap=True)
        log.info("stopped; %s", _State.advice)
        sys.stdout.flush()
        sys.stderr.flush()
    _kill_children()
    os._exit(128 + number)


def _kill_children() -> None:
    for child in multiprocessing.active_children():
        child.kill()
    for path in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):
            for child in path.read_text().split():
                os.kill(int(child), signal.SIGKILL)


def _restore() -> None:
    handlers, _State.handlers = _State.handlers, {}
    for number, handler in handlers.items():
        if signal.getsignal(number) is _interrupt:
            signal.signal(number, handler)


def _forget_in_child() -> None:
    """A forked process keeps its own signals to itself: its writes would reach the watching thread of its parent."""
    if _State.handlers:
        signal.set_wakeup_fd(-1)
        _restore()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
