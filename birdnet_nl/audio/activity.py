"""How much of a bird is heard in each frame of a recording: its level above the noise of the same band.

A relative score without a threshold to pass: a distant bird is quiet, and still more than the rest of its recording.
"""

from functools import lru_cache

import numpy as np

from birdnet_nl.audio.cache import CachedMel, params_key, write_mel
from birdnet_nl.audio.filterbank import band_centres_hz
from birdnet_nl.audio.mel import MelParams, lower_median

BIRD_BANDS_HZ = (250.0, 11_000.0)  # Bosuil and Houtduif below, seet alarms above; wind and hiss beyond
NOISE_DB = 6.0  # that steady noise, whose power is exponentially distributed, rises above its median one time in 16


def frame_activity(mel_db: np.ndarray, params: MelParams) -> np.ndarray:
    """[mels, frames] in dB -> [frames]: mean over a bird's bands of what exceeds their median noise by `NOISE_DB`."""
    bands = np.asarray(mel_db[_bird_bands(params)], dtype=np.float32)
    return np.maximum(bands - lower_median(bands) - NOISE_DB, 0).mean(axis=0)


def activity_of(mel: CachedMel, params: MelParams) -> np.ndarray:
    """Activity of each frame of a recording, float32 [frames], from the cache where it lies beside the mel."""
    place = mel.path.with_name(f"{mel.path.stem}.activity-{params_key(params)}.npy")
    try:
        found = np.load(place)
        if found.shape == (mel.frames,):
            return found
    except (FileNotFoundError, ValueError, EOFError):
        pass
    made = frame_activity(mel.load(), params)
    write_mel(made, place)
    return made


def window_activity(activity: np.ndarray, frames: int) -> np.ndarray:
    """Mean activity of every stretch of `frames`: [all] -> [starts]; beyond the end of a recording nothing is heard.

    A recording shorter than a stretch has one start.
    """
    sums = np.concatenate([[0.0], np.cumsum(activity, dtype=np.float64)])
    starts = np.arange(max(1, len(activity) - frames + 1))
    ends = np.minimum(starts + frames, len(activity))
    return ((sums[ends] - sums[starts]) / frames).astype(np.float32)


@lru_cache(maxsize=4)
def _bird_bands(params: MelParams) -> np.ndarray:
    """Which bands a bird may use, bool [mels]; all of them where a front end has none of these."""
    centres_hz = band_centres_hz(params.sample_rate_hz, params.n_fft, params.n_mels, params.f_min_hz, params.f_max_hz)
    lowest_hz, highest_hz = BIRD_BANDS_HZ
    inside = (centres_hz >= lowest_hz) & (centres_hz <= highest_hz)
    return inside if inside.any() else np.ones(params.n_mels, dtype=bool)
