"""Modulation as an extractor: how sounds move in time and pitch, and how loud which bands are. Nothing is learned."""

import numpy as np
import torch

from birdnet_nl.audio.mel import Normalise
from birdnet_nl.embeddings.mel_embedding import MEL, ExtractMel, MelEmbeddingModel, with_silence
from birdnet_nl.embeddings.modulation_filters import GROUPS, ModulationMap, describe_modulation, modulation_maps

MAPS = 54
BLOCKS = (MAPS * GROUPS, MAPS * GROUPS, MAPS * GROUPS, MAPS * 2, MEL.n_mels, MEL.n_mels, MEL.n_mels)
"""Sizes of the parts of a window's vector: see `describe_modulation`, then mean, deviation and maximum of each band."""


class Modulation(MelEmbeddingModel):
    """Of three seconds, 54 movements in six groups of bands, and the level of 96 bands."""

    name = "modulation"
    version = "1"
    dimensions = sum(BLOCKS)

    def open_mel(self) -> ExtractMel:
        heard: list[tuple[np.ndarray, torch.Tensor, list[ModulationMap]]] = []  # of the last recording
        frames, normalise = MEL.segment_frames(self.window_s), Normalise(MEL)

        def extract(mel_db: np.ndarray, first: int) -> np.ndarray:
            if not heard or heard[0][0] is not mel_db:
                mel = normalise(with_silence(mel_db, frames)[None])[0]
                heard[:] = [(mel_db, mel, modulation_maps(mel, MEL.frames_per_s))]
            _, mel, maps = heard[0]
            return np.concatenate([[0.0], *_describe(mel, maps, first, first + frames)]).astype(np.float32)

        return extract


def _describe(mel: torch.Tensor, maps: list[ModulationMap], first: int, end: int) -> list[np.ndarray]:
    """The blocks of a window of frames of a mel scaled to 0…1."""
    window = mel[:, min(first, mel.shape[1] - 2) : end]
    levels = [window.mean(dim=1), window.std(dim=1), window.amax(dim=1)]
    return [*describe_modulation(maps, first, end), *(level.numpy() for level in levels)]
