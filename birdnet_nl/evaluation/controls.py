"""Control baselines without audio: the majority type, and a classifier on metadata alone."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score

from birdnet_nl.evaluation.metrics import score_with_intervals
from birdnet_nl.recordings.recording import Recording

HOURS_PER_BIN = 3  # a part of the day; single hours have too few recordings


def majority_control(train_types: np.ndarray, test_types: np.ndarray, types: Sequence[str]) -> dict[str, Any]:
    """Score the constant prediction of the most frequent training type; true types as indices [recordings]."""
    majority = int(np.bincount(train_types, minlength=len(types)).argmax())
    return {
        "type": types[majority],
        "balanced_accuracy": float(balanced_accuracy_score(test_types, np.full_like(test_types, majority))),
        "accuracy": float((test_types == majority).mean()),
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
    """Score a logistic regression on month, part of day, duration, quality, country and species, as far as known.

    A column that is constant in training is left out, and missing values are not imputed. `durations_s` is by recording
    id; `test_groups` are the recordists of the test recordings. Where no model can be fitted, `absent` is the reason.
    """
    if len(np.unique(train_types)) < 2:
        return {"absent": "the training recordings are of one type"}
    metadata = [_metadata_of(recording, durations_s[recording.id]) for recording in (*train, *test)]
    columns = [name for name in metadata[0] if len({values[name] for values in metadata[: len(train)]}) > 1]
    if not columns:
        return {"absent": "the metadata are the same for every training recording"}
    log_durations = np.log([durations_s[recording.id] for recording in train])
    rows = [
        {
            name: _standardise(values[name], log_durations) if name == "duration_s" else values[name]
            for name in columns
            if values[name] != ""
        }
        for values in metadata
    ]
    vectorizer = DictVectorizer(sparse=False).fit(rows[: len(train)])  # texts one-hot, numbers as they are
    model = LogisticRegression(class_weight="balanced", max_iter=1000)
    model.fit(vectorizer.transform(rows[: len(train)]), train_types)
    probabilities = np.zeros((len(test), len(types)), dtype=np.float32)
    probabilities[:, model.classes_] = model.predict_proba(vectorizer.transform(rows[len(train) :]))
    scores = score_with_intervals(torch.from_numpy(probabilities), torch.from_numpy(test_types), test_groups, types)
    metrics = ("balanced_accuracy", "auroc")
    return {
        **{name: scores[name] for name in metrics},
        "intervals": {name: scores["intervals"][name] for name in metrics if name in scores["intervals"]},
        "columns": columns,
    }


def _metadata_of(recording: Recording, duration_s: float) -> dict[str, str | float]:
    """Texts are categories, empty where unknown."""
    return {
        "month": "" if recording.month is None else str(recording.month),
        "hour": "" if recording.hour is None else str(recording.hour // HOURS_PER_BIN * HOURS_PER_BIN),
        "duration_s": duration_s,
        "quality": recording.quality,
        "country": recording.country,
        "species": recording.species,
    }


def _standardise(duration_s: float, log_durations: np.ndarray) -> float:
    return float((np.log(duration_s) - log_durations.mean()) / log_durations.std())
