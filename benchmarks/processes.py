"""Each measurement in a process of its own: allocator, threads and peak memory of one do not touch the next."""

import json
import os
import resource
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def in_own_process(function: str, **arguments: Any) -> Any:
    """What `function`, written `package.module:name`, answers to `arguments`; both must be plain values for JSON.

    Waiting threads sleep on all sides, as `train.py` has it: beside other work, a side that spins would look slower.
    """
    with TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        command = [sys.executable, "-m", "benchmarks.processes", function, json.dumps(arguments), str(answer)]
        environment = {"OMP_WAIT_POLICY": "PASSIVE", **os.environ}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{function} failed with {arguments}:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
        return json.loads(answer.read_text(encoding="utf-8"))


def call(function: str, arguments: dict[str, Any]) -> Any:
    """The same in this process."""
    module, _, name = function.partition(":")
    return getattr(import_module(module), name)(**arguments)


def has_option(group: str, name: str) -> bool:
    """Whether `conf/` holds it; asked here because importing `our_run` would prepare this process for a run."""
    return (ROOT / "conf" / group / f"{name}.yaml").is_file()


def peak_memory_mb() -> float:
    """Largest resident memory of this process so far, in MB.

    Linux hands `ru_maxrss` of a parent on to the programs it starts; VmHWM is the process's own.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    function, arguments, answer = sys.argv[1:]
    Path(answer).write_text(json.dumps(call(function, json.loads(arguments))), encoding="utf-8")
