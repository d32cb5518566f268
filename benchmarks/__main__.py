"""Run the benchmarks one after the other, print their tables, and write one JSON file."""

import json
import platform
import time
from argparse import ArgumentParser
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import joblib
from rich.console import Console

from benchmarks import processes

PARTS = ("front_end", "speed", "prediction", "growth", "time_to_accuracy")
BUSY = 0.1  # if other work takes a larger share of the cores, times are unreliable
RESULTS = Path(__file__).resolve().parent / "results"
PACKAGES = ("torch", "lightning", "numpy", "librosa")


def busy_share(seconds: float = 1.0) -> float | None:
    """Measure the share of the cores that other processes use; None on other systems than Linux."""
    file = Path("/proc/stat")
    if not file.is_file():
        return None

    def ticks() -> tuple[int, int]:
        values = [int(value) for value in file.read_text().split("\n", 1)[0].split()[1:9]]
        return sum(values), values[3] + values[4]  # all, and idle or waiting for a disk

    all_before, idle_before = ticks()
    time.sleep(seconds)
    all_after, idle_after = ticks()
    return 1 - (idle_after - idle_before) / max(1, all_after - all_before)


def measure_all(parts: Sequence[str], quick: bool, plot: Path, console: Console) -> dict[str, Any]:
    """Run `parts` and print each table; returns their results, and `busy_share` before each as `busy_before`."""
    results, busy_before = {}, {}
    for name in parts:
        started = time.perf_counter()
        busy = busy_before[name] = busy_share()
        console.print(f"[dim]{name} …[/]")
        if busy is not None and busy > BUSY:
            console.print(
                f"[yellow]other work takes {busy:.0%} of the cores, so threads wait for each other and the times mean "
                "nothing; stop it and measure again[/]"
            )
        if name == "front_end":  # imports librosa and torch, and prints several tables
            results[name] = processes.in_own_process("benchmarks.front_end:measure", rounds=1 if quick else 7)
            import_module("benchmarks.front_end").show(results[name])
        else:
            part = import_module(f"benchmarks.{name}")
            arguments = {"plot": str(plot)} if name == "growth" else {}
            results[name] = part.measure(quick=quick, **arguments)
            console.print(part.table(results[name]))
        console.print(f"[dim]{name}: {time.perf_counter() - started:.0f} s[/]")
    return {"parts": results, "busy_before": busy_before}


def describe_machine() -> dict[str, Any]:
    """Return processor, cores, system and versions, without the name of the machine."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return {
        "processor": model or platform.machine(),
        "cores": joblib.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
    }


def main() -> None:
    parser = ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="only a trial: the metrics mean little")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, metavar="PART", help=", ".join(PARTS))
    options = parser.parse_args()
    stamp = time.strftime("%Y-%m-%d_%H-%M-%S")
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{stamp}{'-quick' if options.quick else ''}.json"
    results = measure_all(options.only, options.quick, file.with_suffix(".png"), Console())
    content = {"date": stamp, "quick": options.quick, **describe_machine(), **results}
    file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    Console().print(f"results: {file.relative_to(processes.ROOT)}")


if __name__ == "__main__":
    main()
