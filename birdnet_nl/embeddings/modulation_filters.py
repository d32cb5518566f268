"""Spectro-temporal modulation of a mel: how fast, and how closely spaced in pitch, its loudness comes and goes.

A trill comes and goes fast at one pitch, a whistle that rises moves along a slope, a harsh alarm is broad: what tells
song, call and alarm apart over species is more how a sound moves than where it lies. The auditory cortex answers to
such movements (Chi, Ru and Shamma, 2005), and filters tuned to them serve where recordings are few (Schädler, Meyer and
Kollmeier, 2012). Nothing here is learned.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import adaptive_avg_pool2d, conv1d

RATES_HZ = (1.0, 2.0, 4.0, 8.0, 16.0, 25.0)
SCALES = (0.0, 0.03, 0.06, 0.12, 0.25)  # cycles a mel band
CYCLES_IN_TIME, CYCLES_IN_PITCH = 1.5, 1.2  # that a filter spans
LONGEST_FRAMES, MAX_BANDS, FLAT_BANDS = 61, 33, 9  # of a filter; the last of the one of scale 0
STEPS_A_FILTER = 6  # how often it is moved on, within its own length
GROUPS = 6  # of neighbouring bands, over which a movement is averaged


@dataclass(frozen=True)
class ModulationMap:
    """How strong one movement is: float32 [groups of bands, steps], a step each `stride` frames."""

    strength: torch.Tensor
    stride: int

    def between(self, start: int, end: int) -> torch.Tensor:
        """Of these frames, [groups, steps]; at least one step."""
        first = min(start // self.stride, self.strength.shape[1] - 1)
        return self.strength[:, first : max(first + 1, -(-end // self.stride))]


@torch.inference_mode()
def modulation_maps(mel: torch.Tensor, frames_per_s: float) -> list[ModulationMap]:
    """One map for each rate, scale and direction, for a mel scaled to 0…1, float32 [mels, frames].

    Rates from 1 to 25 Hz, scales from flat to four bands a cycle, downwards and upwards: 54 maps. A strength is the
    square root of a filter's magnitude, so that loud sounds do not say all.
    """
    maps = []
    for scale in SCALES:
        filter_bands, envelope = _filter(scale, CYCLES_IN_PITCH, MAX_BANDS if scale else FLAT_BANDS)
        over_bands = _convolve(mel.T + 0j, filter_bands if scale else envelope + 0j, _stride(filter_bands)).T
        for rate_hz in RATES_HZ:
            filter_frames, envelope = _filter(rate_hz / frames_per_s, CYCLES_IN_TIME, LONGEST_FRAMES)
            for moving in (filter_frames, filter_frames.conj())[: 2 if scale else 1]:
                moving = moving - envelope * (moving.sum() / envelope.sum())  # says nothing of what does not move
                stride = _stride(moving)
                strength = _convolve(over_bands, moving, stride).abs().sqrt()
                grouped = adaptive_avg_pool2d(strength[None], (GROUPS, strength.shape[1]))[0]
                maps.append(ModulationMap(grouped, stride))
    return maps


def describe_modulation(maps: Sequence[ModulationMap], start: int, end: int) -> list[np.ndarray]:
    """What a window of frames sounds like.

    Of each map and group the mean, the maximum and the deviation over time; and of each map the mean of its strongest
    group, and its maximum.
    """
    windows = [one.between(start, end) for one in maps]
    parts = [
        [window.mean(dim=1) for window in windows],
        [window.amax(dim=1) for window in windows],
        [window.std(dim=1, correction=0) for window in windows],
        [torch.stack([window.amax(dim=0).mean(), window.max()]) for window in windows],
    ]
    return [torch.cat(part).numpy() for part in parts]


def _filter(cycles_a_step: float, cycles: float, longest: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A complex wave under a Hann envelope, and the envelope, of an odd number of steps."""
    length = longest if cycles_a_step == 0 else min(longest, int(cycles / cycles_a_step) | 1)
    envelope = torch.hann_window(length + 2, periodic=False)[1:-1]
    envelope = envelope / envelope.norm()
    steps = torch.arange(length) - length // 2
    return envelope * torch.exp(2j * torch.pi * cycles_a_step * steps), envelope


def _stride(moving: torch.Tensor) -> int:
    return max(1, len(moving) // STEPS_A_FILTER)


def _convolve(rows: torch.Tensor, moving: torch.Tensor, stride: int) -> torch.Tensor:
    """Along the last dimension, complex [rows, steps] -> [rows, steps / stride]."""
    padding = len(moving) // 2
    return conv1d(rows[:, None], moving.flip(0)[None, None].to(rows.dtype), padding=padding, stride=stride)[:, 0]
