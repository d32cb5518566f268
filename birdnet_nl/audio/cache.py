"""Cache of mels: one memory-mapped file per recording, named after its content and all parameters of the mel.

The original's spectrograms, one file per segment, are cached in the same form by `cache_spectrograms`.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from birdnet_nl.audio.decode import decode_sound
from birdnet_nl.audio.mel import MelParams, log_mel
from birdnet_nl.audio.mel_index import KnownMel, MelIndex, stamp
from birdnet_nl.recordings.folder import segment_files
from birdnet_nl.recordings.recording import Recording
from birdnet_nl.util.errors import DataError
from birdnet_nl.util.files import atomic_path, touch_cached, write_text_atomic
from birdnet_nl.util.float16 import is_finite

FORMAT_VERSION = 2  # increase when the computation of a mel changes, so that old files are not used
READER_VERSION = 2  # increase when other samples of a file are read; those of 1 missed parts of some files


@dataclass(frozen=True)
class UnusableFile:
    """A file without a mel, and the reason in a few words."""

    path: Path
    reason: str


@dataclass(frozen=True)
class CachedMel:
    """A cached mel: its file, its length in `frames`, and the hash of the sound file's `content`.

    `warning` is empty for a good sound file, else why only a part of it is used, or what was changed to use it.
    """

    path: Path
    frames: int
    content: str
    warning: str = ""

    def load(self) -> np.ndarray:
        """Map the mel in dB, float16 [mels, frames], from disk; reading a part reads only that part."""
        return np.load(self.path, mmap_mode="r")

    def read(self) -> np.ndarray:
        """Read the whole mel, float16 [mels, frames]; for a single pass in threads faster than to map it."""
        return np.load(self.path)


def params_key(params: MelParams) -> str:
    """Return twelve hex digits that differ when any parameter or the format differs."""
    return _params_key(params, FORMAT_VERSION)


@lru_cache(maxsize=16)
def _params_key(params: MelParams, format_version: int) -> str:
    text = json.dumps({"format": format_version, **asdict(params)}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def mel_dir(params: MelParams, cache_dir: Path) -> Path:
    """Return the folder of the mels with these parameters."""
    return cache_dir / f"{params_key(params)}-{READER_VERSION}"


def content_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:24]


def to_float16(mel: np.ndarray) -> np.ndarray:
    """Convert with torch, which uses the processor's instruction; NumPy takes thirty times as long."""
    return torch.from_numpy(mel).half().numpy()


def write_mel(mel: np.ndarray, target: Path) -> None:
    """Write atomically, without fsync; a file truncated by a power failure is detected by `cache_mel`."""
    with atomic_path(target, sync=False) as temporary, temporary.open("wb") as file:
        np.save(file, mel)


def cache_mel(path: Path, params: MelParams, cache_dir: Path) -> CachedMel:
    """Return the cached mel of a sound file, computed on first use; raises `DataError` when the file is unusable."""
    try:
        content = content_hash(path)
    except FileNotFoundError:
        raise DataError("does not exist") from None
    except OSError as error:  # a folder of that name, no permission, a bad sector
        raise DataError(f"cannot be read ({error.strerror})") from None
    target = mel_dir(params, cache_dir) / f"{content}.npy"
    warning_file = target.with_suffix(".warning.txt")
    try:
        frames = _finite_frames(target)
        touch_cached(target)
        warning = _read_warning(warning_file)
    except (FileNotFoundError, ValueError, EOFError):
        sound = decode_sound(path, params.sample_rate_hz)
        mel, warning = to_float16(log_mel(sound.samples, params)), sound.warning
        if not is_finite(mel):
            raise DataError("has a mel spectrogram with values that are not finite numbers") from None
        if warning:
            write_text_atomic(warning_file, warning)
        else:
            warning_file.unlink(missing_ok=True)
        write_mel(mel, target)
        frames = mel.shape[1]
    return CachedMel(target, frames, content, warning)


def _read_warning(path: Path) -> str:
    if not path.exists():
        return ""
    touch_cached(path)
    return path.read_text(encoding="utf-8")


def _finite_frames(target: Path) -> int:
    """Return the number of frames of a cached mel; raises `ValueError` where a value is not a finite number."""
    mel = np.load(target)  # in threads faster than mapping it
    if mel.dtype != np.float16 or mel.ndim != 2 or not is_finite(mel):
        raise ValueError(f"{target} is damaged")
    return mel.shape[1]


def cache_mels(
    recordings: Sequence[Recording],
    params: MelParams,
    cache_dir: Path,
    workers: int,
    on_progress: Callable[[], None] = lambda: None,
) -> tuple[dict[str, CachedMel], list[UnusableFile]]:
    """Return the mels of all recordings by id, and the unusable files; the order does not depend on `workers`.

    Uses threads, because decoding, resampling and the FFT release the GIL. After an interruption, finished mels stay
    and the others are computed the next time. Files that the index knows are not read.
    """
    index = MelIndex(mel_dir(params, cache_dir))
    cached: dict[str, CachedMel] = {}
    unusable: dict[str, UnusableFile] = {}
    threads_before = torch.get_num_threads()
    torch.set_num_threads(1)  # in each worker
    pool = ThreadPoolExecutor(max_workers=max(1, workers), thread_name_prefix="mel")
    futures, wait = {}, True
    try:
        for recording in recordings:
            if known := index.get(recording.path):
                target = index.mel_dir / f"{known.content}.npy"
                cached[recording.id] = CachedMel(target, known.frames, known.content, known.warning)
                if known.warning:
                    touch_cached(target.with_suffix(".warning.txt"))
                on_progress()
            else:
                future = pool.submit(cache_mel, recording.path, params, cache_dir)
                futures[future] = (recording, stamp(recording.path))
        for future in as_completed(futures):
            recording, before = futures[future]
            try:
                mel = cached[recording.id] = future.result()
                index.add(recording.path, before, KnownMel(mel.content, mel.frames, mel.warning))
            except DataError as error:
                unusable[recording.id] = UnusableFile(recording.path, str(error))
            on_progress()
    except KeyboardInterrupt:  # the files that are decoded now, which may be long, are not waited for
        wait = False
        raise
    finally:
        pool.shutdown(wait=wait, cancel_futures=True)
        torch.set_num_threads(threads_before)
        index.write()
    ids = [recording.id for recording in recordings]
    return {id: cached[id] for id in ids if id in cached}, [unusable[id] for id in ids if id in unusable]


def cache_spectrograms(
    recordings: Sequence[Recording],
    params: MelParams,
    cache_dir: Path,
    segment_s: float,
    on_progress: Callable[[], None] = lambda: None,
) -> tuple[dict[str, CachedMel], list[UnusableFile]]:
    """Return mels by recording id, with the segments of a recording concatenated in time, and the unusable files.

    Each file must contain one segment, float [mels, frames], of the size that `params` gives a segment of `segment_s`
    (128 × 282 for the original's front end).
    """
    shape = (params.n_mels, params.segment_frames(segment_s))
    mels: dict[str, CachedMel] = {}
    unusable: list[UnusableFile] = []
    for recording in recordings:
        files, segments = segment_files(recording), []
        if not files:
            unusable.append(UnusableFile(recording.path.with_suffix(".npy"), "its name does not end with _seg<NNN>"))
        for path in files:
            segment, reason = _read_segment(path, shape)
            if reason:
                unusable.append(UnusableFile(path, reason))
            else:
                segments.append(segment)
        if segments:
            mel = np.concatenate(segments, axis=1)
            content = hashlib.sha256(mel.tobytes()).hexdigest()[:24]
            target = cache_dir / "spectrograms" / f"{content}.npy"
            if target.is_file():
                touch_cached(target)
            else:
                write_mel(mel, target)
            mels[recording.id] = CachedMel(target, mel.shape[1], content)
        on_progress()
    return mels, unusable


def _read_segment(path: Path, shape: tuple[int, int]) -> tuple[np.ndarray, str]:
    """Return a segment as float16 [mels, frames] and an empty text, or an empty array and the reason."""
    nothing = np.empty(0, dtype=np.float16)
    try:
        segment = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        return nothing, f"cannot be read ({(str(error).splitlines() or ['empty'])[0]})"
    if not isinstance(segment, np.ndarray) or segment.shape != shape:
        actual = " × ".join(map(str, getattr(segment, "shape", ("?",))))
        return nothing, f"has the shape {actual}, expected {shape[0]} × {shape[1]}"
    with np.errstate(over="ignore"):
        half = segment.astype(np.float16) if np.issubdtype(segment.dtype, np.floating) else nothing
    if half.shape != shape or not is_finite(half):
        return nothing, "contains values that are not finite numbers, or beyond half precision"
    return half, ""
