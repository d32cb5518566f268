"""Databases with detections of a fake station."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

sys.path.insert(0, str(Path(__file__).parents[1] / "prediction"))  # for the fake model
sys.path.insert(0, str(Path(__file__).parent))  # for the fake station

from birdnet_nl.stations import back_off
from birdnet_nl.stations.database import open_database
from birdnet_nl.stations.records import add_station


@pytest.fixture
def connection(tmp_path):
    """Connection to a new database with the station `fake`."""
    opened = open_database(tmp_path / "detections.db")
    add_station(opened, "fake", {"kind": "fake"})
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def no_trouble_was_logged():
    """Let each test see its own log lines."""
    back_off._logged.clear()


@pytest.fixture(scope="session")
def write_clip():
    """Write a clip of 6 s: another type at 0 to 1.5 s and at the end than at 1.5 to 4.5 s; see the fake model."""
    rate_hz, pitches_hz = 8000, {"song": 900.0, "call": 1800.0, "alarm": 3000.0, "silent": 0.0}

    def write(path: Path, middle: str = "song", around: str = "alarm") -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        time_s = np.arange(6 * rate_hz) / rate_hz
        is_middle = (time_s >= 1.5) & (time_s < 4.5)
        pitch_hz = np.where(is_middle, pitches_hz[middle], pitches_hz[around])
        amplitude = np.where(is_middle, 0.3, 0.9)  # so that the rest would decide
        soundfile.write(path, (amplitude * np.sin(2 * np.pi * pitch_hz * time_s)).astype(np.float32), rate_hz)
        return path

    return write


@pytest.fixture
def write_models(tmp_path):
    """Write fake models and return the folder, in which a version may be promoted."""

    def write(version: str = "2026Q4", *species: str, **content) -> Path:
        folder = tmp_path / "models" / version
        folder.mkdir(parents=True, exist_ok=True)
        entries = {}
        for slug in species or ("koolmees",):
            (folder / f"{slug}.fake").write_text(
                json.dumps({"species": [slug], "name": f"{slug} {version}", **content})
            )
            entries[slug] = {"file": f"{slug}.fake"}
        (folder / "manifest.json").write_text(json.dumps({"version": version, "models": entries}))
        part = folder.parent / "active.part"
        part.write_text(f"{version}\n")
        part.replace(folder.parent / "active")
        return folder.parent

    return write
