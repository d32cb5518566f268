"""Prediction of sound files with a trained classifier in torch."""

import hashlib
from pathlib import Path

import numpy as np
import torch

from birdnet_nl.audio.activity import frame_activity, window_activity
from birdnet_nl.audio.decode import decode
from birdnet_nl.audio.mel import MelParams, log_mel
from birdnet_nl.data.segments import cut_segments
from birdnet_nl.embeddings.base import NO_SPECIES, EmbeddingModel, cut_mels
from birdnet_nl.evaluation.metrics import Predictions
from birdnet_nl.inference.classifier import Classifier
from birdnet_nl.inference.model import FilePrediction, OnProgress
from birdnet_nl.species.table import find_species, pooled_species

BATCH_SIZE = 64
SILENCE_PEAK = 1e-6  # -120 dB: below the smallest step of 16 bits, and above the rounding of lossy formats


class TorchModel:
    """A `Classifier` as a `PredictionModel` (see there for the attributes)."""

    def __init__(self, classifier: Classifier) -> None:
        self.classifier = classifier
        metadata = classifier.metadata
        self.species = trained_species(metadata)
        self.is_pool = metadata.get("pool") is not None
        self.types = tuple(classifier.types)
        self.name = f"{metadata['species']['slug']} {metadata.get('parameter_set') or ''}".strip()
        self.fingerprint = hashlib.sha256(classifier.checkpoint.read_bytes()).hexdigest()[:16]
        self.sample_rate_hz = classifier.mel.sample_rate_hz
        self.segment_s, self.segment_hop_s = metadata["segment_s"], metadata["segment_hop_s"]
        self.threshold = classifier.threshold
        self.synthetic = bool(metadata["synthetic"])

    @classmethod
    def load(cls, target: Path | str) -> "TorchModel":
        return cls(Classifier.load(target))

    def predict_file(
        self,
        path: Path | str,
        *,
        species: str = "",
        segment_hop_s: float | None = None,
        on_progress: OnProgress | None = None,
    ) -> FilePrediction:
        classifier, hop_s = self.classifier, segment_hop_s or self.segment_hop_s
        species = species or (self.species[0] if len(self.species) == 1 else "")
        params = classifier.mel
        samples = decode(Path(path), self.sample_rate_hz)
        mel = log_mel(samples, params).astype(np.float16)
        starts_s = cut_segments(mel.shape[1] / params.frames_per_s, self.segment_s, hop_s)
        if classifier.embedding_model is None:
            predictions = self._predict_segments(mel, starts_s, params)
        else:
            predictions = self._predict_recording(Path(path), starts_s, species)
        zeros = torch.zeros(len(starts_s), dtype=torch.int64)
        predictions = Predictions(
            predictions[0], zeros, zeros,
            [str(path)], predictions[1], [species], predictions[2],
        )  # fmt: skip
        length = round(self.segment_s * self.sample_rate_hz)
        clips = [samples[(first := round(start * self.sample_rate_hz)) : first + length] for start in starts_s]
        return FilePrediction(
            np.array(starts_s),
            classifier.calibration.segment_probabilities(predictions).numpy(),
            classifier.calibration.recording_probabilities(predictions)[0].numpy(),
            np.array([not len(clip) or np.abs(clip).max() < SILENCE_PEAK for clip in clips]),
            len(samples) / self.sample_rate_hz,
        )

    def _predict_segments(self, mel: np.ndarray, starts_s: list[float], params: MelParams):
        frames = params.segment_frames(self.segment_s)
        firsts = [round(start * params.frames_per_s) for start in starts_s]
        parts = []
        for batch in range(0, len(firsts), BATCH_SIZE):
            places = [(0, first) for first in firsts[batch : batch + BATCH_SIZE]]
            windows = torch.from_numpy(cut_mels([mel], places, frames, params.padding_db))
            parts.append(self.classifier.probabilities(windows, temperature=1.0))
        activity = window_activity(frame_activity(mel, params), frames)
        activity = torch.from_numpy(activity[np.minimum(firsts, len(activity) - 1)])
        return torch.cat(parts), None, activity

    @torch.inference_mode()
    def _predict_recording(self, path: Path, starts_s: list[float], species: str):
        parts = self.classifier.embedding_model.parts
        embedded = [self._embed(path, starts_s, part, species) for part in parts]
        vectors = torch.from_numpy(np.concatenate([embedded[0], *(other[:, 1:] for other in embedded[1:])], axis=1))
        network, count = self.classifier.network, len(vectors)
        alone, together = torch.arange(count), torch.zeros(count, dtype=torch.int64)
        return network(vectors, alone).softmax(dim=1), network(vectors, together).softmax(dim=1), None

    def _embed(self, path: Path, starts_s: list[float], model: EmbeddingModel, species: str) -> np.ndarray:
        samples = decode(path, model.sample_rate_hz)
        embed, found = model.load(), find_species(species) or NO_SPECIES
        firsts = [round(start * model.sample_rate_hz) for start in starts_s]
        return np.stack([embed(samples, first, found) for first in firsts]).astype(np.float16)


def trained_species(metadata: dict) -> tuple[str, ...]:
    """Slugs of the species that a checkpoint was trained for."""
    pool = metadata.get("pool")
    return tuple(member.slug for member in pooled_species(pool)) if pool else (metadata["species"]["slug"],)
