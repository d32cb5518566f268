"""A student hears without its teacher, keeps what it has learned in a checkpoint, and owes its teacher's licence."""

import numpy as np
import pytest
import torch

from birdnet_nl.embeddings.bands import Bands
from birdnet_nl.embeddings.base import NOBODY, build_embedding_model
from birdnet_nl.embeddings.birdnet import BirdNet
from birdnet_nl.embeddings.distilled import DistilledCnn
from birdnet_nl.embeddings.modulation import Modulation
from birdnet_nl.embeddings.synthetic import embed_synthetic
from birdnet_nl.models.distilled_cnn import DistillationNetwork
from birdnet_nl.util.errors import RunError


@pytest.fixture
def student() -> DistilledCnn:
    torch.manual_seed(1)
    made = DistilledCnn(Bands())
    made.give(DistillationNetwork(Bands.dimensions).eval().state_dict())
    return made


def noise(seconds: float) -> np.ndarray:
    samples = np.random.default_rng(2).normal(0, 0.05, round(seconds * DistilledCnn.sample_rate_hz))
    return samples.astype(np.float32)


def test_what_it_guesses_stands_before_how_sounds_move(student, tmp_path):
    heard = embed_synthetic(student, 3, 1.5, tmp_path / "features", 1)
    moving = embed_synthetic(Modulation(), 3, 1.5, tmp_path / "features", 1)
    assert student.passes == 2 and heard.windows.shape[1] == 1 + Bands.dimensions + Modulation.dimensions
    np.testing.assert_array_equal(heard.windows[:, 1 + Bands.dimensions :], moving.windows[:, 1:])
    kept = {path.parent.name.partition("-")[0] for path in (tmp_path / "features").rglob("*.npz")}
    assert kept == {"modulation"}  # what each run makes anew is not kept


@pytest.mark.parametrize("seconds", [0.2, 3.0])
def test_short_recordings_and_windows_beyond_the_end_are_finite(student, seconds):
    extract, samples = student.open(), noise(seconds)
    assert np.isfinite(extract(samples, 0, NOBODY)).all()
    assert np.isfinite(extract(samples, round(2.5 * DistilledCnn.sample_rate_hz), NOBODY)).all()


def test_a_checkpoints_description_and_weights_build_the_same(student):
    described, samples = student.describe(), noise(4)
    assert all(isinstance(value, str) for value in described.values())
    built = build_embedding_model(described, student.weights())
    assert built.teacher is None and built.dimensions == student.dimensions
    again = build_embedding_model(built.describe(), built.weights())
    np.testing.assert_array_equal(built.open()(samples, 0, NOBODY), again.open()(samples, 0, NOBODY))


def test_it_has_the_licence_of_its_teacher_and_keeps_it():
    student = DistilledCnn(BirdNet())
    student.give(DistillationNetwork(5).state_dict())
    built = build_embedding_model(student.describe(), student.weights())
    assert built.licence == "CC BY-NC-SA 4.0" and built.credit.startswith("a student of BirdNET V2.4")
    assert DistilledCnn(Bands()).licence == ""


def test_the_blocks_of_the_configuration_are_all_it_says(compose_config):
    model = compose_config("species=koolmees", "model=student").model
    assert sum(model.dimensions) == BirdNet.dimensions + Modulation.dimensions  # the latter stands beside


def test_before_it_has_learned_it_hears_nothing():
    student = DistilledCnn(Bands())
    assert not student.has_learned and student.dimensions == Bands.dimensions
    with pytest.raises(RunError, match="a student hears nothing before it has learned"):
        student.open()
    with pytest.raises(RunError, match="has no weights"):
        student.weights()


def test_weights_for_one_that_learns_nothing_are_refused(student):
    with pytest.raises(RunError, match="bands has no weights of its own"):
        build_embedding_model(Bands().describe(), student.weights())


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"steps": 0}, r"data\.features\.steps=0 must be a whole number, at least 1"),
        ({"invented": 1.5}, r"data\.features\.invented=1\.5 must be a whole number"),
        ({"real_share": 1}, r"data\.features\.real_share=1 must lie between 0 and 1"),
    ],
)
def test_nonsense_is_refused(wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        DistilledCnn(Bands(), **wrong)
