"""One mel per recording, in a memory-mapped file named after the content and every parameter that shapes it."""

import hashlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from birdnet_nl.audio.decode import decode
from birdnet_nl.audio.mel import MelParams, log_mel
from birdnet_nl.recordings.recording import Recording
from birdnet_nl.util.errors import DataError
from birdnet_nl.util.files import atomic_path, touch_cached

FORMAT_VERSION = 2  # raise when the computation of a mel changes, so that old files are not taken for new ones


@dataclass(frozen=True)
class UnusableFile:
    """A file that gives no mel, and why, in a few words."""

    path: Path
    reason: str


@dataclass(frozen=True)
class CachedMel:
    """Where the mel of a recording lies; `frames` is its length and `content` the hash of the sound file."""

    path: Path
    frames: int
    content: str

    def load(self) -> np.ndarray:
        """The mel in dB, float16 [mels, frames], mapped from disk: reading a part reads only that part."""
        return np.load(self.path, mmap_mode="r")


def params_key(params: MelParams) -> str:
    """Twelve hex digits that differ when any parameter or the format differs."""
    text = json.dumps({"format": FORMAT_VERSION, **asdict(params)}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def content_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:24]


def to_float16(mel: np.ndarray) -> np.ndarray:
    """By torch, which uses the processor's conversion; NumPy's takes thirty times as long."""
    return torch.from_numpy(mel).half().numpy()


def write_mel(mel: np.ndarray, target: Path) -> None:
    """Whole or not at all; a power cut may still cut it, which `cache_mel` notices."""
    with atomic_path(target, sync=False) as beside, beside.open("wb") as file:
        np.save(file, mel)


def cache_mel(path: Path, params: MelParams, cache_dir: Path) -> CachedMel:
    """The cached mel of one sound file, made when it is not there yet; raises `DataError` when the file gives none."""
    try:
        content = content_hash(path)
    except FileNotFoundError:
        raise DataError("is not there") from None
    except OSError as error:  # a folder of that name, no permission, a bad sector
        raise DataError(f"cannot be read ({error.strerror})") from None
    target = cache_dir / params_key(params) / f"{content}.npy"
    try:
        frames = np.load(target, mmap_mode="r").shape[1]
        touch_cached(target)
    except (FileNotFoundError, ValueError, EOFError):
        mel = to_float16(log_mel(decode(path, params.sample_rate_hz), params))
        write_mel(mel, target)
        frames = mel.shape[1]
    return CachedMel(target, frames, content)


def cache_mels(
    recordings: Sequence[Recording],
    params: MelParams,
    cache_dir: Path,
    workers: int,
    on_progress: Callable[[], None] = lambda: None,
) -> tuple[dict[str, CachedMel], list[UnusableFile]]:
    """Mels of all recordings by id, and the files that gave none with the reason; order does not depend on `workers`.

    Threads suffice: decoding, resampling and the FFT leave Python while they work. Killed at any moment, what is
    finished stays and the rest is made next time.
    """
    cached: dict[str, CachedMel] = {}
    unusable: dict[str, UnusableFile] = {}
    threads_before = torch.get_num_threads()
    torch.set_num_threads(1)  # for each of the workers
    pool = ThreadPoolExecutor(max_workers=max(1, workers), thread_name_prefix="mel")
    try:
        futures = {pool.submit(cache_mel, recording.path, params, cache_dir): recording for recording in recordings}
        for future in as_completed(futures):
            recording = futures[future]
            try:
                cached[recording.id] = future.result()
            except DataError as error:
                unusable[recording.id] = UnusableFile(recording.path, str(error))
            on_progress()
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads_before)
    ids = [recording.id for recording in recordings]
    return {id: cached[id] for id in ids if id in cached}, [unusable[id] for id in ids if id in unusable]
