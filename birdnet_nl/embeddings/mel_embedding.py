"""Extractors that hear a mel rather than samples: no invented bird need be synthesised for them again."""

from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar

import numpy as np
import torch

from birdnet_nl.audio.mel import WIDE_COARSE as MEL
from birdnet_nl.audio.mel import MelParams, Normalise, log_mel
from birdnet_nl.embeddings.base import EmbeddingModel, Extract
from birdnet_nl.species.table import Species

ExtractMel = Callable[[np.ndarray, int], np.ndarray]
"""The mel of a whole recording in dB, [mels, frames], and the first frame of a window -> float32 [1 + dimensions]."""


class MelEmbeddingModel(EmbeddingModel):
    """An extractor of three seconds with a front end of its own, `mel`; its sample rate is that of the front end."""

    mel: ClassVar[MelParams] = MEL
    sample_rate_hz = MEL.sample_rate_hz
    window_s = 3.0

    def check(self) -> None:
        """Nothing is needed."""

    @abstractmethod
    def open_mel(self) -> ExtractMel:
        """Load the network for one thread; between the windows of a recording it may remember that recording."""

    def open(self) -> Extract:
        extract_mel = self.open_mel()
        heard: list[np.ndarray] = []  # the last recording and its mel

        def extract(samples: np.ndarray, start: int, species: Species) -> np.ndarray:
            if not heard or heard[0] is not samples:
                heard[:] = [samples, log_mel(samples, self.mel)]
            return extract_mel(heard[1], round(start / self.mel.hop_samples))

        return extract


def with_silence(mel_db: np.ndarray, min_frames: int) -> torch.Tensor:
    """The mel, [mels, frames], with silence at its end where it is shorter."""
    missing = max(0, min_frames - mel_db.shape[1])
    return torch.nn.functional.pad(torch.from_numpy(mel_db), (0, missing), value=MEL.padding_db)


def window_for_network(mel_db: np.ndarray, first: int, frames: int, normalise: Normalise) -> torch.Tensor:
    """A window of a recording as a network of mels wants it, scaled to 0…1: [mels, all] -> [1, 1, mels, frames]."""
    window = with_silence(mel_db[:, first : first + frames], frames)
    return normalise(window[None])[:, None].contiguous(memory_format=torch.channels_last)
