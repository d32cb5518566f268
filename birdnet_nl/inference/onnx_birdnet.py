"""Prediction with an exported classifier of BirdNET's embeddings; BirdNET runs under LiteRT, without torch."""

import base64
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import onnxruntime

from birdnet_nl.audio.resample_stream import resample_stream
from birdnet_nl.embeddings.birdnet import BirdNet
from birdnet_nl.embeddings.interface import NO_SPECIES, Embed
from birdnet_nl.inference.calibrated import softmax
from birdnet_nl.inference.exported_file import GOLDEN_TOLERANCE, MAIN, check_golden
from birdnet_nl.inference.front_end import sample_front_end
from birdnet_nl.inference.onnx_embeddings import CollectedEmbeddings, OnnxEmbeddingModel
from birdnet_nl.inference.onnx_model import BATCH_SIZE
from birdnet_nl.inference.streaming import FrontEnd
from birdnet_nl.species.table import Species, find_species
from birdnet_nl.util.errors import RunError

GOLDEN_INPUT = "`embeddings`: float16, little endian, base64"


@dataclass
class CollectedBirdNet(CollectedEmbeddings):
    """As `CollectedEmbeddings`, with the species whose score is a part of the embeddings."""

    species: Species = NO_SPECIES


class OnnxBirdNetModel(OnnxEmbeddingModel):
    """An exported file of the kind `birdnet`: a classifier of recordings, without its embedding network."""

    def check_installed(self) -> None:
        """Raise `SetupError` without the extra [birdnet], and `RunError` for embeddings that are not computed here."""
        trained_with = self.metadata["embeddings"]["version"]
        if trained_with != BirdNet.version:
            raise RunError(
                f"{self.file.path} was trained on embeddings of birdnet {trained_with}, which this version of "
                f"birdnet_nl does not compute (it computes {BirdNet.version}); train and export again"
            )
        BirdNet().check_installed()

    @cached_property
    def _front_end(self) -> FrontEnd:
        return sample_front_end(self.sample_rate_hz)

    @cached_property
    def _sessions(self) -> dict[str, onnxruntime.InferenceSession]:
        if self._base is not None:
            return self._base._sessions
        return {name: self.file.session(name, self.threads) for name in ("segments", "recording")}

    def check(self, tolerance: float = GOLDEN_TOLERANCE) -> None:
        """Raise `RunError` where the file does not predict what it did when it was exported; BirdNET does not run."""
        golden = self.metadata["golden"]
        content = np.frombuffer(base64.b64decode(golden["embeddings"]), dtype="<f2")
        embeddings = content.reshape(golden["shape"]).astype(np.float32)
        expected = np.concatenate([golden["probabilities"], golden["recording"]])
        if self._base is None:
            session = self.file.session(MAIN, self.threads)
            actual = session.run(["probabilities", "recording"], {"embeddings": embeddings})
            check_golden(self.file.path, np.concatenate(actual), expected, tolerance)
        collected = self._new_collected()
        self._add_embeddings(embeddings, collected)
        calibrated, recording = self._calibrated(collected, "")
        check_golden(self.file.path, np.concatenate([calibrated, recording[None]]), expected, tolerance)

    def _new_collected(self, species: str = "") -> CollectedBirdNet:
        collected = CollectedBirdNet(statistics=super()._new_collected().statistics)
        species = species or (self.species[0] if len(self.species) == 1 else "")
        collected.species = find_species(species) or NO_SPECIES
        return collected

    def _add_segments(
        self,
        columns: np.ndarray,
        firsts: list[int],
        collected: CollectedBirdNet,
        on_batch: Callable[[int], None] = lambda count: None,
    ) -> None:
        embed, samples = _embed_in_thread(threading.get_ident()), columns[0]
        for start in range(0, len(firsts), BATCH_SIZE):
            batch = firsts[start : start + BATCH_SIZE]
            self._add_embeddings(np.stack([embed(samples, first, collected.species) for first in batch]), collected)
            collected.count += len(batch)
            on_batch(collected.count)

    def _add_embeddings(self, embeddings: np.ndarray, collected: CollectedBirdNet) -> None:
        """Add windows, float32 [windows, 1 + dimensions], rounded as cached embeddings are."""
        vectors = embeddings[:, 0 if self.metadata["species_score"] else 1 :].astype(np.float16).astype(np.float32)
        collected.probabilities.append(softmax(self._logits("segments", {"vectors": vectors})))
        collected.statistics.add(vectors)


@lru_cache(maxsize=2)
def _embed_in_thread(thread: int) -> Embed:
    """Load BirdNET once for all models that a thread predicts with."""
    return BirdNet().load(_resample)


def _resample(samples: np.ndarray, rate_in_hz: int, rate_out_hz: int) -> np.ndarray:
    """Resample as `audio.resample.resample` does, without torch."""
    return resample_stream(rate_in_hz, rate_out_hz).push(samples, last=True)
