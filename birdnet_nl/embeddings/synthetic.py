"""Features of invented recordings, kept in files of a hundred, so that a killed computation goes on where it was."""

import os
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from zipfile import BadZipFile

import numpy as np

from birdnet_nl.audio.resample import resample
from birdnet_nl.embeddings.base import NOBODY, EmbeddingModel
from birdnet_nl.embeddings.cache import embeddings_key
from birdnet_nl.embeddings.mel_embedding import MelEmbeddingModel
from birdnet_nl.embeddings.synthetic_mels import synthetic_mel_file
from birdnet_nl.synthetic.generator import GENERATOR, generate, type_of
from birdnet_nl.util.files import atomic_path, touch_cached

IN_A_FILE = 100
PRETRAINED_ON_SYNTHETIC = (
    "practised",
    "student",
)  # extractors that learned from invented birds before, or beside, real ones
MELS = "practice"  # beside the folder of features

Hear = Callable[[int], Iterator[np.ndarray]]
"""The features of each of the hundred recordings from a number on, float16 [windows, 1 + dimensions], one by one."""


@dataclass(frozen=True)
class SyntheticEmbeddings:
    """What an extractor made of invented recordings.

    Attributes:
        windows: float16 [windows, 1 + dimensions].
        recordings: index of the recording of each window, int64 [windows].
        types: of each recording, by name.
    """

    windows: np.ndarray
    recordings: np.ndarray
    types: list[str]


def embed_synthetic(
    embedding_model: EmbeddingModel,
    count: int,
    window_hop_s: float,
    cache_dir: Path,
    workers: int,
    on_progress: Callable[[int], None] = lambda done: None,
) -> SyntheticEmbeddings:
    """Of the first `count` invented recordings, from the cache where they are there; `on_progress` is told how many.

    What extractors beside it make of them stands after its own; each of them counts.
    """
    folder = cache_dir / f"{embeddings_key(embedding_model, window_hop_s)}-{GENERATOR}"
    starts = range(0, count, IN_A_FILE)
    found: dict[int, list[np.ndarray]] = {}
    for start in starts:
        kept = _read(folder / f"{start:06d}.npz", embedding_model)
        if kept is not None:
            found[start] = kept
            on_progress(min(IN_A_FILE, count - start))
    missing = [start for start in starts if start not in found]
    if missing:
        embedding_model.check()
        _compute(missing, found, embedding_model, window_hop_s, folder, workers, count, on_progress)
    rows = [features for start in starts for features in found[start]][:count]
    recordings = np.repeat(np.arange(count), [len(features) for features in rows])
    windows = np.concatenate(rows)
    if embedding_model.beside is not None:
        others = embed_synthetic(embedding_model.beside, count, window_hop_s, cache_dir, workers, on_progress)
        windows = np.concatenate([windows, others.windows[:, 1:]], axis=1)
    return SyntheticEmbeddings(windows, recordings, [type_of(index) for index in range(count)])


def _compute(
    missing: list[int],
    found: dict[int, list[np.ndarray]],
    embedding_model: EmbeddingModel,
    window_hop_s: float,
    folder: Path,
    workers: int,
    count: int,
    on_progress: Callable[[int], None],
) -> None:
    """Whole files into `folder` and `found`; each worker is a thread with a network of its own.

    Jobs of a sweep that begin together take the files in different orders, so that they share the work.
    """
    missing = random.Random(os.getpid()).sample(missing, len(missing))
    networks: SimpleQueue[Hear] = SimpleQueue()
    for _ in range(min(workers, len(missing))):
        if isinstance(embedding_model, MelEmbeddingModel):
            networks.put(_hearing_mels(embedding_model, window_hop_s, folder.parents[1] / MELS))
        else:
            networks.put(_hearing_samples(embedding_model, window_hop_s))

    def make(start: int) -> list[np.ndarray]:
        kept = _read(folder / f"{start:06d}.npz", embedding_model)
        if kept is not None:  # by another job of a sweep, meanwhile
            on_progress(min(IN_A_FILE, count - start))
            return kept
        hear = networks.get()
        try:
            made = []
            for index, features in enumerate(hear(start), start):
                made.append(features)
                if index < count:
                    on_progress(1)
        finally:
            networks.put(hear)
        if embedding_model.kept_on_disk:
            with atomic_path(folder / f"{start:06d}.npz", sync=False) as beside, beside.open("wb") as file:
                np.savez(file, windows=np.concatenate(made), counts=[len(features) for features in made])
        return made

    pool = ThreadPoolExecutor(max_workers=min(workers, len(missing)), thread_name_prefix="practice")
    try:
        futures = {pool.submit(make, start): start for start in missing}
        for future in as_completed(futures):
            found[futures[future]] = future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _hearing_samples(embedding_model: EmbeddingModel, window_hop_s: float) -> Hear:
    extract, rate_hz = embedding_model.open(), embedding_model.sample_rate_hz

    def hear(start: int) -> Iterator[np.ndarray]:
        for index in range(start, start + IN_A_FILE):
            recording = generate(index)
            samples = resample(recording.samples, recording.sample_rate_hz, rate_hz)
            starts = range(0, len(samples) - embedding_model.window_samples + 1, round(window_hop_s * rate_hz))
            yield np.stack([extract(samples, start, NOBODY) for start in starts]).astype(np.float16)

    return hear


def _hearing_mels(embedding_model: MelEmbeddingModel, window_hop_s: float, mel_dir: Path) -> Hear:
    """From the mels that `birdnet-nl pretrain` uses too, so that nothing need be synthesised where these are there."""
    extract, params = embedding_model.open_mel(), embedding_model.mel
    frames, hop = params.segment_frames(embedding_model.window_s), window_hop_s * params.frames_per_s

    def hear(start: int) -> Iterator[np.ndarray]:
        for mel in synthetic_mel_file(start, params, mel_dir):
            windows = 1 + int((mel.shape[1] - frames) / hop)
            mel = mel.astype(np.float32)
            yield np.stack([extract(mel, round(window * hop)) for window in range(windows)]).astype(np.float16)

    return hear


def _read(path: Path, embedding_model: EmbeddingModel) -> list[np.ndarray] | None:
    """None when the file is not there, or is cut."""
    if not embedding_model.kept_on_disk:
        return None
    try:
        with np.load(path, allow_pickle=False) as content:
            windows, counts = content["windows"], content["counts"]
    except (OSError, ValueError, EOFError, KeyError, BadZipFile):
        return None
    if windows.ndim != 2 or windows.shape[1] != 1 + embedding_model.dimensions or counts.sum() != len(windows):
        return None
    touch_cached(path)
    return np.split(windows, np.cumsum(counts)[:-1])
