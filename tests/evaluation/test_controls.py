"""What can be scored without listening, on recordings whose metadata tell much, little or nothing."""

from pathlib import Path

import numpy as np
import pytest

from birdnet_nl.evaluation.controls import majority_control, metadata_control
from birdnet_nl.recordings.recording import Recording

TYPES = ["song", "call", "alarm"]


def recordings(count: int, first: int = 0, **known) -> list[Recording]:
    """Recordings whose texts are given as functions of their type, dealt out in turns."""
    return [
        Recording(f"XC{first + n}", Path(f"XC{first + n}.mp3"), "merel", TYPES[n % 3], TYPES[n % 3],
                  **{name: text(n % 3, n) for name, text in known.items()})
        for n in range(count)
    ]  # fmt: skip


def control(train: list[Recording], test: list[Recording], duration_s=lambda recording: 10.0) -> dict:
    def kinds(found: list[Recording]) -> np.ndarray:
        return np.array([TYPES.index(recording.vocalization_type) for recording in found])

    durations = {recording.id: duration_s(recording) for recording in (*train, *test)}
    return metadata_control(train, test, kinds(train), kinds(test), np.arange(len(test)), durations, TYPES)


def test_the_majority_scores_chance_in_balanced_accuracy():
    found = majority_control(np.array([0, 1, 1, 2]), np.array([0, 0, 0, 1, 2, 2]), TYPES)
    assert found == {"type": "call", "balanced_accuracy": pytest.approx(1 / 3), "accuracy": pytest.approx(1 / 6)}


def test_metadata_that_give_the_type_away_are_found_out():
    def made(count: int, first: int) -> list[Recording]:
        return recordings(count, first, date=lambda kind, n: f"2020-{4 + kind:02d}-11")

    found = control(made(60, 0), made(30, 100))
    assert found["balanced_accuracy"] == 1.0 and found["auroc"] == pytest.approx(1.0)
    assert found["columns"] == ["month"]
    assert found["intervals"]["balanced_accuracy"][0] < 1.0


def test_metadata_without_a_hint_score_about_chance():
    rng = np.random.default_rng(1)

    def made(count: int, first: int) -> list[Recording]:
        return recordings(count, first, quality=lambda kind, n: "ABC"[rng.integers(3)],
                          country=lambda kind, n: ["Spain", "Sweden"][rng.integers(2)])  # fmt: skip

    found = control(made(300, 0), made(150, 1000))
    assert found["columns"] == ["quality", "country"]
    assert 0.2 < found["balanced_accuracy"] < 0.47
    low, high = found["intervals"]["balanced_accuracy"]
    assert low < 1 / 3 < high


def test_length_alone_can_be_the_hint():
    def length(recording: Recording) -> float:
        return {"song": 60.0, "call": 5.0, "alarm": 20.0}[recording.vocalization_type]

    found = control(recordings(60), recordings(30, 100), length)
    assert (found["columns"], found["balanced_accuracy"]) == (["duration_s"], 1.0)


def test_what_training_never_saw_and_what_is_unknown_are_taken_as_they_come():
    train = recordings(60, country=lambda kind, n: ["Spain", "Sweden", "Italy"][kind], time=lambda kind, n: "06:30")
    test = recordings(30, 100, country=lambda kind, n: ["Spain", "Peru", ""][kind])
    found = control(train, test)
    assert found["columns"] == ["country"]  # all of training was recorded at the same hour
    assert found["balanced_accuracy"] >= 1 / 3


def test_metadata_that_are_the_same_everywhere_are_told():
    found = control(recordings(12), recordings(6, 100))
    assert found == {"absent": "the metadata say the same of every training recording"}
