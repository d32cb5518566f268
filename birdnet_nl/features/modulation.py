"""Modulation as an extractor: how sounds move in time and pitch, and how loud which bands are. Nothing is learned."""

from functools import cache

import numpy as np
import torch

from birdnet_nl.audio.mel import MelParams, Normalise, log_mel
from birdnet_nl.audio.modulation import GROUPS, ModulationMap, describe_modulation, modulation_maps
from birdnet_nl.features.extractor import Extract, FeatureExtractor
from birdnet_nl.species.table import Species

MEL = MelParams(  # as in conf/mel/wide_coarse.yaml, which a test compares
    sample_rate_hz=32_000,
    n_fft=1024,
    hop_samples=480,
    n_mels=96,
    f_min_hz=100.0,
    f_max_hz=15_000.0,
    normalisation="band_median",
    floor_db=-10.0,
    ceiling_db=50.0,
)
SILENCE = (MEL.padding_db - MEL.floor_db) / (MEL.ceiling_db - MEL.floor_db)  # in a scaled mel
MAPS = 54
BLOCKS = (MAPS * GROUPS, MAPS * GROUPS, MAPS * GROUPS, MAPS * 2, MEL.n_mels, MEL.n_mels, MEL.n_mels)
"""Sizes of the parts of a window's vector: see `describe_modulation`, then mean, deviation and maximum of each band."""


class Modulation(FeatureExtractor):
    """Of three seconds, 54 movements in six groups of bands, and the level of 96 bands."""

    name = "modulation"
    version = "1"
    sample_rate_hz = MEL.sample_rate_hz
    window_s = 3.0
    dimensions = sum(BLOCKS)
    licence = ""
    credit = ""

    def check(self) -> None:
        """Nothing is needed."""

    def open(self) -> Extract:
        heard: list[tuple[np.ndarray, torch.Tensor, list[ModulationMap]]] = []  # of the last recording
        frames = MEL.segment_frames(self.window_s)

        def extract(samples: np.ndarray, start: int, species: Species) -> np.ndarray:
            if not heard or heard[0][0] is not samples:
                mel = scaled_mel(samples, frames)
                heard[:] = [(samples, mel, modulation_maps(mel, MEL.frames_per_s))]
            _, mel, maps = heard[0]
            first = round(start / MEL.hop_samples)
            return np.concatenate([[0.0], *describe_window(mel, maps, first, first + frames)]).astype(np.float32)

        return extract


def scaled_mel(samples: np.ndarray, least_frames: int) -> torch.Tensor:
    """The mel of a recording above the median of each band, scaled to 0…1, [mels, frames], with silence at its end."""
    mel = torch.from_numpy(log_mel(samples, MEL))
    missing = max(0, least_frames - mel.shape[1])
    return _normalise()(torch.nn.functional.pad(mel, (0, missing), value=MEL.padding_db)[None])[0]


def describe_window(mel: torch.Tensor, maps: list[ModulationMap], first: int, end: int) -> list[np.ndarray]:
    """The blocks of a window of frames."""
    window = mel[:, min(first, mel.shape[1] - 2) : end]
    levels = [window.mean(dim=1), window.std(dim=1), window.amax(dim=1)]
    return [*describe_modulation(maps, first, end), *(level.numpy() for level in levels)]


@cache
def _normalise() -> Normalise:
    return Normalise(MEL)
