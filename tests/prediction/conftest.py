"""Small recordings in which each segment has a known type, and models that predict it."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

sys.path.insert(0, str(Path(__file__).parent))  # worker processes import the fake model by its name

from fake_model import load_fake

PITCHES_HZ = {"song": 900.0, "call": 1800.0, "alarm": 3000.0, "silent": 0.0}
RATE_HZ = 8000


@pytest.fixture(scope="session")
def write_sound():
    """Write a sound whose parts are beeps of the given types (`silent`: zeros), each of the given length."""

    def write(path: Path, *parts: tuple[str, float]) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        times = [np.arange(round(seconds * RATE_HZ)) / RATE_HZ for _, seconds in parts]
        samples = [
            0.5 * np.sin(2 * np.pi * PITCHES_HZ[name] * time_s) for (name, _), time_s in zip(parts, times, strict=True)
        ]
        soundfile.write(path, np.concatenate(samples).astype(np.float32), RATE_HZ)
        return path

    return write


@pytest.fixture(scope="session")
def write_model():
    """Write a model file for species (slugs)."""

    def write(path: Path, *species: str, **content) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"species": species or ["koolmees"], **content}))
        return path

    return write


@pytest.fixture(scope="session")
def write_pack(write_model):
    """Write a folder with a manifest and a model for each species."""

    def write(folder: Path, *species: str, pool: tuple[str, ...] = ()) -> Path:
        entries = {slug: {"file": write_model(folder / f"{slug}.fake", slug).name} for slug in species}
        if pool:
            file = write_model(folder / "pool.fake", *pool, pool=True, name="the pool").name
            entries["pool-some"] = {"file": file, "pool": list(pool)}
        (folder / "manifest.json").write_text(json.dumps({"version": "2026Q4", "models": entries}))
        return folder

    return write


@pytest.fixture
def use_fake_models(monkeypatch):
    """Let the command and `predict_files` load fake models."""
    monkeypatch.setattr("birdnet_nl.inference.model.load_model", load_fake)
    monkeypatch.setattr("birdnet_nl.prediction.predict.load_model", load_fake)
