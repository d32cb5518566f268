"""What can be scored without listening: always the commonest type, and a guess from the metadata alone."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score

from birdnet_nl.evaluation.metrics import score_with_intervals
from birdnet_nl.recordings.recording import Recording

HOURS_TOGETHER = 3  # a part of the day; single hours are too few recordings each


def majority_control(train_types: np.ndarray, test_types: np.ndarray, types: Sequence[str]) -> dict[str, Any]:
    """Always answering the type with most training recordings; true types as indices [recordings]."""
    commonest = int(np.bincount(train_types, minlength=len(types)).argmax())
    return {
        "type": types[commonest],
        "balanced_accuracy": float(balanced_accuracy_score(test_types, np.full_like(test_types, commonest))),
        "accuracy": float((test_types == commonest).mean()),
    }


def metadata_control(
    train: Sequence[Recording],
    test: Sequence[Recording],
    train_types: np.ndarray,
    test_types: np.ndarray,
    test_groups: np.ndarray,
    durations_s: Mapping[str, float],
    types: Sequence[str],
) -> dict[str, Any]:
    """Figures of a logistic regression on month, part of day, length, quality, country and species, as far as known.

    A column that says the same of every training recording is left out. What is unknown stays unknown: nothing is
    filled in. `durations_s` is by recording id; `test_groups` are the recordists of the test recordings.
    """
    if len(np.unique(train_types)) < 2:
        return {"absent": "the training recordings are of one type"}
    known = [_facts(recording, durations_s[recording.id]) for recording in (*train, *test)]
    columns = [name for name in known[0] if len({facts[name] for facts in known[: len(train)]}) > 1]
    if not columns:
        return {"absent": "the metadata say the same of every training recording"}
    lengths = np.log([durations_s[recording.id] for recording in train])
    rows = [
        {
            name: _scaled(value, lengths) if name == "duration_s" else value
            for name, value in facts.items()
            if value != ""
        }
        for facts in ({name: facts[name] for name in columns} for facts in known)
    ]
    vectors = DictVectorizer(sparse=False).fit(rows[: len(train)])  # texts one-hot, numbers as they are
    model = LogisticRegression(class_weight="balanced", max_iter=1000)
    model.fit(vectors.transform(rows[: len(train)]), train_types)
    probabilities = np.zeros((len(test), len(types)), dtype=np.float32)
    probabilities[:, model.classes_] = model.predict_proba(vectors.transform(rows[len(train) :]))
    scores = score_with_intervals(torch.from_numpy(probabilities), torch.from_numpy(test_types), test_groups, types)
    figures = ("balanced_accuracy", "auroc")
    return {
        **{name: scores[name] for name in figures},
        "intervals": {name: scores["intervals"][name] for name in figures if name in scores["intervals"]},
        "columns": columns,
    }


def _facts(recording: Recording, duration_s: float) -> dict[str, str | float]:
    """Texts are categories, empty where unknown."""
    return {
        "month": "" if recording.month is None else str(recording.month),
        "hour": "" if recording.hour is None else str(recording.hour // HOURS_TOGETHER * HOURS_TOGETHER),
        "duration_s": duration_s,
        "quality": recording.quality,
        "country": recording.country,
        "species": recording.species,
    }


def _scaled(duration_s: float, log_lengths: np.ndarray) -> float:
    return float((np.log(duration_s) - log_lengths.mean()) / log_lengths.std())
