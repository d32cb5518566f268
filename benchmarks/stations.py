"""Latency and backlog of `birdnet-nl watch` beside a BirdNET-Pi: `python -m benchmarks.stations MODEL.onnx`.

A folder like BirdNET-Pi's is made: `birds.db` and clips of 6 s. For the latency a process watches it, rows are inserted
one by one, and the time until our database holds the state is measured from outside. For the backlog all rows are there
before the start, and the process may use one core. Its processor time is printed too, because it does not depend on
other programs that run meanwhile.
"""

import argparse
import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import soundfile

SCHEMA = (
    "CREATE TABLE detections (Date DATE, Time TIME, Sci_Name VARCHAR(100) NOT NULL, Com_Name VARCHAR(100) NOT NULL, "
    "Confidence FLOAT, Lat FLOAT, Lon FLOAT, Cutoff FLOAT, Week INT, Sens FLOAT, Overlap FLOAT, "
    "File_Name VARCHAR(100) NOT NULL)"
)
INSERT = "INSERT INTO detections VALUES (?, ?, 'Parus major', 'Koolmees', 0.85, 52.3, 6.4, 0.7, 48, 1.25, 0.0, ?)"
RATE_HZ, CLIP_S, SOUNDS = 48_000, 6, 20
START = datetime(2026, 11, 1, 6)


@dataclass(frozen=True)
class Latency:
    """Seconds from the insertion of a row until its state is stored, and the seconds of computing among them."""

    detections: int
    median_s: float
    p95_s: float
    max_s: float
    computing_p95_s: float


@dataclass(frozen=True)
class Backlog:
    """Detections a second of wall time and of processor time on one core, and the peak of the resident memory."""

    detections: int
    per_s: float
    per_cpu_s: float
    peak_mb: float
    done: int


class StationFolder:
    """A BirdNET-Pi without its programs.

    Args:
        suffix: of the clips, which are hard links to a few sounds.
    """

    def __init__(self, folder: Path, suffix: str = ".mp3", seed: int = 0) -> None:
        self.folder, self.suffix, self.count = folder, suffix, 0
        self.database, self.clips = folder / "birds.db", folder / "By_Date"
        self.clips.mkdir(parents=True)
        rng, time_s = np.random.default_rng(seed), np.arange(RATE_HZ * CLIP_S) / RATE_HZ
        for number in range(SOUNDS):
            pitch_hz = rng.uniform(2500, 5000) + 800 * np.sin(2 * np.pi * rng.uniform(2, 9) * time_s)
            tone = 0.2 * np.sin(2 * np.pi * np.cumsum(pitch_hz) / RATE_HZ) * (np.sin(2 * np.pi * 3 * time_s) > 0)
            soundfile.write(self._sound(number), tone + rng.normal(0, 0.01, len(time_s)), RATE_HZ)
        with closing(sqlite3.connect(self.database)) as connection:
            connection.execute(SCHEMA)

    def _sound(self, number: int) -> Path:
        return self.folder / f"sound{number}{self.suffix}"

    def add(self, count: int) -> None:
        """Add clips, then their rows in one transaction."""
        rows = []
        for _ in range(count):
            moment = START + timedelta(seconds=9 * self.count)
            name = f"Koolmees-85-{moment:%Y-%m-%d}-birdnet-{moment:%H:%M:%S}{self.suffix}"
            clip = self.clips / f"{moment:%Y-%m-%d}" / "Koolmees" / name
            clip.parent.mkdir(parents=True, exist_ok=True)
            os.link(self._sound(self.count % SOUNDS), clip)
            rows.append((f"{moment:%Y-%m-%d}", f"{moment:%H:%M:%S}", name))
            self.count += 1
        with closing(sqlite3.connect(self.database)) as connection, connection:
            connection.executemany(INSERT, rows)


def watch_command(station: StationFolder, model: Path, database: Path, *words: str) -> list[str]:
    paths = ["--db", str(station.database), "--clips", str(station.clips), "--database", str(database)]
    return [sys.executable, "-m", "birdnet_nl.cli", "watch", "birdnet-pi", *paths, "-m", str(model), *words]


def measure_latency(model: Path, folder: Path, detections: int, suffix: str = ".mp3", seed: int = 0) -> Latency:
    """Insert rows one by one at random moments into an idle station."""
    station, database, rng = StationFolder(folder / "station", suffix), folder / "detections.db", random.Random(seed)
    process = subprocess.Popen(watch_command(station, model, database), stderr=subprocess.DEVNULL)
    try:
        station.add(1)
        _wait_for(database, 1, process)
        seconds = []
        for number in range(2, detections + 2):
            time.sleep(rng.uniform(0.2, 0.8))
            station.add(1)
            began = time.perf_counter()
            _wait_for(database, number, process)
            seconds.append(time.perf_counter() - began)
    finally:
        process.terminate()
        process.wait()
    with closing(sqlite3.connect(database)) as connection:
        computing = [row[0] for row in connection.execute("SELECT computing_s FROM results ORDER BY id")][1:]
    return Latency(
        detections,
        float(np.median(seconds)),
        float(np.quantile(seconds, 0.95)),
        max(seconds),
        float(np.quantile(computing, 0.95)),
    )


def _wait_for(database: Path, count: int, process: subprocess.Popen, timeout_s: float = 60) -> None:
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"the watching process ended with exit code {process.returncode}")
        if database.exists():
            with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
                try:
                    query = "SELECT count(*) FROM detections WHERE state IN ('done', 'uncertain')"
                    if connection.execute(query).fetchone()[0] >= count:
                        return
                except sqlite3.OperationalError:  # not made yet
                    pass
        time.sleep(0.005)
    raise RuntimeError(f"{count} results were not stored within {timeout_s:.0f} s")


def measure_backlog(model: Path, folder: Path, detections: int, suffix: str = ".mp3") -> Backlog:
    """Predict detections that are there before the start, on one core, with all that starting takes."""
    station, database = StationFolder(folder / "station", suffix), folder / "detections.db"
    station.add(detections)
    began, peak_kb = time.perf_counter(), 0
    process = subprocess.Popen(watch_command(station, model, database, "--once"), stderr=subprocess.DEVNULL)
    os.sched_setaffinity(process.pid, {max(os.sched_getaffinity(0))})
    while (ended := os.wait4(process.pid, os.WNOHANG))[0] == 0:
        peak_kb = max(peak_kb, _peak_kb(process.pid))
        time.sleep(0.05)
    seconds, (_, status, used) = time.perf_counter() - began, ended
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"the watching process ended with exit code {process.returncode}")
    cpu_s = used.ru_utime + used.ru_stime
    with closing(sqlite3.connect(database)) as connection:
        (done,) = connection.execute("SELECT count(*) FROM results").fetchone()
    return Backlog(detections, detections / seconds, detections / cpu_s, peak_kb / 1024, done)


def _peak_kb(process: int) -> int:
    """Return the peak of the resident memory of a process so far, 0 for one that ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.stations",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", type=Path, help="a .onnx file for koolmees or a pool")
    parser.add_argument("--inserted", type=int, default=100, help="detections for the latency, 0 for none")
    parser.add_argument("--backlog", type=int, default=20_000, help="detections for the backlog, 0 for none")
    parser.add_argument("--suffix", default=".mp3", help="of the clips: .mp3, .wav, .flac or .ogg")
    arguments = parser.parse_args()
    model = arguments.model.resolve()
    for count, measure in ((arguments.inserted, measure_latency), (arguments.backlog, measure_backlog)):
        if count:
            with tempfile.TemporaryDirectory(prefix="stations-") as folder:
                result = measure(model, Path(folder), count, arguments.suffix)
            print(json.dumps({type(result).__name__: asdict(result)}), flush=True)


if __name__ == "__main__":
    main()
