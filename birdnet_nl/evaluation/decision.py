"""When to answer: below a probability chosen on validation recordings the answer is "onzeker" (uncertain)."""

import numpy as np

MIN_ANSWERED = 10  # validation recordings above a threshold; the accuracy of fewer is an anecdote
MAX_POINTS = 50  # of a coverage curve


def check_accuracy(wanted: object) -> None:
    """Raise `ValueError` for an `evaluation.wanted_accuracy` that is no share above 0."""
    if isinstance(wanted, bool) or not isinstance(wanted, int | float) or not 0 < wanted <= 1:
        raise ValueError(f"evaluation.wanted_accuracy={wanted} must be a share above 0 and at most 1, such as 0.8")


def choose_threshold(probabilities: np.ndarray, truth: np.ndarray, wanted_accuracy: float) -> float | None:
    """The smallest threshold with which those answered reach `wanted_accuracy`: [recordings, types], [recordings].

    0 when all may be answered. None when no threshold that leaves ten answers reaches it: then nothing is certain.
    """
    confidence, right, ends = _from_the_surest(probabilities, truth)
    accuracy = right.cumsum() / np.arange(1, len(right) + 1)
    good = [end for end in ends if end + 1 >= MIN_ANSWERED and accuracy[end] >= wanted_accuracy]
    if not good:
        return None
    last = good[-1]
    if last == len(right) - 1:
        return 0.0
    return float((confidence[last] + confidence[last + 1]) / 2)


def is_certain(probabilities: np.ndarray, threshold: float | None) -> np.ndarray:
    """Whether each answer stands: bool [recordings]."""
    if threshold is None:
        return np.zeros(len(probabilities), dtype=bool)
    return probabilities.max(axis=1) >= threshold


def coverage_curve(probabilities: np.ndarray, truth: np.ndarray) -> list[dict[str, float]]:
    """Accuracy when only the surest share of the recordings is answered, from all of them down to the very surest."""
    _, right, ends = _from_the_surest(probabilities, truth)
    accuracy = right.cumsum() / np.arange(1, len(right) + 1)
    chosen = ends[np.unique(np.linspace(0, len(ends) - 1, MAX_POINTS).round().astype(int))]
    return [{"coverage": float((end + 1) / len(right)), "accuracy": float(accuracy[end])} for end in reversed(chosen)]


def answered(probabilities: np.ndarray, truth: np.ndarray, threshold: float | None) -> dict[str, float | None]:
    """Share of recordings with a certain answer, and how many of these answers are right."""
    certain = is_certain(probabilities, threshold)
    right = probabilities.argmax(axis=1) == truth
    return {
        "answered": float(certain.mean()),
        "accuracy_answered": float(right[certain].mean()) if certain.any() else None,
    }


def _from_the_surest(probabilities: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Confidence and rightness of the answers, the surest first, and where ties end (a threshold cannot part them)."""
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    order = (-confidence).argsort(kind="stable")
    confidence = confidence[order]
    return confidence, right[order], np.flatnonzero(np.append(np.diff(confidence) < 0, True))
