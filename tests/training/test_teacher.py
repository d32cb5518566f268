"""A teacher's answers on disk and as a lesson in the student's order."""

import numpy as np
import pytest
import torch

from birdnet_nl.training.teacher import TeacherAnswers
from birdnet_nl.util.errors import RunError


@pytest.fixture
def answers() -> TeacherAnswers:
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet([1, 1, 1], 5).astype(np.float32)
    embeddings = rng.normal(3, [1, 2, 5, 0.1], (5, 4)).astype(np.float32)
    return TeacherAnswers(("a", "b", "c", "d", "e"), ("song", "call", "alarm"), probabilities, embeddings)


def test_what_is_written_is_read(answers, tmp_path):
    answers.write(tmp_path / "teacher.npz")
    read = TeacherAnswers.read(tmp_path / "teacher.npz")
    assert (read.ids, read.types) == (answers.ids, answers.types)
    np.testing.assert_array_equal(read.probabilities, answers.probabilities)
    np.testing.assert_array_equal(read.embeddings, answers.embeddings)


def test_a_lesson_follows_the_students_recordings_and_types(answers):
    lesson = answers.lesson(["d", "a"], ["call", "song", "alarm"])
    torch.testing.assert_close(lesson.probabilities, torch.from_numpy(answers.probabilities[[3, 0]][:, [1, 0, 2]]))
    two = answers.lesson(["d", "a"], ["alarm", "song"]).probabilities
    torch.testing.assert_close(two.sum(dim=1), torch.ones(2))
    torch.testing.assert_close(
        two[0, 0] / two[0, 1], torch.tensor(answers.probabilities[3, 2] / answers.probabilities[3, 0])
    )


def test_embeddings_lie_around_nothing_and_keep_their_proportions(answers):
    lesson = answers.lesson(list(answers.ids), ["song", "call", "alarm"]).embeddings
    torch.testing.assert_close(lesson.mean(dim=0), torch.zeros(4), atol=1e-5, rtol=0)
    assert float(lesson.var(dim=0, unbiased=False).mean()) == pytest.approx(1, rel=1e-4)
    ratio = lesson.std(dim=0) / torch.from_numpy(answers.embeddings).std(dim=0)
    torch.testing.assert_close(ratio, ratio[0].expand(4), rtol=1e-3, atol=1e-4)


def test_what_the_teacher_does_not_know_is_told(answers):
    with pytest.raises(RunError, match=r"^the teacher has not heard 2 recordings, such as x$"):
        answers.lesson(["a", "x", "y"], ["song", "call"])
    two = TeacherAnswers(("a",), ("song", "call"), np.array([[0.5, 0.5]]), np.zeros((1, 2)))
    with pytest.raises(RunError, match="the teacher tells song, call apart, not song, alarm"):
        two.lesson(["a"], ["song", "alarm"])


@pytest.mark.parametrize("content", [b"", b"no archive", None])
def test_a_broken_file_is_one_sentence(tmp_path, content):
    if content is None:
        np.savez(tmp_path / "teacher.npz", ids=np.array(["a"]))
    else:
        (tmp_path / "teacher.npz").write_bytes(content)
    with pytest.raises(RunError, match=r"teacher\.npz does not hold a teacher's answers"):
        TeacherAnswers.read(tmp_path / "teacher.npz")


def test_rows_must_agree():
    with pytest.raises(ValueError, match="a teacher of 2 recordings and 2 types"):
        TeacherAnswers(("a", "b"), ("song", "call"), np.zeros((2, 3)), np.zeros((2, 4)))
