"""Predictions of a run on its test recordings, read from `predictions.csv`, and metrics of their confusion counts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from birdnet_nl.evaluation.intervals import class_metrics
from birdnet_nl.evaluation.predictions_file import RecordingPrediction, read_predictions
from birdnet_nl.util.errors import DataError, RunError
from birdnet_nl.util.run_directory import PREDICTIONS
from birdnet_nl.util.words import counted


@dataclass(frozen=True)
class RunPredictions:
    """Predictions for test recordings, in the order of their ids.

    Attributes:
        truth, predicted: int64 [recordings], indices in `types`; probabilities: float64 [recordings, types].
        ids: species and recording; recordists: empty where unknown.
    """

    types: tuple[str, ...]
    ids: tuple[str, ...]
    recordists: tuple[str, ...]
    truth: np.ndarray
    predicted: np.ndarray
    probabilities: np.ndarray

    @property
    def recordings(self) -> frozenset[tuple[str, str]]:
        """Id and true type of each recording, which must be equal in two runs that are compared."""
        return frozenset(zip(self.ids, (self.types[index] for index in self.truth), strict=True))

    @property
    def groups(self) -> tuple[str, ...]:
        """Resampling unit of each recording: its recordist, or itself where the recordist is unknown."""
        return tuple(
            f"by {recordist}" if recordist else f"recording {name}"
            for name, recordist in zip(self.ids, self.recordists, strict=True)
        )

    @property
    def correct(self) -> np.ndarray:
        return self.truth == self.predicted


def read_run_predictions(run_dir: Path, types: Sequence[str]) -> RunPredictions | None:
    """Read a run's predictions; None for an older run without the file. Raises `DataError` when it is broken."""
    path = run_dir / PREDICTIONS
    if not path.is_file():
        return None
    try:
        rows = sorted(read_predictions(path), key=_full_id)
        if not rows:
            raise ValueError("it has no recordings")
        ids = tuple(map(_full_id, rows))
        if len(set(ids)) < len(ids):
            raise ValueError("a recording occurs twice")
        index_of = {name: index for index, name in enumerate(types)}
        return RunPredictions(
            types=tuple(types),
            ids=ids,
            recordists=tuple(row.recordist for row in rows),
            truth=np.array([index_of[row.true_type] for row in rows]),
            predicted=np.array([index_of[row.predicted_type] for row in rows]),
            probabilities=np.array([[row.probabilities[name] for name in types] for row in rows]),
        )
    except RunError as error:
        raise DataError(str(error)) from None
    except (KeyError, ValueError) as error:
        raise DataError(f"{path} is not the list of predictions of this run ({error}); train again") from None


def _full_id(row: RecordingPrediction) -> str:
    """Return species and recording, because demo recordings of a pool's species may share their numbers."""
    return f"{row.species}/{row.recording_id}"


def join_predictions(parts: Sequence[RunPredictions]) -> RunPredictions:
    """Join the recordings of all folds; raises `ValueError` when one was tested in two folds."""
    ids = [name for part in parts for name in part.ids]
    if len(set(ids)) < len(ids):
        repeated = counted(len(ids) - len(set(ids)), "recording was", "recordings were")
        raise ValueError(f"{repeated} tested in more than one fold")
    recordists = [name for part in parts for name in part.recordists]
    order = np.argsort(np.array(ids), kind="stable")
    return RunPredictions(
        types=parts[0].types,
        ids=tuple(ids[index] for index in order),
        recordists=tuple(recordists[index] for index in order),
        truth=np.concatenate([part.truth for part in parts])[order],
        predicted=np.concatenate([part.predicted for part in parts])[order],
        probabilities=np.concatenate([part.probabilities for part in parts])[order],
    )


def between(predictions: RunPredictions, first: str, second: str) -> RunPredictions | None:
    """Restrict to recordings and probabilities of two types; None where one of the types does not occur."""
    if not {first, second} <= set(predictions.types):
        return None
    columns = [predictions.types.index(name) for name in (first, second)]
    chosen = np.flatnonzero(np.isin(predictions.truth, columns))
    truth = (predictions.truth[chosen] == columns[1]).astype(int)
    if len(np.unique(truth)) < 2:
        return None
    probabilities = predictions.probabilities[np.ix_(chosen, columns)].clip(1e-12)
    probabilities = probabilities / probabilities.sum(axis=1, keepdims=True)
    return RunPredictions(
        types=(first, second),
        ids=tuple(predictions.ids[index] for index in chosen),
        recordists=tuple(predictions.recordists[index] for index in chosen),
        truth=truth,
        predicted=probabilities.argmax(axis=1),
        probabilities=probabilities,
    )


def confusion(predictions: RunPredictions) -> np.ndarray:
    """Count [true type, predicted type]."""
    n = len(predictions.types)
    return np.bincount(predictions.truth * n + predictions.predicted, minlength=n * n).reshape(n, n)


def balanced_accuracy(counts: np.ndarray) -> np.ndarray:
    """Average recall over the types that occur, from counts [..., true type, predicted type]; NaN when none does."""
    return _mean_of_defined(class_metrics(counts)[0])


def macro_f1(counts: np.ndarray) -> np.ndarray:
    """Average F1 over the types that occur or are predicted, from counts [..., true type, predicted type]."""
    return _mean_of_defined(class_metrics(counts)[2])


def _mean_of_defined(values: np.ndarray) -> np.ndarray:
    defined = ~np.isnan(values)
    count = defined.sum(axis=-1)
    return np.where(count > 0, np.where(defined, values, 0).sum(axis=-1) / np.maximum(count, 1), np.nan)
