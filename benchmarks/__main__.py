"""Every part after the other: `python -m benchmarks [--quick] [--only speed prediction]`; tables and one JSON."""

import json
import platform
import time
from argparse import ArgumentParser
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import joblib
from rich.console import Console

from benchmarks import processes

PARTS = ("front_end", "speed", "prediction", "growth", "time_to_accuracy")
RESULTS = Path(__file__).resolve().parent / "results"
PACKAGES = ("torch", "lightning", "numpy", "librosa")


def measure_all(parts: Sequence[str], quick: bool, plot: Path, console: Console) -> dict[str, Any]:
    """Figures by part; each part's table is printed as soon as it is there."""
    results = {}
    for name in parts:
        if find_spec(f"benchmarks.{name}") is None:
            console.print(f"benchmarks.{name} is not there, so it is left out")
            continue
        started = time.perf_counter()
        console.print(f"[dim]{name} …[/]")
        if name == "front_end":  # imports librosa and torch, so it is measured and shown apart
            results[name] = processes.in_own_process("benchmarks.front_end:measure", rounds=1 if quick else 7)
            import_module("benchmarks.front_end").show(results[name])
        else:
            part = import_module(f"benchmarks.{name}")
            more = {"plot": str(plot)} if name == "growth" else {}
            results[name] = part.measure(quick=quick, **more)
            console.print(part.table(results[name]))
        console.print(f"[dim]{name}: {time.perf_counter() - started:.0f} s[/]")
    return results


def describe_machine() -> dict[str, Any]:
    """What the figures depend on; not whose machine it is."""
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
    parser.add_argument("--quick", action="store_true", help="only try it out: the figures say little")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, metavar="PART", help=", ".join(PARTS))
    asked = parser.parse_args()
    stamp = time.strftime("%Y-%m-%d_%H-%M-%S")
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{stamp}{'-quick' if asked.quick else ''}.json"
    results = measure_all(asked.only, asked.quick, file.with_suffix(".png"), Console())
    content = {"date": stamp, "quick": asked.quick, **describe_machine(), "parts": results}
    file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    Console().print(f"figures: {file.relative_to(processes.ROOT)}")


if __name__ == "__main__":
    main()
