"""A run in bags as the student of another, in folds: whole, and refused where the teacher knows the test."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from birdnet_nl.training.checkpoint import read_checkpoint
from birdnet_nl.training.teacher import TeacherAnswers
from birdnet_nl.util.errors import RunError

pytestmark = pytest.mark.slow

BAGS = [
    "species=koolmees",
    "data.crops.bag=4",
    "data.crops.several_share=0.2",
    "data.folds=3",
]


@pytest.fixture(scope="module")
def teacher(train_turbo_in_process, tmp_path_factory) -> Path:
    return train_turbo_in_process(tmp_path_factory.mktemp("teacher") / "fold-1", *BAGS, "data.fold=1")


def test_a_student_of_the_same_fold_is_trained_tested_and_stands_alone(train_turbo_in_process, teacher, tmp_path):
    student = train_turbo_in_process(tmp_path / "student", *BAGS, "data.fold=1", f"teacher={teacher.parent}")
    report = json.loads((student / "metrics.json").read_text())
    assert report["results"]["recording"]["balanced_accuracy"] is not None
    card = read_checkpoint(student / "checkpoints/best.ckpt")["birdnet_nl"]
    assert card["teacher"] == str(teacher.resolve()) and card["teacher_features"] is None
    answers = TeacherAnswers.read(student / "teacher.npz")
    splits = dict(line.split(",")[:2] for line in (student / "splits.csv").read_text().splitlines()[1:])
    heard = {splits.get(id, "several types") for id in answers.ids}
    assert "train" in heard and heard <= {"train", "several types"}  # nothing of what its student is judged on
    np.testing.assert_allclose(answers.probabilities.sum(axis=1), 1, rtol=1e-5)
    plain = json.loads((teacher / "metrics.json").read_text())
    assert report["test_fingerprint"] == plain["test_fingerprint"] and report["weights"] == plain["weights"]
    weights = read_checkpoint(student / "checkpoints/best.ckpt")["state_dict"]
    assert not any("teacher" in name for name in weights)  # as large as one that had none
    assert not torch.equal(
        weights["network.head.weight"],
        read_checkpoint(teacher / "checkpoints/best.ckpt")["state_dict"]["network.head.weight"],
    )


def test_a_teacher_of_another_fold_knows_the_test_and_is_refused(train_turbo_in_process, teacher, tmp_path):
    with pytest.raises(RunError, match=r"learned from \d+ of the \d+ test recordings"):
        train_turbo_in_process(tmp_path / "refused", *BAGS, "data.fold=0", f"teacher={teacher}")
    allowed = train_turbo_in_process(
        tmp_path / "allowed", *BAGS, "data.fold=0", f"teacher={teacher}", "teacher_knows_test=true"
    )
    assert (allowed / "metrics.json").is_file()
