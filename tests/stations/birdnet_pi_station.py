"""BirdNET-Pi for tests: its database with the documented schema, clips, and a process that inserts as it does."""

import json
import random
import shutil
import sqlite3
import sys
import time
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

SCHEMA = """
CREATE TABLE detections (
  Date DATE,
  Time TIME,
  Sci_Name VARCHAR(100) NOT NULL,
  Com_Name VARCHAR(100) NOT NULL,
  Confidence FLOAT,
  Lat FLOAT,
  Lon FLOAT,
  Cutoff FLOAT,
  Week INT,
  Sens FLOAT,
  Overlap FLOAT,
  File_Name VARCHAR(100) NOT NULL);
CREATE INDEX "detections_Com_Name" ON "detections" ("Com_Name");
CREATE INDEX "detections_Sci_Name" ON "detections" ("Sci_Name");
CREATE INDEX "detections_Date_Time" ON "detections" ("Date" DESC, "Time" DESC);
"""
INSERT = "INSERT INTO detections VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
SPECIES = (("Parus major", "Koolmees"), ("Turdus merula", "Merel"), ("Larus argentatus", "Zilvermeeuw"))
START = datetime(2026, 11, 30, 6, 0, 0)
CONFIDENCES = [percent / 100 for percent in range(101)]
TRIES, PAUSE_S = 3, 2.0


class FakeBirdnetPi:
    """A BirdNET-Pi below a folder: `BirdNET-Pi/scripts/birds.db` and `BirdSongs/Extracted/By_Date`."""

    def __init__(self, home: Path, schema: str = SCHEMA) -> None:
        self.home = home
        self.database = home / "BirdNET-Pi" / "scripts" / "birds.db"
        self.clips = home / "BirdSongs" / "Extracted" / "By_Date"
        self.database.parent.mkdir(parents=True, exist_ok=True)
        self.clips.mkdir(parents=True, exist_ok=True)
        self.execute(schema)

    def execute(self, script: str) -> None:
        with closing(sqlite3.connect(self.database)) as connection:
            connection.executescript(script)

    def change(self, statement: str, *values: Any) -> int:
        """Run one statement in a transaction of its own; returns the number of rows changed."""
        with closing(sqlite3.connect(self.database)) as connection, connection:
            return connection.execute(statement, values).rowcount

    def rows(self) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.database)) as connection:
            return connection.execute("SELECT * FROM detections ORDER BY rowid").fetchall()

    def insert(self, number: int = 0, **values: Any) -> tuple[Any, ...]:
        """Insert the row of a detection as BirdNET-Pi does; `values` replace those of `row_of`."""
        row = row_of(number, **values)
        self.change(INSERT, *row)
        return row

    def insert_many(self, numbers: range, **values: Any) -> None:
        with closing(sqlite3.connect(self.database)) as connection, connection:
            connection.executemany(INSERT, (row_of(number, **values) for number in numbers))

    def clip_of(self, row: tuple[Any, ...]) -> Path:
        return self.clips / row[0] / row[3].replace("'", "").replace(" ", "_") / row[11]

    def write_clip(self, row: tuple[Any, ...], sound: Path) -> Path:
        path = self.clip_of(row)
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(sound, path)
        return path

    def identify(self, file_name: str, scientific: str, common: str) -> str:
        """Change the species of a detection as BirdNET-Pi's page does: file renamed, names changed, confidence 0."""
        rest = file_name[file_name.index("-") :]
        new_name = common.replace("'", "").replace(" ", "_") + rest
        (old,) = [row for row in self.rows() if row[11] == file_name]
        self.change(
            "UPDATE detections SET Sci_Name = ?, Com_Name = ?, Confidence = 0, File_Name = ? WHERE File_Name = ?",
            scientific, common, new_name, file_name,
        )  # fmt: skip
        if (path := self.clip_of(old)).exists():
            new_path = self.clips / old[0] / common.replace("'", "").replace(" ", "_") / new_name
            new_path.parent.mkdir(exist_ok=True)
            path.rename(new_path)
        return new_name


def row_of(
    number: int, start: datetime = START, source: str = "", suffix: str = "mp3", **values: Any
) -> tuple[Any, ...]:
    """Return the row of a detection: every third second from `start`, species in turns."""
    moment = start + timedelta(seconds=3 * number)
    scientific, common = SPECIES[number % len(SPECIES)]
    row = {
        "date": f"{moment:%Y-%m-%d}", "time": f"{moment:%H:%M:%S}", "scientific": scientific, "common": common,
        "confidence": (70 + number % 30) / 100, **values,
    }  # fmt: skip
    safe = str(row["common"]).replace("'", "").replace(" ", "_")
    percent = round(100 * row["confidence"]) if row["confidence"] in CONFIDENCES else 0
    source = f"{source}-" if source else ""
    name = f"{safe}-{percent}-{moment:%Y-%m-%d}-birdnet-{source}{moment:%H:%M:%S}.{suffix}"
    return (
        row["date"], row["time"], row["scientific"], row["common"], row["confidence"], 52.35, 6.46, 0.7,
        moment.isocalendar()[1], 1.25, 0.0, row.get("file", name),
    )  # fmt: skip


def insert_as_birdnet_pi(database: str, row: tuple[Any, ...], timeout_s: float = 0.0) -> tuple[bool, float]:
    """Insert one row as BirdNET-Pi's `write_to_db`: any error is taken for "busy", and after three tries it is dropped.

    Returns whether it was stored and the seconds that it took.
    """
    start = time.perf_counter()
    for _ in range(TRIES):
        try:
            with closing(sqlite3.connect(database, timeout=timeout_s)) as connection:
                connection.execute(INSERT, row)
                connection.commit()
            return True, time.perf_counter() - start
        except sqlite3.Error:
            time.sleep(PAUSE_S)
    return False, time.perf_counter() - start


def write(
    database: str, first: int, count: int, mean_pause_s: float, timeout_s: float = 0.0, seed: int = 0
) -> list[Any]:
    """Insert rows with pauses of random length, as on a busy morning; returns seconds, None for a lost row."""
    pauses = random.Random(seed)
    latencies: list[float | None] = []
    for number in range(first, first + count):
        time.sleep(pauses.expovariate(1 / mean_pause_s))
        is_stored, seconds = insert_as_birdnet_pi(database, row_of(number), timeout_s)
        latencies.append(seconds if is_stored else None)
    return latencies


class Memory:
    """Stored detections in memory, as the engine keeps them in its database."""

    def __init__(self) -> None:
        self.detections: dict[str, Any] = {}
        self.position = ""
        self.renamed: dict[str, str] = {}
        self.gone: list[str] = []
        self.calls = 0

    def between(self, start: datetime, end: datetime) -> dict[str, Any]:
        return {key: d for key, d in self.detections.items() if start <= d.recorded_at < end}

    def days(self) -> dict[str, int]:
        counts: dict[str, int] = {}
        for detection in sorted(self.detections.values(), key=lambda d: d.recorded_at, reverse=True):
            day = detection.recorded_at.date().isoformat()
            counts[day] = counts.get(day, 0) + 1
        return counts

    def store(self, changes: Any) -> None:
        for old, new in changes.renamed.items():
            self.detections[new] = self.detections.pop(old)
        self.renamed.update(changes.renamed)
        for detection in changes.detections:
            self.detections[detection.key] = detection
        for key in changes.gone:
            del self.detections[key]
        self.gone += changes.gone
        self.position = changes.position

    def read(self, station: Any) -> None:
        """Store all that the station reports now."""
        is_more = True
        while is_more:
            changes = station.changes(self.position, self)
            self.store(changes)
            is_more = changes.more
            self.calls += 1
            assert self.calls < 10_000, "the station reports changes without end"


if __name__ == "__main__":  # database, first, count, mean pause in s, time-out in s
    path, first, count, pause_s, timeout_s = sys.argv[1:]
    print(json.dumps(write(path, int(first), int(count), float(pause_s), float(timeout_s))))
