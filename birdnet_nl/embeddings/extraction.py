"""From recordings to the features of their windows."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from birdnet_nl.audio.cache import CachedMel
from birdnet_nl.embeddings.base import EmbeddingModel
from birdnet_nl.embeddings.cache import cache_embeddings
from birdnet_nl.recordings.recording import Recording
from birdnet_nl.util.console import progress_bar


def check_windows(embedding_model: EmbeddingModel, segment_s: float, source: str) -> None:
    """Raise `ValueError` for segments that the extractor does not hear, `SetupError` where it is not installed."""
    if segment_s != embedding_model.window_s:
        raise ValueError(
            f"data.segment_s={segment_s} must be {embedding_model.window_s} with features of {embedding_model.name}, which hears "
            "so many seconds at a time"
        )
    if source == "spectrograms":
        raise ValueError(f"data=spectrograms holds no sound, which {embedding_model.name} needs; give recordings")
    embedding_model.check()


def check_demo(embedding_model: EmbeddingModel, synthetic: bool) -> None:
    """Raise `ValueError` where an extractor has practised on what it would be tested with."""
    if synthetic and embedding_model.pretrained_on_synthetic:
        raise ValueError(
            f"features of {embedding_model.name} cannot be judged on the demo: they come of practice on invented birds, "
            "which are made as the demo's are, so the figures would flatter; give real recordings "
            "(data.root=<folder>, without data=demo), or take model=modulation"
        )


def embed_recordings(
    recordings: Sequence[Recording],
    mels: Mapping[str, CachedMel],
    windows: Mapping[str, int],
    embedding_model: EmbeddingModel,
    segment_hop_s: float,
    features_dir: Path,
    workers: int,
) -> dict[str, np.ndarray]:
    """Features of each recording by id, float16 [windows, 1 + dimensions], with a progress bar."""
    with progress_bar() as bar:
        task = bar.add_task(f"features of {embedding_model.name}", total=len(recordings) * embedding_model.passes)
        return cache_embeddings(
            recordings,
            mels,
            windows,
            embedding_model,
            segment_hop_s,
            features_dir,
            workers,
            lambda: bar.advance(task),
        )
