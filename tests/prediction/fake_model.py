"""A model without a network: the pitch of a segment gives its type. Imported by worker processes too."""

import hashlib
import json
import os
import time
from pathlib import Path

import numpy as np
import soundfile

from birdnet_nl.inference.model import FilePrediction
from birdnet_nl.util.errors import DataError, RunError

LIMITS_HZ = {"song": 1300.0, "call": 2400.0, "alarm": 1e9}


class FakeModel:
    """Reads `{"name", "species", "types", …}` from a JSON file."""

    sample_rate_hz, segment_s, segment_hop_s, synthetic = 8000, 3.0, 1.5, False

    def __init__(self, path: Path) -> None:
        content = json.loads(path.read_text())
        self.name = content.get("name", path.stem)
        self.fingerprint = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        self.types = tuple(content.get("types", ("song", "call", "alarm")))
        self.species = tuple(content["species"])
        self.is_pool = content.get("pool", False)
        self.threshold = content.get("threshold", 0.5)
        self.fault = content.get("fault", "")

    def predict_file(self, path, *, species="", segment_hop_s=None, part_s=None, on_progress=None) -> FilePrediction:
        if log := os.environ.get("FAKE_MODEL_LOG"):
            with Path(log).open("a") as file:
                file.write(f"{Path(path).name} {species}\n")
        time.sleep(float(os.environ.get("FAKE_MODEL_DELAY", 0)))
        if "killer" in Path(path).name:
            os.kill(os.getpid(), 9)
        try:
            with Path(path).open("rb") as file:
                samples, rate_hz = soundfile.read(file, dtype="float32")
        except soundfile.LibsndfileError:
            raise DataError("cannot be decoded (unknown format)") from None
        if part_s is not None:
            samples = samples[round(part_s[0] * rate_hz) : round(part_s[1] * rate_hz)]
        hop_s = segment_hop_s or self.segment_hop_s
        duration_s = len(samples) / rate_hz
        count = 1 + max(0, int((duration_s - self.segment_s) / hop_s + 1e-9))
        starts_s = np.arange(count) * hop_s
        clips = [samples[int(start * rate_hz) : int((start + self.segment_s) * rate_hz)] for start in starts_s]
        probabilities = np.stack([self._probabilities(clip, rate_hz) for clip in clips])
        if self.fault == "nan":
            probabilities[:] = np.nan
        silent = np.array([np.abs(clip).max() < 1e-6 for clip in clips])
        if on_progress:
            on_progress(duration_s)
        return FilePrediction(starts_s, probabilities, probabilities.mean(axis=0), silent, duration_s)

    def _probabilities(self, clip: np.ndarray, rate_hz: int) -> np.ndarray:
        peak_hz = np.abs(np.fft.rfft(clip)).argmax() * rate_hz / len(clip)
        best = next(name for name, limit in LIMITS_HZ.items() if peak_hz < limit)
        rest = 0.2 / (len(self.types) - 1)
        values = [0.8 if name == best else rest for name in self.types]
        return np.array(values, np.float32) / np.float32(sum(values))


def load_fake(path: Path) -> FakeModel:
    if path.suffix != ".fake":
        raise RunError(f"{path} is not a model")
    return FakeModel(path)
