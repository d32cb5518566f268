"""The answers of a run on its test recordings, read back from its `predictions.csv`."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from birdnet_nl.util.errors import DataError

PREDICTIONS = "predictions.csv"


@dataclass(frozen=True)
class RunPredictions:
    """Test recordings in the order of their ids.

    Attributes:
        truth, answers: int64 [recordings], places in `types`; probabilities: float64 [recordings, types].
        ids: species and recording; recordists: empty where unknown.
    """

    types: tuple[str, ...]
    ids: tuple[str, ...]
    recordists: tuple[str, ...]
    truth: np.ndarray
    answers: np.ndarray
    probabilities: np.ndarray

    @property
    def recordings(self) -> frozenset[tuple[str, str]]:
        """Id and true type of each: what two runs must share to be compared."""
        return frozenset(zip(self.ids, (self.types[kind] for kind in self.truth), strict=True))

    @property
    def groups(self) -> tuple[str, ...]:
        """What is redrawn as a whole: the recordist, or the recording where nobody is named."""
        return tuple(
            f"by {person}" if person else f"recording {name}"
            for name, person in zip(self.ids, self.recordists, strict=True)
        )

    @property
    def right(self) -> np.ndarray:
        return self.truth == self.answers


def read_run_predictions(run_dir: Path, types: Sequence[str]) -> RunPredictions | None:
    """None when the run, being an older one, left no `predictions.csv`; raises `DataError` when it is broken."""
    path = run_dir / PREDICTIONS
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = sorted(csv.DictReader(file), key=_name)
        if not rows:
            raise ValueError("no recordings in it")
        ids = tuple(map(_name, rows))
        if len(set(ids)) < len(ids):
            raise ValueError("a recording stands in it twice")
        place = {name: index for index, name in enumerate(types)}
        return RunPredictions(
            types=tuple(types),
            ids=ids,
            recordists=tuple(row.get("recordist") or "" for row in rows),
            truth=np.array([place[row["true_type"]] for row in rows]),
            answers=np.array([place[row["answer"]] for row in rows]),
            probabilities=np.array([[float(row[f"p_{name}"]) for name in types] for row in rows]),
        )
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror})") from None
    except (KeyError, ValueError, TypeError, csv.Error) as error:
        raise DataError(f"{path} is not the table of answers that a run leaves ({error})") from None


def _name(row: dict[str, str]) -> str:
    """Demo recordings of a pool's species may share their numbers."""
    return f"{row.get('species') or ''}/{row['recording_id']}"


def join_predictions(parts: Sequence[RunPredictions]) -> RunPredictions:
    """All recordings of several folds; raises `ValueError` when one was tested in two folds."""
    ids = [name for part in parts for name in part.ids]
    if len(set(ids)) < len(ids):
        raise ValueError(f"{len(ids) - len(set(ids))} recordings were tested in more than one fold")
    recordists = [name for part in parts for name in part.recordists]
    order = np.argsort(np.array(ids), kind="stable")
    return RunPredictions(
        types=parts[0].types,
        ids=tuple(ids[index] for index in order),
        recordists=tuple(recordists[index] for index in order),
        truth=np.concatenate([part.truth for part in parts])[order],
        answers=np.concatenate([part.answers for part in parts])[order],
        probabilities=np.concatenate([part.probabilities for part in parts])[order],
    )


def between(answers: RunPredictions, one: str, other: str) -> RunPredictions | None:
    """The recordings of two types, answered by these two probabilities alone; None where one of them does not occur."""
    if not {one, other} <= set(answers.types):
        return None
    places = [answers.types.index(name) for name in (one, other)]
    chosen = np.flatnonzero(np.isin(answers.truth, places))
    truth = (answers.truth[chosen] == places[1]).astype(int)
    if len(np.unique(truth)) < 2:
        return None
    probabilities = answers.probabilities[np.ix_(chosen, places)].clip(1e-12)
    probabilities = probabilities / probabilities.sum(axis=1, keepdims=True)
    return RunPredictions(
        types=(one, other),
        ids=tuple(answers.ids[index] for index in chosen),
        recordists=tuple(answers.recordists[index] for index in chosen),
        truth=truth,
        answers=probabilities.argmax(axis=1),
        probabilities=probabilities,
    )


def confusion(answers: RunPredictions) -> np.ndarray:
    """Counts [true type, answer]."""
    n = len(answers.types)
    return np.bincount(answers.truth * n + answers.answers, minlength=n * n).reshape(n, n)


def confusion_by_group(answers: RunPredictions, groups: Sequence[int], count: int) -> np.ndarray:
    """Counts [group, true type, answer]; `groups` gives the place of each recording's group among `count`."""
    n = len(answers.types)
    counts = np.zeros((count, n, n))
    np.add.at(counts, (np.asarray(groups), answers.truth, answers.answers), 1)
    return counts


def balanced_accuracy(counts: np.ndarray) -> np.ndarray:
    """Mean recall over the types that occur, from counts [..., true type, answer]; NaN when none does."""
    total = counts.sum(axis=-1)
    right = np.diagonal(counts, axis1=-2, axis2=-1)
    return _mean_where(right / np.maximum(total, 1e-12), total > 0)


def macro_f1(counts: np.ndarray) -> np.ndarray:
    """Mean F1 over the types that occur or are answered, from counts [..., true type, answer]."""
    right = np.diagonal(counts, axis1=-2, axis2=-1)
    both = counts.sum(axis=-1) + counts.sum(axis=-2)
    return _mean_where(2 * right / np.maximum(both, 1e-12), both > 0)


def _mean_where(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    count = known.sum(axis=-1)
    return np.where(count > 0, np.where(known, values, 0).sum(axis=-1) / np.maximum(count, 1), np.nan)
