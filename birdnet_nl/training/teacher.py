"""What a teacher says of recordings: its answers and the features behind them, as a file that a student reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from birdnet_nl.util.errors import RunError
from birdnet_nl.util.files import atomic_path


@dataclass(frozen=True)
class TeacherAnswers:
    """One row for each recording that the teacher heard.

    Attributes:
        ids: of the recordings.
        types: of the columns of `probabilities`, float32 [recordings, types].
        embeddings: float32 [recordings, dims], pooled over the recording.
    """

    ids: tuple[str, ...]
    types: tuple[str, ...]
    probabilities: np.ndarray
    embeddings: np.ndarray

    def __post_init__(self) -> None:
        rows = len(self.ids)
        if self.probabilities.shape != (rows, len(self.types)) or len(self.embeddings) != rows:
            raise ValueError(
                f"a teacher of {rows} recordings and {len(self.types)} types has probabilities "
                f"{list(self.probabilities.shape)} and embeddings {list(self.embeddings.shape)}"
            )

    def write(self, path: Path) -> None:
        with atomic_path(path) as beside, beside.open("wb") as file:
            np.savez(
                file,
                ids=np.array(self.ids),
                types=np.array(self.types),
                probabilities=self.probabilities.astype(np.float32),
                embeddings=self.embeddings.astype(np.float32),
            )

    @classmethod
    def read(cls, path: Path) -> "TeacherAnswers":
        try:
            with np.load(path, allow_pickle=False) as content:
                ids, types = (tuple(content[name].tolist()) for name in ("ids", "types"))
                return cls(ids, types, content["probabilities"], content["embeddings"])
        except (OSError, ValueError, KeyError, EOFError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise RunError(f"{path} does not hold a teacher's answers ({reason}); delete it and try again") from None

    def lesson(self, recording_ids: Sequence[str], types: Sequence[str]) -> "Lesson":
        """What it says of these recordings, for a student of these types; raises `RunError` where it says nothing."""
        if set(types) - set(self.types):
            raise RunError(f"the teacher tells {', '.join(self.types)} apart, not {', '.join(types)}; take another")
        row_of = {id: row for row, id in enumerate(self.ids)}
        unheard = [id for id in recording_ids if id not in row_of]
        if unheard:
            raise RunError(f"the teacher has not heard {len(unheard)} recordings, such as {unheard[0]}")
        rows = [row_of[id] for id in recording_ids]
        probabilities = self.probabilities[rows][:, [self.types.index(name) for name in types]]
        embeddings = self.embeddings[rows]
        spread = np.sqrt(embeddings.var(axis=0).mean())
        return Lesson(
            torch.from_numpy(probabilities / probabilities.sum(axis=1, keepdims=True)).float(),
            torch.from_numpy((embeddings - embeddings.mean(axis=0)) / max(spread, 1e-6)).float(),
        )


@dataclass(frozen=True)
class Lesson:
    """A teacher's answers for training recordings by index, float32: probabilities [recordings, types], and embeddings
    [recordings, dims] around 0 with a mean variance of 1.
    """

    probabilities: torch.Tensor
    embeddings: torch.Tensor
