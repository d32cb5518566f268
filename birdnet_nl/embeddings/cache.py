"""Cached embeddings of recordings, in files named after the content, the model and the distance between windows."""

import hashlib
import json
import queue
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import numpy as np

from birdnet_nl.audio.cache import CachedMel
from birdnet_nl.audio.decode import decode
from birdnet_nl.embeddings.base import Embed, EmbeddingModel
from birdnet_nl.recordings.recording import Recording
from birdnet_nl.species.table import species_of_slug
from birdnet_nl.util.console import progress_bar
from birdnet_nl.util.errors import DataError
from birdnet_nl.util.files import atomic_path, touch_cached
from birdnet_nl.util.float16 import is_finite

FORMAT_VERSION = 1  # increase when the content of the files changes, so that old ones are not used
NOT_FINITE = "its embedding is not a finite number"

Item, Network, Result = TypeVar("Item"), TypeVar("Network"), TypeVar("Result")


def check_windows(model: EmbeddingModel, segment_s: float, source: str) -> None:
    """Raise `ValueError` for segments that the model cannot embed, `SetupError` where it is not installed."""
    if segment_s != model.window_s:
        raise ValueError(
            f"data.segment_s={segment_s} must be {model.window_s} with embeddings of {model.name}, the length of its "
            "input in seconds"
        )
    if source == "spectrograms":
        raise ValueError(f"data=spectrograms has no sound, which {model.name} needs; give recordings")
    model.check_installed()


def check_demo(model: EmbeddingModel, synthetic: bool) -> None:
    """Raise `ValueError` where a model was pretrained on recordings like those it would be tested on."""
    if synthetic and model.pretrained_on_synthetic:
        raise ValueError(
            f"embeddings of {model.name} cannot be evaluated on the demo: the network was pretrained on synthetic "
            "recordings, which are made as the demo's are, so the metrics would be too high; give real recordings "
            "(data.root=<folder>, without data=demo), or take another trainer, such as turbo"
        )


def embeddings_key(model: EmbeddingModel, segment_hop_s: float) -> str:
    """The name of a folder, which differs when the model, its version, the windows or the format differ."""
    text = json.dumps([FORMAT_VERSION, model.version, model.window_s, model.dimensions, segment_hop_s])
    return f"{model.name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def embed_recordings(
    recordings: Sequence[Recording],
    mels: Mapping[str, CachedMel],
    windows: Mapping[str, int],
    model: EmbeddingModel,
    segment_hop_s: float,
    embeddings_dir: Path,
    workers: int,
) -> dict[str, np.ndarray]:
    """Embed recordings: by id, float16 [windows, 1 + dimensions], the score of the recording's species first.

    The embeddings of models concatenated with it follow.

    Window n starts at n · `segment_hop_s` seconds; `windows` holds their number for each recording, and `mels` the hash
    of its content. Each worker is a thread with a network of its own, loaded when there is something to compute. After
    a stop at any moment, finished files stay and the rest is computed next time. A recording with an embedding that is
    not a finite number in half precision is missing in the result; the caller leaves it out as `NOT_FINITE`.
    """

    def embed_with(part: EmbeddingModel) -> dict[str, np.ndarray | None]:
        folder = embeddings_dir / embeddings_key(part, segment_hop_s)

        def path(recording: Recording) -> Path:  # the species, because its score is in the file
            return folder / f"{mels[recording.id].content}-{recording.species}.npy"

        def read(recording: Recording) -> np.ndarray | None:
            return _read(path(recording), windows[recording.id], part.dimensions) if part.cached else None

        def compute(recording: Recording, embed: Embed) -> np.ndarray | None:
            vectors = _embed_recording(recording, windows[recording.id], part, segment_hop_s, embed)
            if not is_finite_half(vectors):
                return None
            if part.cached:
                with atomic_path(path(recording), sync=False) as temporary, temporary.open("wb") as file:
                    np.save(file, vectors)
            return vectors

        embeddings = {recording.id: read(recording) for recording in recordings}
        missing = [recording for recording in recordings if embeddings[recording.id] is None]
        bar.advance(task, len(recordings) - len(missing))
        if missing:
            part.check_installed()
        with closing(in_threads(missing, part.load, workers, compute)) as finished:
            for recording, vectors in finished:
                embeddings[recording.id] = vectors
                bar.advance(task)
        return embeddings

    with progress_bar() as bar:
        task = bar.add_task(f"embeddings of {model.name}", total=len(recordings) * len(model.parts))
        of_parts = [embed_with(part) for part in model.parts]
    finite = [id for id in of_parts[0] if all(embeddings[id] is not None for embeddings in of_parts)]
    first, *others = of_parts
    if not others:
        return {id: first[id] for id in finite}
    return {id: np.concatenate([first[id], *(other[id][:, 1:] for other in others)], axis=1) for id in finite}


def in_threads(
    items: Sequence[Item], load: Callable[[], Network], workers: int, compute: Callable[[Item, Network], Result]
) -> Iterator[tuple[Item, Result]]:
    """Iterate over items and their results, in the order in which they are finished.

    Each worker is a thread that computes with a network of its own.
    """
    if not items:
        return
    workers = max(1, min(workers, len(items)))
    networks: queue.SimpleQueue[Network] = queue.SimpleQueue()
    for _ in range(workers):
        networks.put(load())

    def compute_with_network(item: Item) -> Result:
        network = networks.get()  # there is one per thread
        try:
            return compute(item, network)
        finally:
            networks.put(network)

    pool, wait = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="embeddings"), True
    try:
        futures = {pool.submit(compute_with_network, item): item for item in items}
        for future in as_completed(futures):
            yield futures[future], future.result()
    except (KeyboardInterrupt, GeneratorExit):
        wait = False  # for long recordings, which take seconds
        raise
    finally:
        pool.shutdown(wait=wait, cancel_futures=True)


def _read(path: Path, windows: int, dimensions: int) -> np.ndarray | None:
    """None when the file is missing, is cut, has fewer windows than `windows`, or values that are not finite."""
    try:
        vectors = np.load(path)
    except (FileNotFoundError, ValueError, EOFError):
        return None
    touch_cached(path)
    complete = vectors.ndim == 2 and vectors.shape[1] == 1 + dimensions and len(vectors) >= windows
    return vectors[:windows] if complete and is_finite_half(vectors) else None


def is_finite_half(vectors: np.ndarray) -> bool:
    """Whether an array of embeddings is in half precision and finite."""
    return vectors.dtype == np.float16 and is_finite(vectors)


def check_embeddings(vectors: np.ndarray, model: EmbeddingModel, what: str) -> None:
    """Raise `DataError` for embeddings of `what`, float16 [windows, columns], that are not finite numbers."""
    bad = ~np.isfinite(vectors).all(axis=1) if not is_finite_half(vectors) else np.empty(0, dtype=bool)
    if bad.any():
        raise DataError(
            f"{what} cannot be used with {model.name}: its embedding of window {int(bad.argmax()) + 1} has values that "
            "are not finite numbers; take the recording out, or another trainer, such as turbo"
        )


def _embed_recording(
    recording: Recording, windows: int, model: EmbeddingModel, segment_hop_s: float, embed: Embed
) -> np.ndarray:
    """Decode and embed, float16 [windows, 1 + dimensions]."""
    rate_hz, species = model.sample_rate_hz, species_of_slug(recording.species)
    try:
        samples = decode(recording.path, rate_hz)
    except DataError as error:  # the mel of the same content was made before, so the file has changed since
        raise DataError(f"{recording.path} cannot be embedded: it {error}; start again") from error
    vectors = np.empty((windows, 1 + model.dimensions), dtype=np.float16)
    with np.errstate(over="ignore"):  # the caller checks
        for window in range(windows):
            vectors[window] = embed(samples, round(window * segment_hop_s * rate_hz), species)
    return vectors
