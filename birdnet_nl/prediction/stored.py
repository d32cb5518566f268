"""Predictions of one file on disk: written whole or not at all, and found again by everything that changes them."""

import hashlib
import json
import os
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from birdnet_nl.inference.model import FilePrediction
from birdnet_nl.prediction.inputs import InputFile
from birdnet_nl.util.files import atomic_path

STATE = ".birdnet_nl"  # folder in the output folder
FORMAT = 1


@dataclass(frozen=True)
class ModelFacts:
    """Facts about a model that tables need after the model is gone; see `PredictionModel`."""

    types: tuple[str, ...]
    is_pool: bool
    sample_rate_hz: int
    segment_s: float
    threshold: float | None
    synthetic: bool


@dataclass(frozen=True)
class StoredPrediction:
    """Prediction for one file as one species (a slug; empty where it is not known)."""

    species: str
    model: ModelFacts
    prediction: FilePrediction


def prediction_key(file: InputFile, species: str, fingerprint: str, overlap_s: float | None) -> str:
    """Return a hash of everything that changes a prediction: the file, the species, the model and the overlap."""
    path = os.fsencode(file.path).hex()
    content = [FORMAT, path, file.size, file.mtime_ns, species, fingerprint, overlap_s]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]


class Store:
    """Folder of stored predictions; processes that share it may write the same prediction twice, but never half."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.prediction"

    def write(self, key: str, stored: StoredPrediction) -> None:
        prediction = stored.prediction
        arrays = {
            "starts_s": np.asarray(prediction.starts_s, np.float64),
            "probabilities": np.asarray(prediction.probabilities, np.float32),
            "recording": np.asarray(prediction.recording, np.float32),
            "silent": np.asarray(prediction.silent, np.uint8),
        }
        payload = b"".join(array.tobytes() for array in arrays.values())
        header = {
            "format": FORMAT,
            "crc32": zlib.crc32(payload),
            "segments": len(prediction.starts_s),
            "species": stored.species,
            "duration_s": prediction.duration_s,
            "warning": prediction.warning,
            "model": asdict(stored.model),
        }
        with atomic_path(self.path(key), sync=False) as part:  # after a power failure the checksum finds what is lost
            part.write_bytes(json.dumps(header).encode() + b"\n" + payload)

    def read(self, key: str) -> StoredPrediction | None:
        """Return a prediction, None if there is none or its file is damaged."""
        try:
            head, _, payload = self.path(key).read_bytes().partition(b"\n")
        except OSError:
            return None
        try:
            header = json.loads(head)
            if header["format"] != FORMAT or header["crc32"] != zlib.crc32(payload):
                return None
            model = ModelFacts(**{**header["model"], "types": tuple(header["model"]["types"])})
            segments, types = header["segments"], len(model.types)
            ends = np.cumsum([8 * segments, 4 * segments * types, 4 * types, segments])
            parts = [payload[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]
            prediction = FilePrediction(
                np.frombuffer(parts[0], np.float64),
                np.frombuffer(parts[1], np.float32).reshape(segments, types),
                np.frombuffer(parts[2], np.float32),
                np.frombuffer(parts[3], np.uint8).astype(bool),
                header["duration_s"],
                header["warning"],
            )
            return StoredPrediction(header["species"], model, prediction)
        except (ValueError, KeyError, TypeError):
            return None
