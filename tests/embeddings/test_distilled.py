"""Distilled embeddings: trained once on the windows of a run, kept in a checkpoint, with the licence of the teacher."""

from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch

from birdnet_nl.embeddings import synthetic
from birdnet_nl.embeddings.base import MEL, NO_SPECIES, TrainingAudio, build_embedding_model
from birdnet_nl.embeddings.birdnet import BirdNet
from birdnet_nl.embeddings.distilled import DistillationNetwork, DistillationWindows, Distilled
from birdnet_nl.embeddings.modulation import Modulation
from birdnet_nl.embeddings.synthetic import embed_synthetic
from birdnet_nl.models.pretrained import SHIPPED, read_pretrained
from birdnet_nl.recordings.recording import Recording
from birdnet_nl.util.errors import DataError, RunError

DIMENSIONS = 2  # of the teacher


@pytest.fixture
def model(loudness) -> Distilled:
    torch.manual_seed(1)
    model = Distilled(loudness())
    model.load_state(DistillationNetwork(DIMENSIONS).eval().state_dict())
    return model


@pytest.fixture
def training(tmp_path, monkeypatch) -> TrainingAudio:
    """Two recordings, of 1.2 and 2.2 s, the louder one second."""
    monkeypatch.setattr(synthetic, "RECORDINGS_PER_FILE", 2)
    recordings = []
    for number, level in enumerate((0.1, 0.2)):
        path = tmp_path / f"{number}.wav"
        samples = np.full(round((1.2 + number) * 8000), level, np.float32)
        samples[::2] *= 0.99  # a constant would count as silence
        soundfile.write(path, samples, 8000, subtype="FLOAT")
        recordings.append(Recording(f"XC{number}", path, "koolmees", "song", "song"))
    return TrainingAudio(recordings, tmp_path / "mel", tmp_path / "embeddings", 1.0, 0.5, 1, 5, synthetic=True)


class Distill:
    """Instead of the training loop: keeps its arguments and returns the network."""

    def __init__(self) -> None:
        self.calls: list[tuple] = []

    def __call__(self, network, *arguments) -> DistillationNetwork:
        self.calls.append(arguments)
        arguments[-1](0.5)  # progress
        return network


def test_a_model_is_trained_on_the_windows_of_all_recordings(training, loudness):
    distill = Distill()
    Distilled(loudness(), distill, steps=7).fit(training)
    (real, synthetic_windows, real_share, mel, steps, seed, _) = distill.calls[0]
    assert (synthetic_windows, real_share, mel, steps, seed) == (None, 0.6, MEL, 7, 5)
    assert [len(rows) for rows in real.embeddings] == [1, 3]
    np.testing.assert_allclose(np.concatenate(real.embeddings)[:, 1], [0.1, 0.2, 0.2, 0.2], atol=1e-3)  # maximum
    assert real.hop_frames == 0.5 * MEL.frames_per_s


def test_beside_real_recordings_it_starts_pretrained_and_gets_synthetic_windows(training, loudness):
    distill = Distill()
    model = Distilled(loudness(), distill, synthetic_recordings=2)
    model.fit(replace(training, synthetic=False))
    synthetic_windows = distill.calls[0][1]
    assert len(synthetic_windows.mels) == len(synthetic_windows.embeddings) == 2
    shipped = read_pretrained(SHIPPED).weights
    assert torch.equal(model.network.base.stem[0].weight, shipped["stem.0.weight"])


def test_the_trained_weights_are_cached_for_the_same_recordings_and_settings(training, loudness):
    first, second, other_seed = (Distilled(loudness(), Distill(), steps=7) for _ in range(3))
    first.fit(training)
    second.fit(training)
    other_seed.fit(replace(training, seed=6))
    assert [len(model.distill.calls) for model in (first, second, other_seed)] == [1, 0, 1]
    for name, value in first.state().items():
        assert torch.equal(second.state()[name], value)


def test_a_recording_that_cannot_be_decoded_is_named(training, loudness):
    training.recordings[1].path.write_bytes(b"no sound")
    with pytest.raises(DataError, match=r"1\.wav cannot be used for distillation: it "):
        Distilled(loudness(), Distill()).fit(training)


def test_windows_are_drawn_with_the_teachers_embeddings_and_padded_with_silence(wide_mel):
    mels = [np.full((wide_mel.n_mels, 20), level, np.float16) for level in range(5)]
    embeddings = [np.full((2, 3), level, np.float16) for level in range(5)]
    drawn, targets = DistillationWindows(mels, embeddings, 10.0, wide_mel, 0.15).draw(40, np.random.default_rng(1))
    assert drawn.shape == (40, wide_mel.n_mels, 16) and targets.shape == (40, 3)
    np.testing.assert_array_equal(drawn[:, 0, 0], targets[:, 0])
    assert {row[0, -1] == row[0, 0] for row in drawn if row[0, 0] > 0} == {True, False}
    assert ((drawn[:, :, -1] == drawn[:, :, 0]) | (drawn[:, :, -1] == wide_mel.padding_db)).all()


def test_modulation_follows_and_only_that_is_cached(model, tmp_path, monkeypatch):
    monkeypatch.setattr(synthetic, "RECORDINGS_PER_FILE", 2)
    embedded = embed_synthetic(model, 2, 1.5, tmp_path / "embeddings", 1)
    modulation = embed_synthetic(Modulation(), 2, 1.5, tmp_path / "embeddings", 1)
    assert len(model.parts) == 2 and embedded.windows.shape[1] == 1 + DIMENSIONS + Modulation.dimensions
    np.testing.assert_array_equal(embedded.windows[:, 1 + DIMENSIONS :], modulation.windows[:, 1:])
    cached = {path.parent.name.partition("-")[0] for path in (tmp_path / "embeddings").rglob("*.npz")}
    assert cached == {"modulation"}


def test_description_and_weights_of_a_checkpoint_build_the_same_model(model, noise):
    description, samples = model.describe(), noise(4)
    assert all(isinstance(value, str) for value in description.values())
    built = build_embedding_model(description, model.state())
    assert built.teacher is None and built.dimensions == model.dimensions
    again = build_embedding_model(built.describe(), built.state())
    np.testing.assert_array_equal(built.load()(samples, 0, NO_SPECIES), again.load()(samples, 0, NO_SPECIES))


def test_it_keeps_the_licence_of_its_teacher():
    model = Distilled(BirdNet())
    model.load_state(DistillationNetwork(5).state_dict())
    built = build_embedding_model(model.describe(), model.state())
    assert built.licence == "CC BY-NC-SA 4.0" and built.credit.startswith("distilled from BirdNET V2.4")
    assert Distilled(Modulation()).licence == ""


def test_before_training_it_cannot_embed(loudness):
    model = Distilled(loudness())
    assert not model.is_trained and model.dimensions == DIMENSIONS
    with pytest.raises(RunError, match="cannot embed before it is trained"):
        model.load()
    with pytest.raises(RunError, match="has no weights before it is trained"):
        model.state()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"steps": 0}, r"embeddings\.steps=0 must be an integer of at least 1"),
        ({"synthetic_recordings": 1.5}, r"embeddings\.synthetic_recordings=1\.5 must be an integer"),
        ({"real_share": 1}, r"embeddings\.real_share=1 must be between 0 and 1"),
    ],
)
def test_impossible_settings_are_refused(arguments, message, loudness):
    with pytest.raises(ValueError, match=message):
        Distilled(loudness(), **arguments)
