"""Extractors that hear a mel rather than samples: no invented bird need be synthesised for them again."""

from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar

import numpy as np

from birdnet_nl.audio.mel import MelParams, log_mel
from birdnet_nl.features.extractor import Extract, FeatureExtractor
from birdnet_nl.species.table import Species

ExtractMel = Callable[[np.ndarray, int], np.ndarray]
"""The mel of a whole recording in dB, [mels, frames], and the first frame of a window -> float32 [1 + dimensions]."""


class MelExtractor(FeatureExtractor):
    """An extractor with a front end of its own, `mel`; its sample rate is that of the front end."""

    mel: ClassVar[MelParams]

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
