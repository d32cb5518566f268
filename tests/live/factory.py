"""Database of detections with clips, for tests and for pictures of the live page; everything is synthetic."""

import json
import sqlite3
import time
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import soundfile

from birdnet_nl.species.table import find_species
from birdnet_nl.stations.database import open_database

TYPES = ("song", "call", "alarm")
SPECIES = ("merel", "koolmees", "roodborst", "winterkoning", "vink", "pimpelmees", "houtduif", "ekster")


def make_database(path: Path, clips: Path | None = None) -> sqlite3.Connection:
    """Create a database with one station, whose clips are in a folder."""
    connection = open_database(path)
    settings = json.dumps({"kind": "folder", "clips": str(clips)} if clips else {"kind": "folder"})
    connection.execute("INSERT OR IGNORE INTO stations (name, settings) VALUES ('birdnet-pi', ?)", (settings,))
    return connection


def add_detection(
    connection: sqlite3.Connection,
    recorded_at: datetime | str,
    slug: str = "merel",
    type: str = "song",
    probability: float = 0.9,
    uncertain: bool = False,
    clip: str = "",
    state: str = "",
    types: Sequence[str] = TYPES,
    **columns: object,
) -> int:
    """Add a detection with its result, unless `type` is empty; return its id."""
    species = find_species(slug)
    text = recorded_at if isinstance(recorded_at, str) else recorded_at.isoformat(timespec="seconds")
    values = {
        "station": "birdnet-pi", "key": f"{slug}-{text}-{time.monotonic_ns()}", "recorded_at": text,
        "scientific_name": species.scientific if species else slug, "common_name": species.english if species else slug,
        "species": species.slug if species else "", "confidence": 0.8, "clip": clip,
        "state": state or ("uncertain" if uncertain else "done" if type else "no model"),
        "noticed_at": time.time(), "changed_at": time.time(), **columns,
    }  # fmt: skip
    names = ", ".join(values)
    marks = ", ".join(f":{name}" for name in values)
    id = connection.execute(f"INSERT INTO detections ({names}) VALUES ({marks})", values).lastrowid
    if type:
        add_result(connection, id, type, probability, uncertain, types=types)
    return id


def add_result(
    connection: sqlite3.Connection, detection: int, type: str, probability: float = 0.9, uncertain: bool = False,
    model: str = "merel 1", types: Sequence[str] = TYPES,
) -> int:  # fmt: skip
    others = [name for name in types if name != type]
    probabilities = {type: probability} | {name: (1 - probability) / len(others) for name in others}
    result = connection.execute(
        "INSERT INTO results (detection, type, probability, probabilities, is_uncertain, model, fingerprint, start_s, "
        "end_s, computing_s, predicted_at) VALUES (?, ?, ?, ?, ?, ?, ?, 1.5, 4.5, 0.1, ?)",
        (detection, type, probability, json.dumps(probabilities), uncertain, model, model, time.time()),
    ).lastrowid
    connection.execute("UPDATE detections SET result = ? WHERE id = ?", (result, detection))
    return result


def write_clip(path: Path, duration_s: float = 6.0, seed: int = 0, rate_hz: int = 24_000) -> Path:
    """Write a chirp over noise."""
    rng = np.random.default_rng(seed)
    times = np.arange(int(duration_s * rate_hz)) / rate_hz
    pitch_hz = rng.uniform(2000, 6000) + 1500 * np.sin(2 * np.pi * rng.uniform(1, 6) * times)
    gate = (np.sin(2 * np.pi * rng.uniform(1, 3) * times) > 0) * (np.abs(times - duration_s / 2) < 1.5)
    samples = 0.4 * gate * np.sin(2 * np.pi * np.cumsum(pitch_hz) / rate_hz) + 0.01 * rng.standard_normal(len(times))
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples.astype(np.float32), rate_hz)
    return path


def fill_day(connection: sqlite3.Connection, day: date, count: int, clips: list[str] = (), seed: int = 0) -> None:
    """Add detections of one day in one transaction, most of them around dawn."""
    rng = np.random.default_rng(seed)
    start = datetime.combine(day, datetime.min.time())
    seconds = np.sort(
        np.concatenate([rng.normal(8 * 3600, 3600, count // 2), rng.uniform(0, 86_399, count - count // 2)])
    )
    connection.execute("BEGIN")
    for index, second in enumerate(np.clip(seconds, 0, 86_399)):
        slug = SPECIES[int(len(SPECIES) * rng.random() ** 2)]
        probability = float(rng.uniform(0.4, 0.99))
        add_detection(
            connection, start + timedelta(seconds=int(second)), slug, str(rng.choice(TYPES, p=(0.45, 0.4, 0.15))),
            probability, probability < 0.55, clips[index % len(clips)] if clips else "",
        )  # fmt: skip
    connection.execute("COMMIT")
