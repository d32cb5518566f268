"""Features of each recording, in a file named after the content, the extractor and the distance between windows."""

import hashlib
import json
import queue
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing
from pathlib import Path

import numpy as np

from birdnet_nl.audio.cache import CachedMel
from birdnet_nl.audio.decode import decode
from birdnet_nl.embeddings.base import EmbeddingModel, Extract
from birdnet_nl.recordings.recording import Recording
from birdnet_nl.species.table import get_species
from birdnet_nl.util.files import atomic_path, touch_cached

FORMAT_VERSION = 1  # raise when what is kept changes, so that old files are not taken for new ones


def embeddings_key(embedding_model: EmbeddingModel, window_hop_s: float) -> str:
    """A folder's name that differs when the extractor, its version, the windows or the format differ."""
    text = json.dumps(
        [FORMAT_VERSION, embedding_model.version, embedding_model.window_s, embedding_model.dimensions, window_hop_s]
    )
    return f"{embedding_model.name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def cache_embeddings(
    recordings: Sequence[Recording],
    mels: Mapping[str, CachedMel],
    windows: Mapping[str, int],
    embedding_model: EmbeddingModel,
    window_hop_s: float,
    cache_dir: Path,
    workers: int,
    on_progress: Callable[[], None] = lambda: None,
) -> dict[str, np.ndarray]:
    """Features by recording id, float16 [windows, 1 + dimensions]: presence of the recording's species first.

    Those of extractors that stand beside it follow; `on_progress` is called once for each recording and extractor.

    Window n begins at n · `window_hop_s` seconds; `windows` says how many there are of each recording, and `mels` the
    hash of its content. Each worker is a thread with a network of its own, opened when there is something to compute.
    Killed at any moment, what is finished stays and the rest is made next time.
    """
    folder = cache_dir / embeddings_key(embedding_model, window_hop_s)
    found: dict[str, np.ndarray | None] = dict.fromkeys([recording.id for recording in recordings])
    if embedding_model.kept_on_disk:
        for recording in recordings:
            place = _place(folder, recording, mels[recording.id])
            found[recording.id] = _read(place, windows[recording.id], embedding_model.dimensions)
    missing = [recording for recording in recordings if found[recording.id] is None]
    for _ in range(len(recordings) - len(missing)):
        on_progress()

    def make(recording: Recording, extract: Extract) -> np.ndarray:
        features = _extract(recording, windows[recording.id], embedding_model, window_hop_s, extract)
        if embedding_model.kept_on_disk:
            place = _place(folder, recording, mels[recording.id])
            with atomic_path(place, sync=False) as beside, beside.open("wb") as file:
                np.save(file, features)
        return features

    with closing(_by_threads(missing, embedding_model, workers, make)) as finished:
        for id, features in finished:
            found[id] = features
            on_progress()
    if embedding_model.beside is None:
        return found
    shared = (recordings, mels, windows, embedding_model.beside, window_hop_s, cache_dir, workers, on_progress)
    others = cache_embeddings(*shared)
    return {id: np.concatenate([own, others[id][:, 1:]], axis=1) for id, own in found.items()}


def _by_threads(
    missing: Sequence[Recording],
    embedding_model: EmbeddingModel,
    workers: int,
    make: Callable[[Recording, Extract], np.ndarray],
) -> Iterator[tuple[str, np.ndarray]]:
    """What `make` gives for each recording, by id, in the order in which they are finished."""
    if not missing:
        return
    embedding_model.check()
    workers = max(1, min(workers, len(missing)))
    networks: queue.SimpleQueue[Extract] = queue.SimpleQueue()
    for _ in range(workers):
        networks.put(embedding_model.open())

    def lend_a_network(recording: Recording) -> np.ndarray:
        extract = networks.get()  # there is one for each thread
        try:
            return make(recording, extract)
        finally:
            networks.put(extract)

    pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="features")
    try:
        futures = {pool.submit(lend_a_network, recording): recording.id for recording in missing}
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _place(folder: Path, recording: Recording, mel: CachedMel) -> Path:
    """The species belongs to the name: its presence stands among the features."""
    return folder / f"{mel.content}-{recording.species}.npy"


def _read(path: Path, windows: int, dimensions: int) -> np.ndarray | None:
    """None when the file is not there, is cut, or holds fewer windows than are wanted."""
    try:
        features = np.load(path)
    except (FileNotFoundError, ValueError, EOFError):
        return None
    touch_cached(path)
    whole = features.ndim == 2 and features.shape[1] == 1 + dimensions and len(features) >= windows
    return features[:windows] if whole else None


def _extract(
    recording: Recording, windows: int, embedding_model: EmbeddingModel, window_hop_s: float, extract: Extract
) -> np.ndarray:
    """Decode and extract, float16 [windows, 1 + dimensions]."""
    rate_hz, species = embedding_model.sample_rate_hz, get_species(recording.species)
    samples = decode(recording.path, rate_hz)
    features = np.empty((windows, 1 + embedding_model.dimensions), dtype=np.float16)
    for window in range(windows):
        features[window] = extract(samples, round(window * window_hop_s * rate_hz), species)
    return features
