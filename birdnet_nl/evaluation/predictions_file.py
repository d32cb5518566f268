"""`predictions.csv` of a run: the prediction for each test recording."""

import csv
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from birdnet_nl.recordings.recording import Recording
from birdnet_nl.util.errors import DataError, RunError
from birdnet_nl.util.files import FILE_NAMES, atomic_path
from birdnet_nl.util.run_directory import METRICS, finish_advice

RECORDING_COLUMNS = ("recording_id", "file", "species", "recordist", "true_type")


@dataclass(frozen=True)
class RecordingPrediction:
    """Row of the file: `probabilities` by type in the order of the run; not `certain` below the run's threshold."""

    recording_id: str
    file: str
    species: str
    recordist: str
    true_type: str
    probabilities: dict[str, float]
    predicted_type: str
    certain: bool
    segments: int


def recording_predictions(
    recordings: Sequence[Recording],
    probabilities: np.ndarray,
    true_types: np.ndarray,
    certain: np.ndarray,
    segments: np.ndarray,
    types: Sequence[str],
) -> list[RecordingPrediction]:
    """Build the rows from probabilities [recordings, types] and arrays [recordings]; types as indices.

    Raises `DataError` for a probability that is not a finite number.
    """
    finite = np.isfinite(probabilities).all(axis=1)
    if not finite.all():
        raise DataError(f"the prediction for {recordings[int(finite.argmin())].path} is not a finite number")
    return [
        RecordingPrediction(
            recording_id=recording.id,
            file=os.fspath(recording.path),
            species=recording.species,
            recordist=recording.recordist,
            true_type=types[true_types[index]],
            probabilities={name: float(value) for name, value in zip(types, probabilities[index], strict=True)},
            predicted_type=types[probabilities[index].argmax()],
            certain=bool(certain[index]),
            segments=int(segments[index]),
        )
        for index, recording in enumerate(recordings)
    ]


def write_predictions(path: Path, predictions: Sequence[RecordingPrediction]) -> None:
    types = list(predictions[0].probabilities)
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", errors=FILE_NAMES, newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*RECORDING_COLUMNS, *(f"p_{name}" for name in types), "predicted_type", "certain", "segments"])
        for row in predictions:
            probabilities = [f"{row.probabilities[name]:.6g}" for name in types]
            certain = "true" if row.certain else "false"
            texts = [getattr(row, name) for name in RECORDING_COLUMNS]
            writer.writerow([*texts, *probabilities, row.predicted_type, certain, row.segments])


def read_predictions(path: Path) -> list[RecordingPrediction]:
    """Read a run's `predictions.csv`; raises `RunError` when it does not exist or is incomplete."""
    try:
        with path.open(encoding="utf-8", errors=FILE_NAMES, newline="") as file:
            return [_parse_row(row) for row in csv.DictReader(file)]
    except FileNotFoundError:
        is_finished = (path.parent / METRICS).is_file()
        advice = "train again" if is_finished else finish_advice(path.parent)
        raise RunError(f"{path} does not exist; a run writes it at its end: {advice}") from None
    except OSError as error:
        raise RunError(f"{path} cannot be read ({error.strerror}); change its permissions") from None
    except (KeyError, ValueError, TypeError, csv.Error) as error:
        raise RunError(f"{path} is not the list of predictions of a run ({error}); train again") from error


def _parse_row(row: dict[str, str]) -> RecordingPrediction:
    probabilities = {name.removeprefix("p_"): float(row[name]) for name in row if name and name.startswith("p_")}
    if not all(math.isfinite(value) for value in probabilities.values()):
        raise ValueError(f"recording {row['recording_id']} has a probability that is not a finite number")
    predicted_type = row["answer"] if "answer" in row else row["predicted_type"]  # its name in version 0.1
    if row["certain"] not in ("true", "false") or predicted_type not in probabilities:
        raise ValueError(f"certain={row['certain']}, predicted_type={predicted_type}")
    return RecordingPrediction(
        **{name: row[name] for name in RECORDING_COLUMNS},
        probabilities=probabilities,
        predicted_type=predicted_type,
        certain=row["certain"] == "true",
        segments=int(row["segments"]),
    )
