"""Prediction with an exported classifier of embeddings, whose embedding network is in the file."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import onnxruntime

from birdnet_nl.inference.calibrated import softmax
from birdnet_nl.inference.front_end import numpy_front_end
from birdnet_nl.inference.onnx_model import BATCH_SIZE, OnnxModel
from birdnet_nl.inference.segments import Collected, RecordingStatistics, cut_windows
from birdnet_nl.inference.streaming import FrontEnd


@dataclass
class CollectedEmbeddings(Collected):
    """As `Collected`, with the statistics of the recording."""

    statistics: RecordingStatistics | None = field(default=None)


class OnnxEmbeddingModel(OnnxModel):
    """An exported file of the kind `embeddings`: networks of a mel, modulation, and a classifier of recordings."""

    @cached_property
    def _front_end(self) -> FrontEnd:
        return numpy_front_end(self.metadata["mel"], self.metadata["bands"], np.float32)

    @cached_property
    def _sessions(self) -> dict[str, onnxruntime.InferenceSession]:
        """Sessions of the file itself or, for a head, of its base."""
        if self._base is not None:
            return self._base._sessions
        names = ("embed", "modulation", "segments", "recording")
        return {name: self.file.session(name, self.threads) for name in names}

    def _logits(self, graph: str, inputs: dict[str, np.ndarray]) -> np.ndarray:
        """Logits of the graph `segments` or `recording`, [items, types]."""
        logits, features = self._sessions[graph].run(["logits", "features"], inputs)
        if self._base is None:
            return logits
        return self._head.run(["logits"], {"features": features, "base_logits": logits})[0]

    def _new_collected(self, species: str = "") -> CollectedEmbeddings:
        pooling = self.metadata["pooling_of_embeddings"]
        variance = np.frombuffer(bytes.fromhex(pooling["typical_variance"]), dtype="<f4")
        return CollectedEmbeddings(
            statistics=RecordingStatistics(pooling["kinds"], variance, pooling["prior_segments"])
        )

    def _add_segments(
        self,
        columns: np.ndarray,
        firsts: list[int],
        collected: CollectedEmbeddings,
        on_batch: Callable[[int], None] = lambda count: None,
    ) -> None:
        frames, sessions = self.metadata["segment_frames"], self._sessions
        missing = max(0, frames - columns.shape[1])
        padded = np.pad(columns, ((0, 0), (0, missing)), constant_values=self.metadata["padding_db"])
        normalised = self._normalise(padded)
        maps = sessions["modulation"].run(None, {"mel": normalised[None, None]})
        for start in range(0, len(firsts), BATCH_SIZE):
            batch = firsts[start : start + BATCH_SIZE]
            windows = cut_windows(padded, batch, frames, self.metadata["padding_db"])
            embedded = sessions["embed"].run(None, {"mel": windows})[0]
            modulation = np.stack([self._describe(normalised, maps, first, frames) for first in batch])
            vectors = np.concatenate([embedded, modulation], axis=1).astype(np.float16).astype(np.float32)
            collected.probabilities.append(softmax(self._logits("segments", {"vectors": vectors})))
            collected.statistics.add(vectors)
            collected.count += len(batch)
            on_batch(collected.count)

    def _calibrated(self, collected: CollectedEmbeddings, species: str) -> tuple[np.ndarray, np.ndarray]:
        calibrated = self.calibration.calibrate(np.concatenate(collected.probabilities), species)
        logits = self._logits("recording", {"pooled": collected.statistics.features()[None]})
        return calibrated, self.calibration.calibrate(softmax(logits), species)[0]

    def _normalise(self, mel_db: np.ndarray) -> np.ndarray:
        floor_db, ceiling_db = self.metadata["mel"]["floor_db"], self.metadata["mel"]["ceiling_db"]
        return (np.clip(mel_db, floor_db, ceiling_db) - np.float32(floor_db)) / np.float32(ceiling_db - floor_db)

    def _describe(self, mel: np.ndarray, maps: list[np.ndarray], first: int, frames: int) -> np.ndarray:
        """Describe the modulation and the levels of a window, as `embeddings.modulation.Modulation` does."""
        end, parts = first + frames, []
        for of_rate, stride in zip(maps, self.metadata["modulation"]["strides"], strict=True):
            start = min(first // stride, of_rate.shape[3] - 1)
            window = of_rate[0, :, :, start : max(start + 1, -(-end // stride))]  # [maps, groups, steps]
            loudest = window.max(axis=1)
            pair = np.stack([loudest.mean(axis=1), loudest.max(axis=1)], axis=1)
            parts.append((window.mean(axis=2), window.max(axis=2), window.std(axis=2), pair))
        order = self.metadata["modulation"]["order"]
        modulation = [np.concatenate(of_kind)[order].ravel() for of_kind in zip(*parts, strict=True)]
        window = mel[:, min(first, mel.shape[1] - 2) : end]
        levels = [window.mean(axis=1), window.std(axis=1, ddof=1), window.max(axis=1)]
        return np.concatenate([*modulation, *levels])
