"""Modulation: filters respond to the rate, scale and direction they are tuned to; windows are described alike."""

from dataclasses import asdict

import numpy as np
import pytest
import torch

from birdnet_nl.embeddings.base import MEL, NO_SPECIES
from birdnet_nl.embeddings.modulation import (
    GROUPS,
    RATES_HZ,
    SCALES,
    Modulation,
    describe_modulation,
    modulation_maps,
)  # fmt: skip
from birdnet_nl.util.conf_values import conf_values

FRAMES_PER_S, MELS, FRAMES = 66.7, 96, 400
NAMES = [
    (scale, rate, direction)
    for scale in SCALES
    for rate in RATES_HZ
    for direction in (("",) if scale == 0 else ("down", "up"))
]


def ripple(rate_hz: float, scale: float = 0.0, upwards: bool = False) -> torch.Tensor:
    """A mel with one modulation; a cycle spans 1 / scale bands."""
    time_s, band = torch.arange(FRAMES) / FRAMES_PER_S, torch.arange(MELS)[:, None]
    phase = rate_hz * time_s + (-scale if upwards else scale) * band
    return 0.5 + 0.4 * torch.cos(2 * torch.pi * phase)


def strongest(mel: torch.Tensor) -> tuple[float, float, str]:
    means = [modulation_map.strength[:, 5:-5].mean() for modulation_map in modulation_maps(mel, FRAMES_PER_S)]
    return NAMES[int(torch.stack(means).argmax())]


@pytest.mark.parametrize("rate_hz", [2.0, 4.0, 8.0, 16.0])
def test_a_trill_at_one_pitch_responds_at_its_rate(rate_hz):
    assert strongest(ripple(rate_hz)) == (0.0, rate_hz, "")


@pytest.mark.parametrize(("upwards", "direction"), [(False, "down"), (True, "up")])
def test_a_slope_responds_in_the_filter_of_its_direction(upwards, direction):
    assert strongest(ripple(8.0, 0.12, upwards)) == (0.12, 8.0, direction)


def test_constant_loudness_gives_no_response():
    for modulation_map in modulation_maps(torch.full((MELS, FRAMES), 0.7), FRAMES_PER_S):
        margin = 1 + 61 // (2 * modulation_map.stride)  # at both ends sound starts and stops
        assert modulation_map.strength[:, margin:-margin].max() < 0.03


def test_the_response_is_in_the_bands_of_the_modulation():
    mel = torch.full((MELS, FRAMES), 0.2)
    mel[80:90] = ripple(8.0)[80:90]
    strength = modulation_maps(mel, FRAMES_PER_S)[RATES_HZ.index(8.0)].strength
    assert strength.shape[0] == GROUPS and strength[:, 20:-20].mean(dim=1).argmax() == GROUPS - 1


def test_a_window_is_described_by_its_own_frames():
    mel = torch.cat([torch.full((MELS, FRAMES), 0.2), ripple(8.0)], dim=1)
    maps = modulation_maps(mel, FRAMES_PER_S)
    constant, moving = (describe_modulation(maps, start, start + 200) for start in (50, 550))
    assert [len(part) for part in moving] == [len(maps) * GROUPS] * 3 + [len(maps) * 2]
    assert np.isfinite(np.concatenate(moving)).all()
    index = RATES_HZ.index(8.0) * GROUPS
    assert moving[0][index] > 3 * constant[0][index]


@pytest.mark.parametrize("frames", [1, 7, 201])
def test_the_shortest_mel_is_described_too(frames):
    maps = modulation_maps(torch.rand(MELS, frames), FRAMES_PER_S)
    for start in (0, 150):
        assert np.isfinite(np.concatenate(describe_modulation(maps, start, start + 201))).all()


def chirps(seconds: float) -> np.ndarray:
    """Rising notes, four per second, over a little noise."""
    rng = np.random.default_rng(1)
    time_s = np.arange(round(seconds * MEL.sample_rate_hz)) / MEL.sample_rate_hz
    within = time_s * 4 % 1
    note = np.sin(2 * np.pi * (2500 * within + 1500 * within**2) / 4) * (within < 0.5)
    return (0.2 * note + 0.001 * rng.normal(size=len(time_s))).astype(np.float32)


def embed(samples: np.ndarray) -> np.ndarray:
    return Modulation().load()(samples, 0, NO_SPECIES)


def test_the_front_end_is_that_of_the_configuration():
    values = conf_values("mel/wide.yaml") | conf_values("mel/wide_coarse.yaml")
    assert {name: values[name] for name in asdict(MEL)} == asdict(MEL)


def test_overall_loudness_does_not_matter():
    samples = chirps(5)
    np.testing.assert_allclose(embed(0.5 * samples), embed(2.0 * samples), atol=1e-2)


def test_another_recording_is_not_taken_for_the_last():
    model, first, second = Modulation().load(), chirps(5), chirps(5)[::-1].copy()
    model(first, 0, NO_SPECIES)
    np.testing.assert_array_equal(model(second, 0, NO_SPECIES), embed(second))


def test_rising_and_falling_notes_differ():
    assert np.abs(embed(chirps(5)) - embed(chirps(5)[::-1].copy())).mean() > 0.01
