"""Predictions as a table: a pandas frame where pandas is installed, else a list of dicts."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from birdnet_nl.inference.prediction_model import FilePrediction, PredictionModel


def as_table(model: PredictionModel, path: Path, prediction: FilePrediction) -> Any:
    """One row per segment: file, start and end in seconds, type with the highest probability, and all probabilities."""
    rows = []
    for start_s, probabilities, silent in zip(
        prediction.starts_s, prediction.probabilities, prediction.silent, strict=True
    ):
        best = int(probabilities.argmax())
        rows.append(
            {
                "file": str(path),
                "start_s": float(start_s),
                "end_s": float(min(start_s + model.segment_s, max(prediction.duration_s, start_s))),
                "vocalization_type": "" if silent else model.types[best],
                "type_confidence": float(probabilities[best]),
                **{f"p_{name}": float(value) for name, value in zip(model.types, probabilities, strict=True)},
                "silent": bool(silent),
            }
        )
    if find_spec("pandas") is None:
        return rows
    import pandas

    return pandas.DataFrame(rows)
