"""Embedding models in torch: those of a mel, and how a checkpoint describes them."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch

from birdnet_nl.audio.mel import WIDE_COARSE as MEL
from birdnet_nl.audio.mel import MelParams, Normalise, log_mel
from birdnet_nl.embeddings.interface import NO_SPECIES, Embed, EmbeddingModel, TrainingAudio, cut_clip
from birdnet_nl.models.registry import find_class
from birdnet_nl.species.table import Species
from birdnet_nl.util.errors import RunError

__all__ = [
    "MEL",
    "NO_SPECIES",
    "Embed",
    "EmbedMel",
    "EmbeddingModel",
    "MelEmbeddingModel",
    "TrainingAudio",
    "build_embedding_model",
    "cut_clip",
    "cut_mels",
    "embed_windows",
    "pad_mel",
]

PACKAGE = "birdnet_nl.embeddings"


def build_embedding_model(
    description: Mapping[str, Any], state: Mapping[str, torch.Tensor] | None = None
) -> EmbeddingModel:
    """Build the embedding model from `describe()` and `state()`.

    Raises `RunError` for a class that `find_class` refuses, and where this version computes other embeddings.
    """
    model = find_class(description["_target_"], PACKAGE, EmbeddingModel)(**description.get("arguments", {}))
    try:
        if state is not None:
            model.load_state(state)
        matches = model.version == description["version"]
    except (RuntimeError, KeyError):  # of torch, for weights of other names or sizes
        matches = False
    if not matches:
        raise RunError(
            f"the model was trained on embeddings of {model.name} {description['version']}, which this version of "
            "birdnet_nl does not compute; use the version that the model was trained with, or train again"
        )
    model.licence, model.credit = description["licence"], description["credit"]
    return model


EmbedMel = Callable[[np.ndarray, int], np.ndarray]
"""The mel of a whole recording in dB, [mels, frames], and the first frame of a window -> float32 [1 + dimensions]."""


class MelEmbeddingModel(EmbeddingModel):
    """Embedding model for three seconds of a mel, so that the cached mels of synthetic recordings can be used."""

    mel: ClassVar[MelParams] = MEL
    sample_rate_hz = MEL.sample_rate_hz
    window_s = 3.0

    def check_installed(self) -> None:
        """Do nothing: no extra package is needed."""

    @abstractmethod
    def load_for_mels(self) -> EmbedMel:
        """Load the network for one thread; the function may keep the last recording between its windows."""

    def load(self) -> Embed:
        embed_mel = self.load_for_mels()
        last: list[np.ndarray] = []  # the last recording and its mel

        def embed(samples: np.ndarray, start: int, species: Species) -> np.ndarray:
            if not last or last[0] is not samples:
                last[:] = [samples, log_mel(samples, self.mel)]
            return embed_mel(last[1], round(start / self.mel.hop_samples))

        return embed


def pad_mel(mel_db: np.ndarray, min_frames: int) -> torch.Tensor:
    """Pad a shorter mel, [mels, frames], with silence at its end."""
    missing = max(0, min_frames - mel_db.shape[1])
    return torch.nn.functional.pad(torch.from_numpy(mel_db), (0, missing), value=MEL.padding_db)


def cut_mels(
    mels: Sequence[np.ndarray], places: Sequence[tuple[int, int]], frames: int, padding_db: float
) -> np.ndarray:
    """Cut windows, each given by its mel and its first frame, padded with silence: float16 [windows, mels, frames]."""
    batch = np.full((len(places), len(mels[0]), frames), padding_db, dtype=np.float16)
    for row, (index, start) in enumerate(places):
        view = mels[index][:, start : start + frames]
        batch[row, :, : view.shape[1]] = view
    return batch


def embed_windows(network: Callable[[torch.Tensor], torch.Tensor], window_s: float) -> EmbedMel:
    """Embed windows with `network`, from mels scaled to 0…1, [1, 1, mels, frames], to [1, dimensions]; no species."""
    frames, normalise = MEL.segment_frames(window_s), Normalise(MEL)

    @torch.inference_mode()
    def embed(mel_db: np.ndarray, first: int) -> np.ndarray:
        window = normalise(pad_mel(mel_db[:, first : first + frames], frames)[None])[:, None]
        vector = network(window.contiguous(memory_format=torch.channels_last))[0].numpy()
        return np.concatenate([[0.0], vector]).astype(np.float32)

    return embed
