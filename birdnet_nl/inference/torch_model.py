"""Prediction of sound files with a trained classifier in torch."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from birdnet_nl.audio.activity import frame_activity, window_activity
from birdnet_nl.audio.decode import PartOfFile
from birdnet_nl.audio.mel import MelParams, log_mel
from birdnet_nl.embeddings.base import MEL, NO_SPECIES, EmbeddingModel, MelEmbeddingModel
from birdnet_nl.evaluation.metrics import Predictions
from birdnet_nl.inference.classifier import Classifier
from birdnet_nl.inference.front_end import sample_front_end
from birdnet_nl.inference.prediction_model import FilePrediction, OnProgress
from birdnet_nl.inference.records import as_table
from birdnet_nl.inference.segments import Collected, Cut, RecordingStatistics, cut_windows, report_progress, segments
from birdnet_nl.inference.streaming import FrontEnd, SampleBlocks
from birdnet_nl.models.recording_classifier import PRIOR_SEGMENTS, RecordingClassifier
from birdnet_nl.species.stored import stored_species
from birdnet_nl.species.table import Species, find_species

BATCH_SIZE = 64


class TorchModel:
    """A `Classifier` as a `PredictionModel` (see there for the attributes)."""

    def __init__(self, classifier: Classifier) -> None:
        self.classifier = classifier
        metadata, mel = classifier.metadata, classifier.mel
        self.species = tuple(species.slug for species in stored_species(metadata))
        self._trained_slug = dict(zip(self.species, metadata.get("pool") or [metadata["species"]["slug"]], strict=True))
        self.is_pool = metadata.get("pool") is not None
        self.types = tuple(classifier.types)
        self.name = f"{metadata['species']['slug']} {metadata.get('parameter_set') or ''}".strip()
        self.fingerprint = hashlib.sha256(classifier.checkpoint.read_bytes()).hexdigest()[:16]
        self.segment_s, self.segment_hop_s = metadata["segment_s"], metadata["segment_hop_s"]
        self.threshold = classifier.threshold
        self.synthetic = bool(metadata["synthetic"])
        self.sample_rate_hz = (classifier.embedding_model or mel).sample_rate_hz
        embeds = classifier.embedding_model is not None
        self._cut = Cut(self.segment_s, mel.sample_rate_hz, mel.hop_samples, by_sample=embeds)

    @classmethod
    def load(cls, target: Path | str) -> "TorchModel":
        return cls(Classifier.load(target))

    def predict_file(
        self,
        path: Path | str,
        *,
        species: str = "",
        segment_hop_s: float | None = None,
        part_s: PartOfFile | None = None,
        on_progress: OnProgress | None = None,
    ) -> FilePrediction:
        """See `PredictionModel.predict_file`; the numbers are those of `birdnet-nl evaluate`."""
        hop_s, collected = segment_hop_s or self.segment_hop_s, Collected()
        species = species or (self.species[0] if len(self.species) == 1 else "")
        if self.classifier.embedding_model is None:
            blocks = self._predict_segments(Path(path), part_s, hop_s, collected, on_progress)
            whole = None
        else:
            found = find_species(species) or NO_SPECIES
            blocks, whole = self._predict_recording(Path(path), part_s, hop_s, collected, found, on_progress)
        probabilities = torch.from_numpy(np.concatenate(collected.probabilities))
        zeros = torch.zeros(len(probabilities), dtype=torch.int64)
        activity = torch.from_numpy(np.concatenate(collected.activity)) if collected.activity else None
        of_species = self._trained_slug.get(species, species)
        predictions = Predictions(probabilities, zeros, zeros, [str(path)], whole, [of_species], activity)
        calibration = self.classifier.calibration
        calibrated = calibration.segment_probabilities(predictions).numpy()
        recording = calibration.recording_probabilities(predictions)[0].numpy()
        return collected.prediction(blocks, self.segment_s, hop_s, calibrated, recording)

    def predict(self, path: Path | str, **options: Any) -> Any:
        """Predict one sound file: a pandas frame with one row per segment, or a list of dicts without pandas."""
        return as_table(self, Path(path), self.predict_file(path, **options))

    def _predict_segments(
        self,
        path: Path,
        part_s: PartOfFile | None,
        hop_s: float,
        collected: Collected,
        on_progress: OnProgress | None,
    ) -> SampleBlocks:
        params, front_end = self.classifier.mel, mel_front_end(self.classifier.mel)
        blocks, frames = (
            SampleBlocks(path, params.sample_rate_hz, as_in_training=True, part_s=part_s),
            params.segment_frames(self.segment_s),
        )
        for stretch, firsts in segments(blocks, front_end, self._cut, hop_s):
            activity = window_activity(frame_activity(stretch.columns, params), frames)
            for start in range(0, len(firsts), BATCH_SIZE):
                batch = firsts[start : start + BATCH_SIZE]
                mels = cut_windows(stretch.columns, batch, frames, params.padding_db)
                probabilities = self.classifier.probabilities(torch.from_numpy(mels), temperature=1.0)
                collected.probabilities.append(probabilities.numpy())
                collected.activity.append(activity[np.minimum(batch, len(activity) - 1)])
                collected.count += len(batch)
                report_progress(on_progress, collected.count, hop_s)
        return blocks

    @torch.inference_mode()
    def _predict_recording(
        self,
        path: Path,
        part_s: PartOfFile | None,
        hop_s: float,
        collected: Collected,
        species: Species,
        on_progress: OnProgress | None,
    ) -> tuple[SampleBlocks, torch.Tensor]:
        """Collect predictions of segments; returns the prediction of the recording too, [1, types]."""
        network = self.classifier.network
        pooling = _RecordingPooling(network)
        parts = self.classifier.embedding_model.parts
        if all(isinstance(part, MelEmbeddingModel) for part in parts):
            blocks, batches = self._embed(path, part_s, hop_s, collected, parts, species)
        else:
            blocks, batches = self._embed_parts(path, part_s, hop_s, collected, parts, species)
        for vectors in batches:
            alone = torch.arange(len(vectors))
            collected.probabilities.append(network(vectors, alone).softmax(dim=1).numpy())
            pooling.add(vectors)
            report_progress(on_progress, collected.count, hop_s)
        return blocks, pooling.logits().softmax(dim=1)

    def _embed(
        self,
        path: Path,
        part_s: PartOfFile | None,
        hop_s: float,
        collected: Collected,
        parts: Sequence[EmbeddingModel],
        species: Species,
    ) -> tuple[SampleBlocks, Iterator[torch.Tensor]]:
        """Return embeddings in batches, float16 [segments, 1 + dimensions], of parts with the same input."""
        first_part = parts[0]
        if all(isinstance(part, MelEmbeddingModel) for part in parts):
            front_end, networks = replace(mel_front_end(MEL), dtype=np.float32), self._mel_networks
        else:
            front_end, networks = sample_front_end(first_part.sample_rate_hz), [self._sample_networks[first_part.name]]
        blocks = SampleBlocks(path, front_end.sample_rate_hz, as_in_training=True, part_s=part_s)

        def embed_all() -> Iterator[torch.Tensor]:
            for stretch, firsts in segments(blocks, front_end, self._cut, hop_s):
                rows = stretch.columns if len(stretch.columns) > 1 else stretch.columns[0]
                extra = [species] if rows.ndim == 1 else []
                for start in range(0, len(firsts), BATCH_SIZE):
                    batch = firsts[start : start + BATCH_SIZE]
                    collected.count += len(batch)
                    vectors = [[embed(rows, first, *extra) for first in batch] for embed in networks]
                    yield _join([np.stack(of_part).astype(np.float16) for of_part in vectors])

        return blocks, embed_all()

    def _embed_parts(
        self,
        path: Path,
        part_s: PartOfFile | None,
        hop_s: float,
        collected: Collected,
        parts: Sequence[EmbeddingModel],
        species: Species,
    ) -> tuple[SampleBlocks, Iterator[torch.Tensor]]:
        """As `_embed`, of parts with different inputs: the file is read once for each part."""
        if len(parts) == 1:
            return self._embed(path, part_s, hop_s, collected, parts, species)
        embedded = []
        for index, part in enumerate(parts):
            blocks, batches = self._embed(
                path, part_s, hop_s, collected if index == 0 else Collected(), [part], species
            )
            embedded.append(torch.cat(list(batches)).numpy())
        return blocks, iter([_join(embedded)])

    @cached_property
    def _mel_networks(self) -> list[Callable[[np.ndarray, int], np.ndarray]]:
        return [part.load_for_mels() for part in self.classifier.embedding_model.parts]

    @cached_property
    def _sample_networks(self) -> dict[str, Callable[[np.ndarray, int, Species], np.ndarray]]:
        parts = self.classifier.embedding_model.parts
        for part in parts:
            part.check_installed()
        return {part.name: part.load() for part in parts}


class _RecordingPooling:
    """Prediction for one recording by a network of embeddings, which are added batch by batch."""

    def __init__(self, network: nn.Module) -> None:
        self.network, base = network, getattr(network, "base", network)
        self.classifier = base if isinstance(base, RecordingClassifier) else None
        self.vectors: list[torch.Tensor] = []
        if self.classifier is not None:
            pooling = self.classifier.pooling
            self.statistics = RecordingStatistics(pooling.kinds, pooling.typical_variance.numpy(), PRIOR_SEGMENTS)

    def add(self, vectors: torch.Tensor) -> None:
        if self.classifier is None:  # a network from outside the package may need all of them
            self.vectors.append(vectors)
        else:
            self.statistics.add(self.classifier._pooled_columns(vectors).numpy())

    def logits(self) -> torch.Tensor:
        if self.classifier is None:
            vectors = torch.cat(self.vectors)
            return self.network(vectors, torch.zeros(len(vectors), dtype=torch.int64))
        return self.network.forward_head(torch.from_numpy(self.statistics.features())[None])


def _join(parts: Sequence[np.ndarray]) -> torch.Tensor:
    """Join the embeddings of several models for the same segments; the species score is that of the first."""
    return torch.from_numpy(np.concatenate([parts[0], *(part[:, 1:] for part in parts[1:])], axis=1))


def mel_front_end(params: MelParams) -> FrontEnd:
    raw = replace(params, normalisation="segment_peak", ceiling_db=0.0, floor_db=-80.0)  # without the median
    relative = params.normalisation == "band_median"
    return FrontEnd(
        params.sample_rate_hz, params.n_fft, params.hop_samples, lambda samples: log_mel(samples, raw), relative
    )
