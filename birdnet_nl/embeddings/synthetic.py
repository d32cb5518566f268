"""Cached mels and embeddings of synthetic recordings, in files of a hundred, so that a stopped computation resumes."""

import os
import random
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import joblib
import numpy as np

from birdnet_nl.audio.cache import params_key, to_float16
from birdnet_nl.audio.mel import MelParams, log_mel
from birdnet_nl.audio.resample import resample
from birdnet_nl.embeddings.base import NO_SPECIES, EmbeddingModel, MelEmbeddingModel
from birdnet_nl.embeddings.cache import check_embeddings, embeddings_key, in_threads, is_finite_half
from birdnet_nl.synthetic.generator import GENERATOR, generate, type_of
from birdnet_nl.util.files import atomic_path, touch_cached

RECORDINGS_PER_FILE = 100
MEL_FOLDER = "synthetic"  # beside the folder of embeddings
PRETRAINED_ON_SYNTHETIC = ("frozen", "distilled")  # embedding models that are trained on synthetic recordings too
NOT_READABLE = (OSError, ValueError, EOFError, KeyError, BadZipFile)  # of a missing or damaged .npz

EmbedFile = Callable[[int], Iterator[np.ndarray]]
"""The embeddings of each of the hundred recordings from a number on, float16 [windows, 1 + dimensions]."""


@dataclass(frozen=True)
class SyntheticEmbeddings:
    """Embeddings of synthetic recordings.

    Attributes:
        windows: float16 [windows, 1 + dimensions].
        recordings: index of the recording of each window, int64 [windows].
        types: of each recording, by name.
    """

    windows: np.ndarray
    recordings: np.ndarray
    types: list[str]


def embed_synthetic(
    model: EmbeddingModel,
    count: int,
    hop_s: float,
    embeddings_dir: Path,
    workers: int,
    on_progress: Callable[[int], None] = lambda done: None,
) -> SyntheticEmbeddings:
    """Embed the first `count` synthetic recordings, or read their embeddings from the cache.

    The embeddings of models concatenated with it follow, or zeros (`embeds_synthetic`); `on_progress` gets the number
    of recordings finished, by each of the models.
    """
    folder = embeddings_dir / f"{embeddings_key(model, hop_s)}-{GENERATOR}"
    starts = range(0, count, RECORDINGS_PER_FILE)

    def read(start: int) -> list[np.ndarray] | None:
        embeddings = _read_embeddings(folder / f"{start:06d}.npz", model)
        if embeddings is not None:
            on_progress(min(RECORDINGS_PER_FILE, count - start))
        return embeddings

    def load() -> EmbedFile:
        if isinstance(model, MelEmbeddingModel):
            return _embed_mels(model, hop_s, embeddings_dir.parent / MEL_FOLDER)
        return _embed_samples(model, hop_s)

    def compute(start: int, embed_file: EmbedFile) -> list[np.ndarray]:
        if (cached := read(start)) is not None:  # computed meanwhile by another job of a sweep
            return cached
        embeddings = []
        for index, vectors in enumerate(embed_file(start), start):
            check_embeddings(vectors, model, f"synthetic recording {index}")
            embeddings.append(vectors)
            if index < count:
                on_progress(1)
        if model.cached:
            with atomic_path(folder / f"{start:06d}.npz", sync=False) as temporary, temporary.open("wb") as file:
                counts = [len(vectors) for vectors in embeddings]
                np.savez(file, windows=np.concatenate(embeddings), counts=counts)
        return embeddings

    files = {start: cached for start in starts if (cached := read(start)) is not None}
    missing = [start for start in starts if start not in files]
    if missing:
        model.check_installed()
    # Jobs of a sweep that start together take the files in different orders, so that they share the work.
    missing = random.Random(os.getpid()).sample(missing, len(missing))
    with closing(in_threads(missing, load, workers, compute)) as finished:
        files |= finished
    embeddings = [vectors for start in starts for vectors in files[start]][:count]
    recordings = np.repeat(np.arange(count), [len(vectors) for vectors in embeddings])
    windows = np.concatenate(embeddings)
    if model.concatenated_with is not None and not model.concatenated_with.embeds_synthetic:
        on_progress(count)
        windows = np.pad(windows, ((0, 0), (0, model.concatenated_with.dimensions)))
    elif model.concatenated_with is not None:
        others = embed_synthetic(model.concatenated_with, count, hop_s, embeddings_dir, workers, on_progress)
        windows = np.concatenate([windows, others.windows[:, 1:]], axis=1)
    return SyntheticEmbeddings(windows, recordings, [type_of(index) for index in range(count)])


def _embed_samples(model: EmbeddingModel, hop_s: float) -> EmbedFile:
    embed, rate_hz = model.load(), model.sample_rate_hz

    def embed_file(start: int) -> Iterator[np.ndarray]:
        for index in range(start, start + RECORDINGS_PER_FILE):
            samples = _samples(index, rate_hz)
            starts = range(0, len(samples) - model.window_samples + 1, round(hop_s * rate_hz))
            yield np.stack([embed(samples, start, NO_SPECIES) for start in starts]).astype(np.float16)

    return embed_file


def _embed_mels(model: MelEmbeddingModel, hop_s: float, mel_dir: Path) -> EmbedFile:
    """From the mels that `birdnet-nl pretrain` uses too, so that none is computed twice."""
    embed, params = model.load_for_mels(), model.mel
    frames, hop_frames = params.segment_frames(model.window_s), hop_s * params.frames_per_s

    def embed_file(start: int) -> Iterator[np.ndarray]:
        path = _mel_path(mel_dir, params, start)
        _make_mel_file(path, start, params)
        for mel in _read_mels(path):
            windows = 1 + int((mel.shape[1] - frames) / hop_frames)
            mel = mel.astype(np.float32)
            yield np.stack([embed(mel, round(window * hop_frames)) for window in range(windows)]).astype(np.float16)

    return embed_file


def _read_embeddings(path: Path, model: EmbeddingModel) -> list[np.ndarray] | None:
    """None when the file is missing or damaged, or has values that are not finite."""
    if not model.cached:
        return None
    try:
        with np.load(path, allow_pickle=False) as content:
            windows, counts = content["windows"], content["counts"]
    except NOT_READABLE:
        return None
    if windows.ndim != 2 or windows.shape[1] != 1 + model.dimensions or counts.sum() != len(windows):
        return None
    if not is_finite_half(windows):
        return None
    touch_cached(path)
    return np.split(windows, np.cumsum(counts)[:-1])


def synthetic_mels(
    count: int, params: MelParams, mel_dir: Path, workers: int, on_progress: Callable[[int], None]
) -> list[np.ndarray]:
    """Compute, or read, the mels of the first `count` synthetic recordings, float16 [mels, frames] each.

    `workers` are processes; `on_progress` gets the number of recordings finished.
    """
    starts = list(range(0, count, RECORDINGS_PER_FILE))
    finished = joblib.Parallel(n_jobs=min(workers, len(starts)), return_as="generator_unordered")(
        joblib.delayed(_make_mel_file)(_mel_path(mel_dir, params, start), start, params) for start in starts
    )
    for start in finished:
        on_progress(min(RECORDINGS_PER_FILE, count - start))
    return [mel for start in starts for mel in _read_mels(_mel_path(mel_dir, params, start))][:count]


def _mel_path(mel_dir: Path, params: MelParams, start: int) -> Path:
    return mel_dir / f"{GENERATOR}-{params_key(params)}" / f"{start:06d}.npz"


def _make_mel_file(path: Path, start: int, params: MelParams) -> int:
    """Write the file unless it exists; returns `start`."""
    try:
        _read_mels(path)
        touch_cached(path)
        return start
    except NOT_READABLE:
        pass  # missing or damaged
    mels = [
        to_float16(log_mel(_samples(index, params.sample_rate_hz), params))
        for index in range(start, start + RECORDINGS_PER_FILE)
    ]
    with atomic_path(path, sync=False) as temporary, temporary.open("wb") as file:
        np.savez(file, mels=np.concatenate(mels, axis=1), frames=[mel.shape[1] for mel in mels])
    return start


def _read_mels(path: Path) -> list[np.ndarray]:
    with np.load(path, allow_pickle=False) as content:
        mels = content["mels"]
        if not is_finite_half(mels):
            raise ValueError(f"{path} has values that are not finite")
        return np.split(mels, np.cumsum(content["frames"])[:-1], axis=1)


def _samples(index: int, sample_rate_hz: int) -> np.ndarray:
    recording = generate(index)
    return resample(recording.samples, recording.sample_rate_hz, sample_rate_hz)
