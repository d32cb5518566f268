"""Latency of a station's insertions with birdnet_nl reading its database against without, in turns.

The writer inserts as BirdNET-Pi does, without a busy time-out: whoever holds a lock at its commit costs it 2 s, and
after three tries a row. The reader is `BirdnetPiStation` in a process of its own, which waits, reads and keeps what it
found in memory.
"""

import json
import select
import statistics
import subprocess
import sys
from argparse import ArgumentParser
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.processes import ROOT
from birdnet_nl.stations.birdnet_pi import BirdnetPiStation
from birdnet_nl.stations.birdnet_pi_files import BirdnetPiFiles
from birdnet_nl.stations.station import StationUnavailableError
from tests.stations.birdnet_pi_station import FakeBirdnetPi, Memory, write

STORED = 20_000  # rows before the first measured one
FIRST = 1_000_000  # number of the first measured row


def read_until_end(database: str) -> None:
    """Read a station until standard input ends; then print how many detections were found."""
    path = Path(database)
    station, memory = BirdnetPiStation(BirdnetPiFiles(path, path.parent)), Memory()
    position, busy, is_ready = "", 0, False
    while True:
        try:
            changes = station.changes(position, memory)
            memory.store(changes)
            position = changes.position
            if not changes.more and not is_ready:
                is_ready = True
                print("ready", flush=True)
        except StationUnavailableError:
            busy += 1
        station.wait(0.2)
        if is_ready and _has_ended():
            break
    memory.position = position
    memory.read(station)
    print(json.dumps({"detections": len(memory.detections), "unavailable": busy}), flush=True)


def _has_ended() -> bool:
    return bool(select.select([sys.stdin], [], [], 0)[0]) and not sys.stdin.readline()


def measure(inserts: int, turns: int, pause_s: float, timeout_s: float) -> dict[str, Any]:
    """Insert in turns with and without the reader; returns milliseconds and the numbers of lost rows."""
    latencies: dict[str, list[float | None]] = {"without": [], "with": []}
    found = []
    with TemporaryDirectory() as folder:
        pi = FakeBirdnetPi(Path(folder))
        pi.insert_many(range(STORED))
        first, part = FIRST, inserts // turns
        for turn in range(turns):
            for side in ("without", "with") if turn % 2 else ("with", "without"):
                reader = _start_reader(pi.database) if side == "with" else None
                latencies[side] += write(str(pi.database), first, part, pause_s, timeout_s, seed=turn)
                first += part
                if reader:
                    output, _ = reader.communicate(timeout=300)
                    found.append(json.loads(output) | {"rows": len(pi.rows())})
    return {
        "inserts": inserts,
        **{side: _summary(values) for side, values in latencies.items()},
        "reader": found,
    }


def _start_reader(database: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.station_writer", "--read", str(database)]
    reader = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert reader.stdout is not None
    if reader.stdout.readline().strip() != "ready":
        raise RuntimeError("the reader did not start")
    return reader


def _summary(values: list[float | None]) -> dict[str, float]:
    stored = [1000 * seconds for seconds in values if seconds is not None]
    percentiles = statistics.quantiles(stored, n=100)
    return {
        "median_ms": statistics.median(stored), "p99_ms": percentiles[98], "max_ms": max(stored),
        "over_1_s": sum(value > 1000 for value in stored), "lost": len(values) - len(stored),
    }  # fmt: skip


def main() -> None:
    parser = ArgumentParser(prog="python -m benchmarks.station_writer", description=__doc__)
    parser.add_argument("--inserts", type=int, default=5000, help="on each side")
    parser.add_argument("--turns", type=int, default=10)
    parser.add_argument("--pause-s", type=float, default=0.01, help="mean pause between two insertions")
    parser.add_argument("--timeout-s", type=float, default=0.0, help="busy time-out of the writer")
    parser.add_argument("--read", metavar="DATABASE", help="only read, until standard input ends")
    options = parser.parse_args()
    if options.read:
        read_until_end(options.read)
        return
    result = measure(options.inserts, options.turns, options.pause_s, options.timeout_s)
    table = Table("", "median ms", "99 % ms", "max ms", "over 1 s", "lost")
    for side in ("without", "with"):
        values = result[side]
        cells = [f"{values[name]:.1f}" for name in ("median_ms", "p99_ms", "max_ms")]
        table.add_row(side, *cells, str(values["over_1_s"]), str(values["lost"]))
    console = Console()
    console.print(table)
    console.print(f"ratio of the 99th percentiles: {result['with']['p99_ms'] / result['without']['p99_ms']:.2f}")
    missing = sum(turn["rows"] - turn["detections"] for turn in result["reader"])
    console.print(f"rows that the reader did not find: {missing}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
