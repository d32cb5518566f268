"""A movement is heard by the filters that are tuned to it: its rate, its spacing in pitch, its direction."""

import numpy as np
import pytest
import torch

from birdnet_nl.embeddings.modulation_filters import GROUPS, RATES_HZ, SCALES, describe_modulation, modulation_maps

FRAMES_PER_S, MELS, FRAMES = 66.7, 96, 400
NAMES = [
    (scale, rate, direction)
    for scale in SCALES
    for rate in RATES_HZ
    for direction in (("",) if scale == 0 else ("down", "up"))
]


def ripple(rate_hz: float, scale: float = 0.0, upwards: bool = False) -> torch.Tensor:
    """A mel whose loudness comes and goes at one rate; a cycle spans 1 / scale bands."""
    time_s, band = torch.arange(FRAMES) / FRAMES_PER_S, torch.arange(MELS)[:, None]
    turn = rate_hz * time_s + (-scale if upwards else scale) * band
    return 0.5 + 0.4 * torch.cos(2 * torch.pi * turn)


def strongest(mel: torch.Tensor) -> tuple[float, float, str]:
    means = [one.strength[:, 5:-5].mean() for one in modulation_maps(mel, FRAMES_PER_S)]
    return NAMES[int(torch.stack(means).argmax())]


@pytest.mark.parametrize("rate_hz", [2.0, 4.0, 8.0, 16.0])
def test_a_trill_at_one_pitch_is_heard_at_its_rate(rate_hz):
    assert strongest(ripple(rate_hz)) == (0.0, rate_hz, "")


@pytest.mark.parametrize(("upwards", "direction"), [(False, "down"), (True, "up")])
def test_what_moves_along_a_slope_is_heard_by_the_filter_of_its_direction(upwards, direction):
    assert strongest(ripple(8.0, 0.12, upwards)) == (0.12, 8.0, direction)


def test_what_does_not_move_is_not_heard():
    for one in modulation_maps(torch.full((MELS, FRAMES), 0.7), FRAMES_PER_S):
        margin = 1 + 61 // (2 * one.stride)  # at the ends sound begins and stops
        assert one.strength[:, margin:-margin].max() < 0.03


def test_strength_follows_the_pitch():
    mel = torch.full((MELS, FRAMES), 0.2)
    mel[80:90] = ripple(8.0)[80:90]
    mapped = modulation_maps(mel, FRAMES_PER_S)[RATES_HZ.index(8.0)].strength
    assert mapped.shape[0] == GROUPS and mapped[:, 20:-20].mean(dim=1).argmax() == GROUPS - 1


def test_a_window_is_described_by_numbers_of_its_own_frames():
    mel = torch.cat([torch.full((MELS, FRAMES), 0.2), ripple(8.0)], dim=1)
    maps = modulation_maps(mel, FRAMES_PER_S)
    still, moving = (describe_modulation(maps, start, start + 200) for start in (50, 550))
    assert [len(part) for part in moving] == [len(maps) * GROUPS] * 3 + [len(maps) * 2]
    assert np.isfinite(np.concatenate(moving)).all()
    at = RATES_HZ.index(8.0) * GROUPS
    assert moving[0][at] > 3 * still[0][at]


@pytest.mark.parametrize("frames", [1, 7, 201])
def test_the_shortest_recording_has_numbers_too(frames):
    maps = modulation_maps(torch.rand(MELS, frames), FRAMES_PER_S)
    assert np.isfinite(np.concatenate(describe_modulation(maps, 0, 201))).all()
    assert np.isfinite(np.concatenate(describe_modulation(maps, 150, 351))).all()
