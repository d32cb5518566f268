"""Embedding distillation: a compact network trained to predict a large pretrained network's embeddings (the targets).

Labels exist for a few hundred recordings; targets exist for every window of them, and of any other sound. The large
network, the teacher, is needed for training only.
"""

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence

import joblib
import numpy as np
import torch
from rich.markup import escape
from torch import nn

from birdnet_nl.audio.cache import CachedMel, cache_mels
from birdnet_nl.audio.mel import MelParams
from birdnet_nl.embeddings.base import (
    MEL,
    EmbeddingModel,
    EmbedMel,
    MelEmbeddingModel,
    TrainingAudio,
    cut_mels,
    embed_windows,
)
from birdnet_nl.embeddings.cache import embed_recordings
from birdnet_nl.embeddings.modulation import Modulation
from birdnet_nl.embeddings.synthetic import MEL_FOLDER, embed_synthetic, synthetic_mels
from birdnet_nl.models.compact_cnn import STATISTICS, CompactCnn, layer_statistics
from birdnet_nl.models.pretrained import SHIPPED, read_pretrained
from birdnet_nl.models.registry import nonfinite_tensor, read_tensors, to_float, to_half
from birdnet_nl.recordings.listing import printable_path
from birdnet_nl.synthetic.generator import GENERATOR
from birdnet_nl.util.console import info, progress_bar
from birdnet_nl.util.errors import DataError, RunError
from birdnet_nl.util.files import atomic_path, touch_cached
from birdnet_nl.util.float16 import is_finite

CHANNELS = (32, 64, 128)  # of the shipped weights, with which the training starts
FORMAT_VERSION = 1  # increase when the training changes, so that old weights are not used
FOLDER = "distilled"  # in the folder of embeddings


class DistillationNetwork(nn.Module):
    """Mels scaled to 0…1, [batch, 1, mels, frames], to a teacher's embedding [batch, dimensions].

    One linear layer on the statistics of a `CompactCnn`'s last channels. `shift` and `scale` are mean and standard
    deviation of the teacher's embeddings.
    """

    def __init__(self, dimensions: int) -> None:
        super().__init__()
        self.base = CompactCnn(types=3, channels=CHANNELS, dropout=0.0)
        self.base.head = nn.Identity()
        self.to_teacher = nn.Linear(STATISTICS * CHANNELS[-1], dimensions)
        self.register_buffer("shift", torch.zeros(dimensions))
        self.register_buffer("scale", torch.ones(dimensions))

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        return self.standardised(mel) * self.scale + self.shift

    def standardised(self, mel: torch.Tensor) -> torch.Tensor:
        """Predict the embedding with mean 0 and standard deviation 1, as the loss compares it."""
        features = self.base.blocks(self.base.stem(mel))  # -> [batch, channels, mels/16, frames/16]
        return self.to_teacher(layer_statistics(features))

    def start_from(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Load stem and blocks of a pretrained `CompactCnn` (`models/pretrained.py`)."""
        self.base.load_state_dict({name: value for name, value in weights.items() if not name.startswith("head.")})


class DistillationWindows:
    """Windows of recordings, with the teacher's embedding of each.

    Args:
        mels: of recordings in dB, [mels, frames].
        embeddings: of each recording's windows, [windows, dimensions].
        hop_frames: from the start of one window to that of the next; may be a fraction.
    """

    def __init__(
        self,
        mels: Sequence[np.ndarray],
        embeddings: Sequence[np.ndarray],
        hop_frames: float,
        params: MelParams,
        segment_s: float,
    ) -> None:
        self.mels, self.embeddings, self.hop_frames = mels, embeddings, hop_frames
        self.frames, self.padding_db = params.segment_frames(segment_s), params.padding_db
        self.windows = [(index, window) for index, rows in enumerate(embeddings) for window in range(len(rows))]

    def draw(self, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Draw windows: mels float16 [count, mels, frames] in dB, and embeddings float32 [count, dimensions].

        Raises `DataError` for a mel with values that are not finite numbers.
        """
        windows = [self.windows[drawn] for drawn in rng.integers(len(self.windows), size=count)]
        places = [(index, round(window * self.hop_frames)) for index, window in windows]
        targets = np.stack([self.embeddings[index][window] for index, window in windows])
        mel_db = cut_mels(self.mels, places, self.frames, self.padding_db)
        if not is_finite(mel_db):
            index = next(index for (index, _), mel in zip(places, mel_db, strict=True) if not is_finite(mel))
            path = getattr(self.mels[index], "filename", None) or f"number {index}"
            raise DataError(
                f"the cached mel {path} has values that are not finite numbers; delete it and start again, which "
                "computes the mel anew"
            )
        return mel_db, targets.astype(np.float32)


class Distilled(MelEmbeddingModel):
    """A teacher's embedding of three seconds, as predicted by a compact network; `Modulation` follows.

    Args:
        teacher: embedding model to train on; None for a trained one.
        distill: `training.distill.distill`; None for a trained one.
        steps: of the training, 64 windows each.
        synthetic_recordings: to train on beside the real ones; none beside the demo's.
        real_share: share of real windows in a step.
    """

    name = "distilled"
    version = "1"
    cached = False

    def __init__(
        self,
        teacher: EmbeddingModel | None = None,
        distill: Callable[..., DistillationNetwork] | None = None,
        steps: int = 1000,
        synthetic_recordings: int = 1500,
        real_share: float = 0.6,
    ) -> None:
        for name, value in (("steps", steps), ("synthetic_recordings", synthetic_recordings)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"embeddings.{name}={value} must be an integer of at least 1")
        if isinstance(real_share, bool) or not isinstance(real_share, int | float) or not 0 < real_share < 1:
            raise ValueError(f"embeddings.real_share={real_share} must be between 0 and 1")
        self.teacher, self.distill = teacher, distill
        self.steps, self.synthetic_recordings, self.real_share = steps, synthetic_recordings, real_share
        self.licence = teacher.licence if teacher else ""
        self.credit = f"distilled from {teacher.credit or teacher.name}" if teacher else ""
        self.network: DistillationNetwork | None = None
        self.concatenated_with = Modulation()

    @property
    def is_trained(self) -> bool:
        return self.network is not None

    @property
    def dimensions(self) -> int:
        return len(self.network.shift) if self.is_trained else self.teacher.dimensions

    def check_installed(self) -> None:
        if not self.is_trained:
            self.teacher.check_installed()

    def state(self) -> dict[str, torch.Tensor]:
        """Return the weights in half precision."""
        if not self.is_trained:
            raise RunError("a distilled network has no weights before it is trained")
        return to_half(self.network.state_dict())

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        self.network = DistillationNetwork(len(state["shift"]))
        self.network.load_state_dict(to_float(state))
        self.network.eval().to(memory_format=torch.channels_last)

    def load_for_mels(self) -> EmbedMel:
        if not self.is_trained:
            raise RunError("a distilled network cannot embed before it is trained; take trainer=distilled")
        return embed_windows(self.network, self.window_s)

    def fit(self, training: TrainingAudio) -> None:
        """Train on windows of the recordings, and of synthetic ones beside real ones; or load the cached weights.

        The weights are cached in `<embeddings_dir>/distilled`, for the same recordings and settings.
        """
        if self.is_trained:
            return
        mels, unusable = cache_mels(training.recordings, MEL, training.mel_dir, training.workers)
        if unusable:
            raise DataError(f"{unusable[0].path} cannot be used for distillation: it {unusable[0].reason}")
        path = training.embeddings_dir / FOLDER / f"{self._key(training, mels)}.pt"
        if path.is_file():
            touch_cached(path)
        else:
            network = self._train(training, mels)
            with atomic_path(path) as temporary:
                torch.save(to_half(network.state_dict()), temporary)
        read_tensors(path, self._parse, content="distilled weights", command=f"a new run, after: rm {path}")

    def _parse(self, state: Mapping[str, torch.Tensor]) -> None:
        """Load the content of a cached file, unless its weights are no finite numbers."""
        if name := nonfinite_tensor(state):
            raise ValueError(f"{name} is not finite")
        self.load_state(state)

    def _key(self, training: TrainingAudio, mels: Mapping[str, CachedMel]) -> str:
        text = json.dumps(
            {
                "format": FORMAT_VERSION,
                "recordings": [mels[recording.id].content for recording in training.recordings],
                "teacher": [self.teacher.name, self.teacher.version],
                "steps": self.steps,
                "synthetic": None if training.synthetic else [self.synthetic_recordings, self.real_share, GENERATOR],
                "segments": [training.segment_s, training.segment_hop_s],
                "seed": training.seed,
            }
        )
        return hashlib.sha256(text.encode()).hexdigest()[:24]

    def _train(self, training: TrainingAudio, mels: Mapping[str, CachedMel]) -> DistillationNetwork:
        info(f"{self.name}: trains a compact network on the embeddings of {self.teacher.name}")
        real, synthetic = self._real_windows(training, mels), None
        network = DistillationNetwork(self.teacher.dimensions)
        if not training.synthetic:  # beside the demo's recordings the metrics would be too high
            synthetic = self._synthetic_windows(training)
            network.start_from(read_pretrained(SHIPPED).weights)
        with progress_bar() as bar:
            task = bar.add_task(f"distilling {self.teacher.name}", total=self.steps)
            settings = (self.real_share, MEL, self.steps, training.seed)
            return self.distill(network, real, synthetic, *settings, lambda loss: bar.advance(task))

    def _real_windows(self, training: TrainingAudio, mels: Mapping[str, CachedMel]) -> DistillationWindows:
        counts = {id: _count_windows(mel.frames / MEL.frames_per_s, training) for id, mel in mels.items()}
        where = (training.segment_hop_s, training.embeddings_dir, training.workers)
        embeddings = embed_recordings(training.recordings, mels, counts, self.teacher, *where)
        ids = [recording.id for recording in training.recordings if recording.id in embeddings]
        unusable = [recording for recording in training.recordings if recording.id not in embeddings]
        if unusable:
            info(
                f"{len(unusable)} recordings are not distilled, because their embedding of {self.teacher.name} is not "
                f"a finite number (first: {escape(printable_path(unusable[0].path))})"
            )
        if not ids:
            raise DataError(f"no recording has a finite embedding of {self.teacher.name}; take another trainer")
        return _windows([mels[id].load() for id in ids], [embeddings[id] for id in ids], training)

    def _synthetic_windows(self, training: TrainingAudio) -> DistillationWindows:
        count, mel_dir = self.synthetic_recordings, training.embeddings_dir.parent / MEL_FOLDER
        where = (training.segment_hop_s, training.embeddings_dir, training.workers)
        with progress_bar() as bar:
            embedding = bar.add_task(f"{self.teacher.name} of synthetic recordings", total=count)
            embedded = embed_synthetic(self.teacher, count, *where, lambda done: bar.advance(embedding, done))
            task = bar.add_task("mels of synthetic recordings", total=count)
            mels = synthetic_mels(count, MEL, mel_dir, joblib.cpu_count(), lambda done: bar.advance(task, done))
        starts = np.flatnonzero(np.diff(embedded.recordings)) + 1
        return _windows(mels, np.split(embedded.windows, starts), training)


def _count_windows(duration_s: float, training: TrainingAudio) -> int:
    """As many windows as a recording has segments."""
    return 1 + max(0, math.floor((duration_s - training.segment_s) / training.segment_hop_s))


def _windows(mels: list[np.ndarray], embeddings: list[np.ndarray], training: TrainingAudio) -> DistillationWindows:
    """Without the species score, the first column: the compact network has no species."""
    hop_frames = training.segment_hop_s * MEL.frames_per_s
    return DistillationWindows(mels, [rows[:, 1:] for rows in embeddings], hop_frames, MEL, training.segment_s)
