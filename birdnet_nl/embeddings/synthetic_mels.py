"""Mels of invented recordings, made by all cores and kept in files of a hundred."""

from collections.abc import Callable
from pathlib import Path
from zipfile import BadZipFile

import joblib
import numpy as np

from birdnet_nl.audio.cache import params_key, to_float16
from birdnet_nl.audio.mel import MelParams, log_mel
from birdnet_nl.audio.resample import resample
from birdnet_nl.synthetic.generator import GENERATOR, generate
from birdnet_nl.util.files import atomic_path, touch_cached

IN_A_FILE = 100


def synthetic_mels(
    count: int, params: MelParams, cache_dir: Path, workers: int, on_progress: Callable[[int], None]
) -> list[np.ndarray]:
    """Of the first `count` invented recordings, float16 [mels, frames] each; `on_progress` is told how many are there.

    Killed at any moment, whole files stay and the rest is made next time.
    """
    starts = list(range(0, count, IN_A_FILE))
    made = joblib.Parallel(n_jobs=min(workers, len(starts)), return_as="generator_unordered")(
        joblib.delayed(_make_file)(_place(cache_dir, params, start), start, params) for start in starts
    )
    for start in made:
        on_progress(min(IN_A_FILE, count - start))
    return [mel for start in starts for mel in _read(_place(cache_dir, params, start))][:count]


def synthetic_mel_file(start: int, params: MelParams, cache_dir: Path) -> list[np.ndarray]:
    """As `synthetic_mels`, of the hundred from number `start` on."""
    place = _place(cache_dir, params, start)
    _make_file(place, start, params)
    return _read(place)


def _place(cache_dir: Path, params: MelParams, start: int) -> Path:
    return cache_dir / f"{GENERATOR}-{params_key(params)}" / f"{start:06d}.npz"


def _make_file(path: Path, start: int, params: MelParams) -> int:
    """`start`, when the file is there; runs in a process of its own."""
    if path.is_file():
        try:
            _read(path)
            touch_cached(path)
            return start
        except (OSError, ValueError, EOFError, KeyError, BadZipFile):
            pass  # cut or spoilt: made anew
    mels = []
    for index in range(start, start + IN_A_FILE):
        recording = generate(index)
        samples = resample(recording.samples, recording.sample_rate_hz, params.sample_rate_hz)
        mels.append(to_float16(log_mel(samples, params)))
    with atomic_path(path, sync=False) as beside, beside.open("wb") as file:
        np.savez(file, mels=np.concatenate(mels, axis=1), frames=[mel.shape[1] for mel in mels])
    return start


def _read(path: Path) -> list[np.ndarray]:
    with np.load(path, allow_pickle=False) as content:
        return np.split(content["mels"], np.cumsum(content["frames"])[:-1], axis=1)
