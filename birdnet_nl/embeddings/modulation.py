"""Spectro-temporal modulation of a mel: how fast, and how closely spaced in pitch, its loudness rises and falls.

A trill changes fast at one pitch, a whistle that rises moves along a slope, a harsh alarm is broad: over species, the
vocalization types differ more in how a sound moves than in its pitch. The auditory cortex responds to such movements
(Chi, Ru and Shamma, 2005), and filters tuned to them help where recordings are few (Schädler, Meyer and Kollmeier,
2012). Nothing here is trained.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import adaptive_avg_pool2d, conv1d

from birdnet_nl.audio.mel import Normalise
from birdnet_nl.embeddings.base import MEL, EmbedMel, MelEmbeddingModel, pad_mel

RATES_HZ = (1.0, 2.0, 4.0, 8.0, 16.0, 25.0)
SCALES = (0.0, 0.03, 0.06, 0.12, 0.25)  # cycles per mel band
CYCLES_IN_TIME, CYCLES_IN_PITCH = 1.5, 1.2  # that a filter spans
MAX_FRAMES, MAX_BANDS, FLAT_BANDS = 61, 33, 9  # lengths of filters; the last for scale 0
STEPS_PER_FILTER = 6  # a filter's stride is its length divided by this
GROUPS = 6  # of neighbouring bands, over which a modulation is averaged
MAPS = 54
BLOCKS = (MAPS * GROUPS, MAPS * GROUPS, MAPS * GROUPS, MAPS * 2, MEL.n_mels, MEL.n_mels, MEL.n_mels)
"""Sizes of the parts of an embedding: see `describe_modulation`, then mean, std and maximum of each band."""


class Modulation(MelEmbeddingModel):
    """Strength of 54 modulations in six groups of bands, and the level of 96 bands, over three seconds.

    A part of other embedding models (`concatenated_with`).
    """

    name = "modulation"
    version = "1"
    dimensions = sum(BLOCKS)

    def load_for_mels(self) -> EmbedMel:
        last: list[tuple[np.ndarray, torch.Tensor, list[ModulationMap]]] = []  # of the last recording
        frames, normalise = MEL.segment_frames(self.window_s), Normalise(MEL)

        def embed(mel_db: np.ndarray, first: int) -> np.ndarray:
            if not last or last[0][0] is not mel_db:
                mel = normalise(pad_mel(mel_db, frames)[None])[0]
                last[:] = [(mel_db, mel, modulation_maps(mel, MEL.frames_per_s))]
            _, mel, maps = last[0]
            window = mel[:, min(first, mel.shape[1] - 2) : first + frames]
            levels = [window.mean(dim=1), window.std(dim=1), window.amax(dim=1)]
            modulation = describe_modulation(maps, first, first + frames)
            return np.concatenate([[0.0], *modulation, *(level.numpy() for level in levels)]).astype(np.float32)

        return embed


@dataclass(frozen=True)
class ModulationMap:
    """Strength of one modulation: float32 [groups of bands, steps], one step per `stride` frames."""

    strength: torch.Tensor
    stride: int

    def between(self, start: int, end: int) -> torch.Tensor:
        """The steps of these frames, [groups, steps]; at least one."""
        first = min(start // self.stride, self.strength.shape[1] - 1)
        return self.strength[:, first : max(first + 1, -(-end // self.stride))]


@torch.inference_mode()
def modulation_maps(mel: torch.Tensor, frames_per_s: float) -> list[ModulationMap]:
    """Compute one map per rate, scale and direction, for a mel scaled to 0…1, float32 [mels, frames].

    Rates from 1 to 25 Hz, scales from flat to four bands per cycle, downwards and upwards: 54 maps. A strength is the
    square root of a filter's magnitude, so that loud sounds do not dominate.
    """
    maps = []
    for scale in SCALES:
        band_filter, envelope = _filter(scale, CYCLES_IN_PITCH, MAX_BANDS if scale else FLAT_BANDS)
        over_bands = _convolve(mel.T + 0j, band_filter if scale else envelope + 0j, _stride(band_filter)).T
        for rate_hz in RATES_HZ:
            frame_filter, envelope = _filter(rate_hz / frames_per_s, CYCLES_IN_TIME, MAX_FRAMES)
            for directed in (frame_filter, frame_filter.conj())[: 2 if scale else 1]:
                directed = directed - envelope * (directed.sum() / envelope.sum())  # no response to constant loudness
                stride = _stride(directed)
                strength = _convolve(over_bands, directed, stride).abs().sqrt()
                grouped = adaptive_avg_pool2d(strength[None], (GROUPS, strength.shape[1]))[0]
                maps.append(ModulationMap(grouped, stride))
    return maps


def describe_modulation(maps: Sequence[ModulationMap], start: int, end: int) -> list[np.ndarray]:
    """Summarise the modulation of a window of frames.

    Of each map and group the mean, the maximum and the standard deviation over time; and of each map the mean of its
    strongest group, and its maximum.
    """
    windows = [modulation_map.between(start, end) for modulation_map in maps]
    parts = [
        [window.mean(dim=1) for window in windows],
        [window.amax(dim=1) for window in windows],
        [window.std(dim=1, correction=0) for window in windows],
        [torch.stack([window.amax(dim=0).mean(), window.max()]) for window in windows],
    ]
    return [torch.cat(part).numpy() for part in parts]


def _filter(cycles_per_step: float, cycles: float, max_length: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A complex wave under a Hann envelope, and the envelope, with an odd number of steps."""
    length = max_length if cycles_per_step == 0 else min(max_length, int(cycles / cycles_per_step) | 1)
    envelope = torch.hann_window(length + 2, periodic=False)[1:-1]
    envelope = envelope / envelope.norm()
    steps = torch.arange(length) - length // 2
    return envelope * torch.exp(2j * torch.pi * cycles_per_step * steps), envelope


def _stride(kernel: torch.Tensor) -> int:
    return max(1, len(kernel) // STEPS_PER_FILTER)


def _convolve(rows: torch.Tensor, kernel: torch.Tensor, stride: int) -> torch.Tensor:
    """Along the last dimension, complex [rows, steps] -> [rows, steps / stride]."""
    padding = len(kernel) // 2
    return conv1d(rows[:, None], kernel.flip(0)[None, None].to(rows.dtype), padding=padding, stride=stride)[:, 0]
