"""A window sounds the same wherever it stands, and however loud its recording is."""

from dataclasses import asdict

import numpy as np
import pytest
from hydra.utils import instantiate

from birdnet_nl.embeddings.base import NOBODY
from birdnet_nl.embeddings.mel_embedding import MEL
from birdnet_nl.embeddings.modulation import BLOCKS, Modulation


def chirps(seconds: float) -> np.ndarray:
    """Notes that rise, four a second, over a little noise."""
    rng = np.random.default_rng(1)
    time_s = np.arange(round(seconds * MEL.sample_rate_hz)) / MEL.sample_rate_hz
    within = time_s * 4 % 1
    note = np.sin(2 * np.pi * (2500 * within + 1500 * within**2) / 4) * (within < 0.5)
    return (0.2 * note + 0.001 * rng.normal(size=len(time_s))).astype(np.float32)


def test_the_front_end_is_that_of_the_configuration(compose_config):
    assert asdict(instantiate(compose_config("species=koolmees", "mel=wide_coarse").mel)) == asdict(MEL)


def test_the_blocks_are_those_of_the_configuration(compose_config):
    model = compose_config("species=koolmees", "model=modulation").model
    assert tuple(model.dimensions) == BLOCKS and sum(BLOCKS) == Modulation.dimensions


@pytest.mark.parametrize("seconds", [0.1, 1.0, 3.0, 7.0])
def test_every_recording_has_finite_features_of_one_size(seconds):
    features = Modulation().open()(chirps(seconds), 0, NOBODY)
    assert features.shape == (1 + Modulation.dimensions,) and np.isfinite(features).all() and features[0] == 0


def test_silence_is_finite_and_beyond_the_end_there_is_silence():
    extract, samples = Modulation().open(), np.zeros(5 * MEL.sample_rate_hz, np.float32)
    assert np.isfinite(extract(samples, 4 * MEL.sample_rate_hz, NOBODY)).all()


def test_loudness_as_a_whole_does_not_matter():
    samples = chirps(5)
    quiet, loud = (Modulation().open()(factor * samples, 0, NOBODY) for factor in (0.5, 2.0))
    np.testing.assert_allclose(quiet, loud, atol=1e-2)


def test_another_recording_is_not_taken_for_the_last():
    extract, first, second = Modulation().open(), chirps(5), chirps(5)[::-1].copy()
    extract(first, 0, NOBODY)
    np.testing.assert_array_equal(extract(second, 0, NOBODY), Modulation().open()(second, 0, NOBODY))


def test_notes_that_rise_differ_from_notes_that_fall():
    rising, falling = (Modulation().open()(samples, 0, NOBODY) for samples in (chirps(5), chirps(5)[::-1].copy()))
    assert np.abs(rising - falling).mean() > 0.01
