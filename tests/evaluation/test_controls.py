"""Controls without audio, on recordings whose metadata predict the type well, poorly or not at all."""

from pathlib import Path

import numpy as np
import pytest

from birdnet_nl.evaluation.controls import majority_control, metadata_control
from birdnet_nl.recordings.recording import Recording

TYPES = ["song", "call", "alarm"]


def recordings(count: int, first: int = 0, **known) -> list[Recording]:
    """Make recordings of alternating types, with metadata as functions of type and number."""
    return [
        Recording(f"XC{first + n}", Path(f"XC{first + n}.mp3"), "merel", TYPES[n % 3], TYPES[n % 3],
                  **{name: text(n % 3, n) for name, text in known.items()})
        for n in range(count)
    ]  # fmt: skip


def control(train: list[Recording], test: list[Recording], duration_s=lambda recording: 10.0) -> dict:
    def types_of(recordings: list[Recording]) -> np.ndarray:
        return np.array([TYPES.index(recording.vocalization_type) for recording in recordings])

    durations = {recording.id: duration_s(recording) for recording in (*train, *test)}
    return metadata_control(train, test, types_of(train), types_of(test), np.arange(len(test)), durations, TYPES)


def test_the_majority_has_chance_balanced_accuracy():
    scores = majority_control(np.array([0, 1, 1, 2]), np.array([0, 0, 0, 1, 2, 2]), TYPES)
    assert scores == {"type": "call", "balanced_accuracy": pytest.approx(1 / 3), "accuracy": pytest.approx(1 / 6)}


def test_metadata_that_determine_the_type_score_perfectly():
    def made(count: int, first: int) -> list[Recording]:
        return recordings(count, first, date=lambda kind, n: f"2020-{4 + kind:02d}-11")

    scores = control(made(60, 0), made(30, 100))
    assert scores["balanced_accuracy"] == 1.0 and scores["auroc"] == pytest.approx(1.0)
    assert scores["columns"] == ["month"]
    assert scores["intervals"]["balanced_accuracy"][0] < 1.0


def test_uninformative_metadata_score_about_chance():
    rng = np.random.default_rng(1)

    def made(count: int, first: int) -> list[Recording]:
        return recordings(count, first, quality=lambda kind, n: "ABC"[rng.integers(3)],
                          country=lambda kind, n: ["Spain", "Sweden"][rng.integers(2)])  # fmt: skip

    scores = control(made(300, 0), made(150, 1000))
    assert scores["columns"] == ["quality", "country"]
    assert 0.2 < scores["balanced_accuracy"] < 0.47
    low, high = scores["intervals"]["balanced_accuracy"]
    assert low < 1 / 3 < high


def test_duration_alone_can_determine_the_type():
    def duration_s(recording: Recording) -> float:
        return {"song": 60.0, "call": 5.0, "alarm": 20.0}[recording.vocalization_type]

    scores = control(recordings(60), recordings(30, 100), duration_s)
    assert (scores["columns"], scores["balanced_accuracy"]) == (["duration_s"], 1.0)


def test_unseen_and_unknown_metadata_are_accepted():
    train = recordings(60, country=lambda kind, n: ["Spain", "Sweden", "Italy"][kind], time=lambda kind, n: "06:30")
    test = recordings(30, 100, country=lambda kind, n: ["Spain", "Peru", ""][kind])
    scores = control(train, test)
    assert scores["columns"] == ["country"]  # all of training was recorded at the same hour
    assert scores["balanced_accuracy"] >= 1 / 3


def test_constant_metadata_have_no_score_and_a_reason():
    scores = control(recordings(12), recordings(6, 100))
    assert scores == {"absent": "the metadata are the same for every training recording"}
