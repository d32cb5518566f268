"""Interface of models that predict sound files, the same for checkpoints and for exported files."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from birdnet_nl.audio.decode import PartOfFile

OnProgress = Callable[[float], None]
"""Called with the seconds of the recording that are finished."""


@dataclass(frozen=True)
class FilePrediction:
    """Prediction for one recording.

    Attributes:
        starts_s: start of each segment, float64 [segments]; a recording shorter than a segment has one.
        probabilities: calibrated, float32 [segments, types].
        recording: calibrated and pooled over the segments, float32 [types]; at the segment hop of the training it is
            the prediction of `birdnet-nl evaluate`.
        silent: segments of digital silence, bool [segments]; the network predicts something for these too.
        duration_s: of the part that could be decoded.
        warning: empty, or what is wrong with the file in a few words, such as "breaks off after 63.2 s".
    """

    starts_s: np.ndarray
    probabilities: np.ndarray
    recording: np.ndarray
    silent: np.ndarray
    duration_s: float
    warning: str = ""


class PredictionModel(Protocol):
    """Trained model that predicts recordings.

    Attributes:
        name: for people, e.g. `koolmees 2026Q4`.
        fingerprint: differs when weights, calibration or metadata differ.
        types: in the order of the columns of probabilities.
        species: slugs that the model was trained for; several for a pool.
        segment_hop_s: distance between segments in the training.
        threshold: a prediction for a recording with a lower probability is uncertain; None where every prediction is.
        synthetic: whether the model was trained on synthetic recordings.
    """

    name: str
    fingerprint: str
    types: tuple[str, ...]
    species: tuple[str, ...]
    is_pool: bool
    sample_rate_hz: int
    segment_s: float
    segment_hop_s: float
    threshold: float | None
    synthetic: bool

    def predict_file(
        self,
        path: Path | str,
        *,
        species: str = "",
        segment_hop_s: float | None = None,
        part_s: PartOfFile | None = None,
        on_progress: OnProgress | None = None,
    ) -> FilePrediction:
        """Predict one sound file, or a part of it, in memory that does not grow with its duration.

        Args:
            part_s: start and end of the part in seconds. It is predicted as if it were the whole file: times of the
                result are counted from its start. What is outside the file is left out.
            species: slug of the species in the recording, for a pool's calibration and for BirdNET's species score.
            segment_hop_s: distance between segments; None for that of the training.

        Raises:
            DataError: if nothing of the file can be decoded; with the reason, without the file name.
        """
        ...

    def predict(self, path: Path | str, **options: Any) -> Any:
        """Predict one sound file, with the options of `predict_file`: a table with one row per segment."""
        ...
