"""An embedding model from outside the package."""

import numpy as np

from birdnet_nl.embeddings.base import MEL, EmbedMel, MelEmbeddingModel, pad_mel


class MyLevels(MelEmbeddingModel):
    """Mean and standard deviation of each band of a mel over three seconds."""

    name, version, dimensions = "my_levels", "1", 2 * MEL.n_mels

    def load_for_mels(self) -> EmbedMel:
        frames = MEL.segment_frames(self.window_s)

        def embed(mel_db: np.ndarray, first: int) -> np.ndarray:
            window = pad_mel(mel_db[:, first : first + frames].astype(np.float32), frames)
            return np.concatenate([[0.0], window.mean(dim=1), window.std(dim=1)]).astype(np.float32)

        return embed
