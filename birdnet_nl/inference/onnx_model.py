"""Prediction of sound files with an exported model, without torch."""

import hashlib
from collections.abc import Callable
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from birdnet_nl.audio.decode import PartOfFile
from birdnet_nl.inference.calibrated import ExportedCalibration, softmax
from birdnet_nl.inference.exported_file import GOLDEN_TOLERANCE, MAIN, ExportedFile, check_golden, golden_input
from birdnet_nl.inference.front_end import frame_activity, mean_of_windows, numpy_front_end
from birdnet_nl.inference.prediction_model import FilePrediction, OnProgress
from birdnet_nl.inference.records import as_table
from birdnet_nl.inference.segments import Collected, Cut, cut_windows, report_progress, segments
from birdnet_nl.inference.streaming import SampleBlocks
from birdnet_nl.species.stored import stored_species
from birdnet_nl.util.errors import RunError

BATCH_SIZE = 8  # larger ones do not fit in the processor's cache


class OnnxModel:
    """An exported file as a `PredictionModel` (see there for the attributes).

    Attributes:
        metadata: values by name, as `birdnet-nl export` stored them.
    """

    def __init__(self, file: ExportedFile, threads: int = 1) -> None:
        self.file, self.threads = file, threads
        self.metadata = metadata = file.metadata
        self.types = tuple(metadata["types"])
        described, slugs = metadata["species"], [entry["slug"] for entry in metadata["species"]]
        species = stored_species({"species": described[0], "pool": slugs, "pool_species": described})
        self.species = tuple(member.slug for member in species)
        self._trained_slug = dict(zip(self.species, slugs, strict=True))
        self.is_pool, self.synthetic = metadata["is_pool"], metadata["synthetic"]
        self.name, self.threshold = metadata["name"], metadata["threshold"]
        self.sample_rate_hz = metadata["sample_rate_hz"]
        self.segment_s, self.segment_hop_s = metadata["segment_s"], metadata["segment_hop_s"]
        self.calibration = ExportedCalibration(
            metadata["temperature"], metadata["pooling"], metadata["temperatures_of_species"]
        )
        self._cut = Cut(self.segment_s, **metadata["cut"])

    @classmethod
    def load(cls, file: ExportedFile, threads: int = 1, tolerance: float = GOLDEN_TOLERANCE) -> "OnnxModel":
        """Start a model, and check its prediction for the golden input; raises `RunError` where it cannot be used."""
        model = cls(file, threads)
        model.check(tolerance)
        return model

    @cached_property
    def fingerprint(self) -> str:
        base = self._base.fingerprint if self._base else ""
        return hashlib.sha256(f"{self.file.fingerprint}{base}".encode()).hexdigest()[:16]

    @cached_property
    def _base(self) -> "OnnxModel | None":
        """The model whose features and logits a head corrects; None for a model of its own."""
        base = self.metadata.get("base")
        if base is None:
            return None
        path = self.file.path.with_name(base["file"])
        if not path.is_file():
            raise RunError(f"{self.file.path} needs {path}, which is missing; keep the files of a pack together")
        model = load_base(type(self), path, path.stat().st_mtime_ns, self.threads)
        if model.file.fingerprint != base["fingerprint"]:
            raise RunError(f"{path} is not the file that {self.file.path} was exported with; export the pack again")
        return model

    @cached_property
    def _front_end(self):
        return numpy_front_end(self.metadata["mel"], self.metadata["bands"])

    @cached_property
    def _network(self) -> onnxruntime.InferenceSession:
        return self.file.session("network", self.threads)

    def check(self, tolerance: float = GOLDEN_TOLERANCE) -> None:
        """Raise `RunError` where the file does not predict what it did when it was exported."""
        golden, samples = self.metadata["golden"], self.segment_samples
        sound = golden_input(self.sample_rate_hz, samples)
        if self._base is None:
            actual = self.file.session(MAIN, self.threads).run(["probabilities"], {"samples": sound[None]})[0]
            check_golden(self.file.path, actual, golden["probabilities"], tolerance)
        collected = self._new_collected()
        columns = self._front_end.of_recording(sound)
        self._add_segments(columns, [0], collected)
        check_golden(self.file.path, self._calibrated(collected, "")[0], golden["probabilities"], tolerance)

    @property
    def segment_samples(self) -> int:
        return round(self.segment_s * self.sample_rate_hz)

    def logits_and_features(self, mels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Compute both for windows in dB, float16 [windows, mels, frames]."""
        if self._base is None:
            return tuple(self._network.run(["logits", "features"], {"mel": mels}))
        logits, features = self._base.logits_and_features(mels)
        inputs = {"features": features, "base_logits": logits}
        return self._head.run(["logits"], inputs)[0], features

    @cached_property
    def _head(self) -> onnxruntime.InferenceSession:
        return self.file.session(MAIN, self.threads)

    def predict_file(
        self,
        path: Path | str,
        *,
        species: str = "",
        segment_hop_s: float | None = None,
        part_s: PartOfFile | None = None,
        on_progress: OnProgress | None = None,
    ) -> FilePrediction:
        """See `PredictionModel.predict_file`."""
        hop_s, collected = segment_hop_s or self.segment_hop_s, self._new_collected(species)
        blocks = SampleBlocks(Path(path), self.sample_rate_hz, part_s=part_s)

        def progress(count: int) -> None:
            report_progress(on_progress, count, hop_s)

        for stretch, firsts in segments(blocks, self._front_end, self._cut, hop_s):
            self._add_segments(stretch.columns, firsts, collected, progress)
        calibrated, recording = self._calibrated(collected, self._trained_slug.get(species, species))
        return collected.prediction(blocks, self.segment_s, hop_s, calibrated, recording)

    def predict(self, path: Path | str, **options: Any) -> Any:
        """Predict one sound file: a pandas frame with one row per segment, or a list of dicts without pandas."""
        return as_table(self, Path(path), self.predict_file(path, **options))

    def _new_collected(self, species: str = "") -> Collected:
        return Collected()

    def _add_segments(
        self,
        columns: np.ndarray,
        firsts: list[int],
        collected: Collected,
        on_batch: Callable[[int], None] = lambda count: None,
    ) -> None:
        frames, padding_db = self.metadata["segment_frames"], self.metadata["padding_db"]
        activity = None
        if self.calibration.pooling == "activity":
            bird_bands = np.array(self.metadata["activity"]["bands"], dtype=bool)
            activity = frame_activity(columns, bird_bands, self.metadata["activity"]["noise_db"])
        for start in range(0, len(firsts), BATCH_SIZE):
            batch = firsts[start : start + BATCH_SIZE]
            logits, _ = self.logits_and_features(cut_windows(columns, batch, frames, padding_db))
            collected.probabilities.append(softmax(logits))
            if activity is not None:
                collected.activity.append(mean_of_windows(activity, batch, frames))
            collected.count += len(batch)
            on_batch(collected.count)

    def _calibrated(self, collected: Collected, species: str) -> tuple[np.ndarray, np.ndarray]:
        """Calibrated probabilities of the segments, [segments, types], and of the recording, [types]."""
        calibrated = self.calibration.calibrate(np.concatenate(collected.probabilities), species)
        activity = np.concatenate(collected.activity) if collected.activity else None
        return calibrated, self.calibration.pool(calibrated, activity)


@lru_cache(maxsize=4)
def load_base(kind: type[OnnxModel], path: Path, modified_ns: int, threads: int) -> OnnxModel:
    """Load the file that the heads of a pack share, once."""
    return kind.load(ExportedFile.read(path), threads)
