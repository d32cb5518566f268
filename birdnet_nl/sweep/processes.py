"""Processes: identify one across restarts, end with the parent, read memory, and repeat an action in the background."""

import os
import platform
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

POLL_S = 0.5


@dataclass(frozen=True)
class ProcessId:
    """Unique identity of a process: process numbers are reused, a number together with its start time is not."""

    host: str
    pid: int
    started: str

    @property
    def is_local(self) -> bool:
        return self.host == platform.node()

    @property
    def is_alive(self) -> bool:
        """True for a live process on this machine; False on other machines, where it cannot be known."""
        return self.is_local and bool(self.started) and _start_time(self.pid) == self.started


@cache
def process_id(pid: int) -> ProcessId:
    return ProcessId(platform.node(), pid, _start_time(pid))


def this_process() -> ProcessId:
    return process_id(os.getpid())


def _start_time(pid: int) -> str:
    """Return the start time as the system writes it; empty for no process and for a zombie."""
    if Path("/proc/self/stat").exists():
        try:
            state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return ""
        return "" if state in "ZX" else fields[18]  # the 22nd field: clock ticks since the machine started
    done = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return done.stdout.strip()


@cache
def exit_with_parent() -> None:
    """End this process, busy or idle, within a second of the end of its parent, since nobody would use its results."""
    parent = os.getppid()

    def poll() -> None:
        while os.getppid() == parent:
            time.sleep(POLL_S)
        os._exit(1)

    threading.Thread(target=poll, daemon=True).start()


def memory_mb() -> int | None:
    """Return the resident memory of this process in MB; None on systems without /proc."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return None
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20)


@contextmanager
def repeat_in_background(action: Callable[[], None], interval_s: float) -> Iterator[None]:
    """Call `action` in a thread every `interval_s` seconds while the block runs, and once more when the block ends."""
    ended = threading.Event()

    def repeat() -> None:
        last = False
        while not last:
            last = ended.wait(interval_s)
            action()

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
