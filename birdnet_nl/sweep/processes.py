"""Whether the process that wrote a file is still the one that runs under its number."""

import os
import platform
import subprocess
import threading
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

WATCH_S = 0.5


@dataclass(frozen=True)
class ProcessMark:
    """A process for ever: numbers are used again, a number with the start of its process is not."""

    host: str
    pid: int
    started: str

    @property
    def is_here(self) -> bool:
        return self.host == platform.node()

    @property
    def is_alive(self) -> bool:
        """Of a process on this machine; of others nothing is known."""
        return self.is_here and bool(self.started) and _start_of(self.pid) == self.started


@cache
def _mark_of(pid: int) -> ProcessMark:
    return ProcessMark(platform.node(), pid, _start_of(pid))


def this_process() -> ProcessMark:
    return _mark_of(os.getpid())


def _start_of(pid: int) -> str:
    """When the process began, in words of the system's own; empty when there is none, or only its remains."""
    if Path("/proc/self/stat").exists():
        try:
            state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return ""
        return "" if state in "ZX" else fields[18]  # the 22nd field: clock ticks since the machine started
    done = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return done.stdout.strip()


@cache
def leave_with_parent() -> None:
    """End this process, at work or idle, within a second of its parent's end: nobody would collect what it does."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(WATCH_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def memory_mb() -> int | None:
    """Resident memory of this process now, in MB; None where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return None
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20)
