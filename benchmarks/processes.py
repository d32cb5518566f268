"""Processes and command line of the benchmarks.

Each measurement runs in a process of its own, so that allocator, threads and peak memory of one do not affect the next.
"""

import json
import os
import resource
import subprocess
import sys
from argparse import ArgumentParser
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console

ROOT = Path(__file__).resolve().parents[1]


def in_own_process(function: str, **arguments: Any) -> Any:
    """Call `function`, written `package.module:name`, in a new process; arguments and result must be valid in JSON.

    Waiting threads sleep, as in a run of `train.py`: beside other work, threads that spin would look slower. Raises
    `RuntimeError` with the end of the output when the process fails.
    """
    with TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        command = [sys.executable, "-m", "benchmarks.processes", function, json.dumps(arguments), str(result)]
        environment = {"OMP_WAIT_POLICY": "PASSIVE", **os.environ}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{function} failed with {arguments}:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
        return json.loads(result.read_text(encoding="utf-8"))


def call(function: str, arguments: dict[str, Any]) -> Any:
    """Call `function`, written `package.module:name`, in this process."""
    module, _, name = function.partition(":")
    return getattr(import_module(module), name)(**arguments)


def peak_memory_mb() -> float:
    """Return the largest resident memory of this process so far, in MB.

    Linux passes `ru_maxrss` of a parent on to the programs it starts; VmHWM is the process's own.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return max_resident_mb(resource.RUSAGE_SELF)


def max_resident_mb(who: int) -> float:
    """Return the largest resident memory that `getrusage(who)` reports, in MB."""
    peak = resource.getrusage(who).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)


def run_part(name: str) -> None:
    """Run `python -m benchmarks.<name>`: measure, print the table, and write the metrics to a file if asked.

    The module has `measure(quick, …)`, `table(result)`, and `arguments(parser)` for the other arguments of `measure`.
    """
    part = import_module(f"benchmarks.{name}")
    parser = ArgumentParser(prog=f"python -m benchmarks.{name}", description=part.__doc__)
    parser.add_argument("--quick", action="store_true", help="only a trial: the metrics mean little")
    parser.add_argument("--json", type=Path, help="write the metrics to this file")
    part.arguments(parser)
    options = vars(parser.parse_args())
    file = options.pop("json")
    result = part.measure(**options)
    Console().print(part.table(result))
    if file:
        file.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    function, arguments, result = sys.argv[1:]
    Path(result).write_text(json.dumps(call(function, json.loads(arguments))), encoding="utf-8")
