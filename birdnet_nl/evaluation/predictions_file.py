"""`predictions.csv`: the answer to each test recording, for comparing runs and for looking things up."""

import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from birdnet_nl.recordings.recording import Recording
from birdnet_nl.util.errors import RunError
from birdnet_nl.util.files import atomic_path

COLUMNS = ("recording_id", "file", "species", "recordist", "true_type", "answer", "certain", "segments")


@dataclass(frozen=True)
class RecordingPrediction:
    """One row: `probabilities` by type in the order of the run, `certain` false where the answer is "onzeker"."""

    recording_id: str
    file: str
    species: str
    recordist: str
    true_type: str
    probabilities: dict[str, float]
    answer: str
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
    """Rows from what was computed: [recordings, types] and, for the rest, [recordings]; types as indices."""
    return [
        RecordingPrediction(
            recording_id=recording.id,
            file=os.fspath(recording.path),
            species=recording.species,
            recordist=recording.recordist,
            true_type=types[true_types[index]],
            probabilities={name: float(share) for name, share in zip(types, probabilities[index], strict=True)},
            answer=types[probabilities[index].argmax()],
            certain=bool(certain[index]),
            segments=int(segments[index]),
        )
        for index, recording in enumerate(recordings)
    ]


def write_predictions(path: Path, answers: Sequence[RecordingPrediction]) -> None:
    names = list(answers[0].probabilities)
    head, tail = COLUMNS[:5], COLUMNS[5:]
    with atomic_path(path) as beside, beside.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*head, *(f"p_{name}" for name in names), *tail])
        for row in answers:
            shares = [f"{row.probabilities[name]:.6g}" for name in names]
            certain = "true" if row.certain else "false"
            writer.writerow([*(getattr(row, name) for name in head), *shares, row.answer, certain, row.segments])


def read_predictions(path: Path) -> list[RecordingPrediction]:
    """The rows of a run's `predictions.csv`; raises `RunError` when it is not there or not whole."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [_row_of(row) for row in csv.DictReader(file)]
    except FileNotFoundError:
        raise RunError(f"{path} is not there; a run writes it when it is tested, so finish it with resume=") from None
    except (KeyError, ValueError, TypeError, csv.Error) as error:
        raise RunError(f"{path} is not a list of predictions of a run ({error}); train anew") from error


def _row_of(row: dict[str, str]) -> RecordingPrediction:
    probabilities = {name.removeprefix("p_"): float(row[name]) for name in row if name and name.startswith("p_")}
    if row["certain"] not in ("true", "false") or row["answer"] not in probabilities:
        raise ValueError(f"certain={row['certain']}, answer={row['answer']}")
    texts = {name: row[name] for name in COLUMNS[:5]}
    return RecordingPrediction(
        **texts,
        probabilities=probabilities,
        answer=row["answer"],
        certain=row["certain"] == "true",
        segments=int(row["segments"]),
    )
