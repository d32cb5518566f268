"""Embeddings of all splits in memory, and those of further recordings that are trained on beside them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import Dataset

from birdnet_nl.data.dataset import Batch, SegmentDataset
from birdnet_nl.data.multilabel import MultilabelBatch, MultilabelRecordings, multilabel_batch_of
from birdnet_nl.data.prepare import PreparedRecordings
from birdnet_nl.embeddings.base import EmbeddingModel, TrainingAudio
from birdnet_nl.embeddings.cache import embed_recordings
from birdnet_nl.embeddings.synthetic import SyntheticEmbeddings, embed_synthetic
from birdnet_nl.recordings.type_set import TypeSet
from birdnet_nl.synthetic import generator
from birdnet_nl.synthetic.generator import synthetic_types
from birdnet_nl.util.console import info, progress_bar


class EmbeddingDataset(Dataset):
    """Embeddings of the segments of a `SegmentDataset`, in memory.

    A batch is float16 [batch, 1 + dimensions] with the species score first, type [batch], and index of the recording in
    `recording_ids` [batch].

    Args:
        embeddings: by recording id, float16 [windows, 1 + dimensions].
        frames_per_window: mel frames from the start of one window to the next.
    """

    def __init__(
        self, segments: SegmentDataset, embeddings: Mapping[str, np.ndarray], frames_per_window: float
    ) -> None:
        self.recording_ids, self.recordings, self.types = segments.recording_ids, segments.recordings, segments.types
        rows = [
            embeddings[self.recording_ids[recording]][round(start / frames_per_window)]
            for recording, start in zip(self.recordings.tolist(), segments.start_frames.tolist(), strict=True)
        ]
        width = next(iter(embeddings.values())).shape[1]
        self.embeddings = torch.from_numpy(np.stack(rows) if rows else np.empty((0, width), dtype=np.float16))

    def __len__(self) -> int:
        return len(self.types)

    def __getitems__(self, indices: list[int]) -> Batch:
        return self.embeddings[indices], self.types[indices], self.recordings[indices]


@dataclass(frozen=True)
class EmbeddedSplits:
    """Embeddings that a run trains and is tested on.

    Attributes:
        datasets: by split.
        multilabel: recordings of several types, or None without.
        synthetic: synthetic recordings, or None without.
    """

    datasets: Mapping[str, EmbeddingDataset]
    multilabel: MultilabelBatch | None
    synthetic: Batch | None

    @property
    def synthetic_recordings(self) -> int:
        return 0 if self.synthetic is None else int(self.synthetic[2].max()) + 1


def embed_prepared(
    model: EmbeddingModel,
    training: TrainingAudio,
    prepared: PreparedRecordings,
    multilabel: MultilabelRecordings,
    starts: Callable[[int], Sequence[float]],
) -> dict[str, np.ndarray]:
    """Fit the embedding model where it learns from the training recordings, then embed all recordings.

    Returns float16 [windows, 1 + dimensions] by id, without recordings whose embeddings are not finite. `starts` gives
    the segment starts of a recording with a given number of mel frames.
    """
    model.fit(training)
    mels = prepared.mels | multilabel.mels
    windows = {id: len(starts(mel.frames)) for id, mel in mels.items()}
    recordings = [*prepared.recordings, *multilabel.recordings]
    where = (training.segment_hop_s, training.embeddings_dir, training.workers)
    return embed_recordings(recordings, mels, windows, model, *where)


def collect_splits(
    model: EmbeddingModel,
    training: TrainingAudio,
    embedded: Mapping[str, np.ndarray],
    prepared: PreparedRecordings,
    multilabel: MultilabelRecordings,
    datasets: Mapping[str, SegmentDataset],
    frames_per_window: float,
    synthetic_recordings: int,
    type_set: TypeSet,
    weights: Mapping[str, float],
) -> EmbeddedSplits:
    """Collect the embeddings of each split, and embed synthetic recordings.

    Args:
        embedded: embeddings of all recordings, of `embed_prepared`.
        frames_per_window: mel frames from the start of one window to the next.
        synthetic_recordings: number of synthetic recordings to embed too, of which those of types of the network are
            used; 0 for none.
        weights: weights, by id, of recordings that do not weigh 1.
    """
    where = (training.segment_hop_s, training.embeddings_dir, training.workers)
    synthetic = None
    type_of = synthetic_types(type_set, prepared.types)
    if synthetic_recordings and type_of:
        used = sum(name in type_of for name in map(generator.type_of, range(synthetic_recordings)))
        names = ", ".join(type_of)
        which = "" if used == synthetic_recordings else f" ({names})"
        info(f"trains on {used:,} synthetic recordings beside the real ones{which}")
        with progress_bar() as bar:
            total = synthetic_recordings * len(model.parts)
            task = bar.add_task(f"{model.name} of synthetic recordings", total=total)
            synthetic = embed_synthetic(model, synthetic_recordings, *where, lambda done: bar.advance(task, done))
    return EmbeddedSplits(
        {split: EmbeddingDataset(dataset, embedded, frames_per_window) for split, dataset in datasets.items()},
        multilabel_batch_of(multilabel, embedded, prepared.types, weights),
        None if synthetic is None else synthetic_batch(synthetic, prepared.types, type_of),
    )


def synthetic_batch(embedded: SyntheticEmbeddings, types: Sequence[str], type_of: Mapping[str, str]) -> Batch:
    """Join the synthetic recordings of the given types: windows, types and recording indices without gaps.

    `type_of` gives the type of synthetic songs, calls and alarms, see `synthetic_types`.
    """
    of_recording = torch.tensor([types.index(type_of[name]) if name in type_of else -1 for name in embedded.types])
    recordings = torch.from_numpy(embedded.recordings)
    wanted = of_recording[recordings] >= 0
    _, renumbered = recordings[wanted].unique(return_inverse=True)
    return torch.from_numpy(embedded.windows)[wanted], of_recording[recordings[wanted]], renumbered
