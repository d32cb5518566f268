"""The original's spectrograms, one file per segment, as mels like those of `cache.py`: nothing is computed anew."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from birdnet_nl.audio.cache import CachedMel, UnusableFile, write_mel
from birdnet_nl.audio.mel import MelParams
from birdnet_nl.recordings.recording import Recording
from birdnet_nl.recordings.spectrogram_folder import segment_files
from birdnet_nl.util.files import touch_cached


def cache_spectrograms(
    recordings: Sequence[Recording],
    params: MelParams,
    cache_dir: Path,
    segment_s: float,
    on_progress: Callable[[], None] = lambda: None,
) -> tuple[dict[str, CachedMel], list[UnusableFile]]:
    """Mels by recording id, the segments of a recording side by side, and the files that could not be used.

    Each file must hold one segment, float [mels, frames], of the size that `params` gives a segment of `segment_s`
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
            segment, reason = _read(path, shape)
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


def _read(path: Path, shape: tuple[int, int]) -> tuple[np.ndarray, str]:
    """A segment as float16 [mels, frames] and an empty text, or an empty array and the reason it cannot be used."""
    nothing = np.empty(0, dtype=np.float16)
    try:
        segment = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        return nothing, f"cannot be read ({(str(error).splitlines() or ['empty'])[0]})"
    if not isinstance(segment, np.ndarray) or segment.shape != shape:
        found = " × ".join(map(str, getattr(segment, "shape", ("?",))))
        return nothing, f"has the shape {found}, expected {shape[0]} × {shape[1]}"
    if not np.issubdtype(segment.dtype, np.floating) or not np.isfinite(segment).all():
        return nothing, "holds values that are not finite numbers"
    return segment.astype(np.float16), ""
