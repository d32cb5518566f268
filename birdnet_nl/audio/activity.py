"""Bird activity of each frame of a recording: its level above the noise floor of the same band.

A relative score without a detection threshold: a distant bird is faint, and still exceeds the rest of its recording.
"""

from functools import lru_cache

import numpy as np
import torch

from birdnet_nl.audio.cache import CachedMel, params_key, write_mel
from birdnet_nl.audio.mel import MelParams, band_centres_hz, lower_median
from birdnet_nl.util import float16

BIRD_BANDS_HZ = (250.0, 11_000.0)  # from Bosuil and Houtduif up to seet alarms; beyond it wind and hiss
NOISE_DB = 6.0  # steady noise, whose power is exponentially distributed, exceeds its median by this one time in 16


def frame_activity(mel_db: np.ndarray, params: MelParams) -> np.ndarray:
    """Compute the activity, dB [mels, frames] -> [frames]: the mean over bird bands of the excess above the noise.

    The noise of a band is its median plus `NOISE_DB`.
    """
    own = mel_db[_bird_bands(params)]
    noise = float16.lower_median(own) if own.dtype == np.float16 else lower_median(own)
    bands = torch.from_numpy(own).float().numpy()  # NumPy takes eight times as long
    bands -= torch.from_numpy(noise).float().numpy()
    bands -= NOISE_DB
    return np.maximum(bands, 0, out=bands).mean(axis=0)


def activity_of(mel: CachedMel, params: MelParams) -> np.ndarray:
    """Return the activity of each frame of a recording, float32 [frames], cached beside the mel."""
    target = mel.path.with_name(f"{mel.path.stem}.activity-{params_key(params)}.npy")
    try:
        cached = np.load(target)
        if cached.shape == (mel.frames,):
            return cached
    except (FileNotFoundError, ValueError, EOFError):
        pass
    activity = frame_activity(mel.read(), params)
    write_mel(activity, target)
    return activity


def window_activity(activity: np.ndarray, frames: int) -> np.ndarray:
    """Compute the mean activity of every window of `frames`: [all frames] -> [starts].

    A recording shorter than the window has one start; the frames beyond its end have activity 0.
    """
    sums = np.concatenate([[0.0], np.cumsum(activity, dtype=np.float64)])
    starts = np.arange(max(1, len(activity) - frames + 1))
    ends = np.minimum(starts + frames, len(activity))
    return ((sums[ends] - sums[starts]) / frames).astype(np.float32)


@lru_cache(maxsize=4)
def _bird_bands(params: MelParams) -> np.ndarray:
    """Mask of the bands within `BIRD_BANDS_HZ`, bool [mels]; all bands where none is."""
    centres_hz = band_centres_hz(params)
    lowest_hz, highest_hz = BIRD_BANDS_HZ
    inside = (centres_hz >= lowest_hz) & (centres_hz <= highest_hz)
    return inside if inside.any() else np.ones(params.n_mels, dtype=bool)
