"""Before a student extracts features it learns to hear, from its teacher, on what its run may learn from."""

from pathlib import Path

import joblib
import numpy as np
import torch

from birdnet_nl.audio.cache import cache_mels
from birdnet_nl.data.datamodule import SpeciesDataModule
from birdnet_nl.data.segments import cut_segments
from birdnet_nl.embeddings.distilled import DistilledCnn
from birdnet_nl.embeddings.extraction import embed_recordings
from birdnet_nl.embeddings.mel_embedding import MEL
from birdnet_nl.embeddings.synthetic import MELS, embed_synthetic
from birdnet_nl.embeddings.synthetic_mels import synthetic_mels
from birdnet_nl.models.distilled_cnn import DistillationNetwork
from birdnet_nl.models.pretrained import SHIPPED, read_pretrained
from birdnet_nl.models.weights_file import halved, read_tensors
from birdnet_nl.training.distill import Lessons, imitate
from birdnet_nl.util.console import info, progress_bar
from birdnet_nl.util.errors import DataError
from birdnet_nl.util.files import atomic_path

LEARNED = "student.pt"  # in the run directory


def learn_to_hear(data: SpeciesDataModule, run_dir: Path) -> None:
    """Teach `data.features`, where that is a student that has not learned yet.

    It hears the training recordings, also those of several types, and invented birds where the recordings are real.
    Types do not matter. What it learned is kept in `run_dir`, for when the run is resumed.
    """
    if data.features.has_learned:
        return
    kept = run_dir / LEARNED
    if not kept.is_file():
        learned = _learn(data.features, data)
        with atomic_path(kept) as beside:
            torch.save(halved(learned.state_dict()), beside)
    data.features.give(read_tensors(kept, lambda content: content, wanted="a student", maker="a new run"))


def _learn(student: DistilledCnn, data: SpeciesDataModule) -> DistillationNetwork:
    info(f"{student.name}: learns to hear as {student.teacher.name} does")
    real, invented = _real_lessons(student, data), None
    network = DistillationNetwork(student.teacher.dimensions)
    if not data.synthetic:  # the demo's birds are made as the invented are, so its figures would flatter
        invented = _invented_lessons(student, data)
        network.begin_with(read_pretrained(SHIPPED).weights)
    with progress_bar() as bar:
        task = bar.add_task(f"learning to hear as {student.teacher.name}", total=student.steps)
        return imitate(
            network,
            real,
            invented,
            student.real_share,
            MEL,
            student.steps,
            data.seed,
            lambda loss: bar.advance(task),
        )


def _real_lessons(student: DistilledCnn, data: SpeciesDataModule) -> Lessons:
    recordings, hop_s = [*data.training_recordings, *data.multilabel.recordings], data.segment_hop_s
    mels, unusable = cache_mels(recordings, MEL, data.cache_dir, data.decode_workers)
    if unusable:
        raise DataError(f"{unusable[0].path} cannot be heard: it {unusable[0].reason}")
    windows = {id: len(cut_segments(mel.frames / MEL.frames_per_s, data.segment_s, hop_s)) for id, mel in mels.items()}
    said = embed_recordings(recordings, mels, windows, student.teacher, hop_s, data.features_dir, data.decode_workers)
    ids = [recording.id for recording in recordings]
    return _lessons([mels[id].load() for id in ids], [said[id] for id in ids], data)


def _invented_lessons(student: DistilledCnn, data: SpeciesDataModule) -> Lessons:
    count = student.invented
    with progress_bar() as bar:
        hearing = bar.add_task(f"{student.teacher.name} of invented birds", total=count)
        heard = embed_synthetic(
            student.teacher,
            count,
            data.segment_hop_s,
            data.features_dir,
            data.decode_workers,
            lambda done: bar.advance(hearing, done),
        )
        inventing = bar.add_task("mels of invented birds", total=count)
        kept = data.features_dir.parent / MELS
        mels = synthetic_mels(count, MEL, kept, joblib.cpu_count(), lambda done: bar.advance(inventing, done))
    starts = np.flatnonzero(np.diff(heard.recordings)) + 1
    return _lessons(mels, np.split(heard.windows, starts), data)


def _lessons(mels: list[np.ndarray], features: list[np.ndarray], data: SpeciesDataModule) -> Lessons:
    """Without the presence of the species, which stands first: a student knows no species."""
    hop = data.segment_hop_s * MEL.frames_per_s
    return Lessons(mels, [rows[:, 1:] for rows in features], hop, MEL, data.segment_s)
