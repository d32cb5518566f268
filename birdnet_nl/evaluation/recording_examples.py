"""A few seconds of some recordings, to see and to hear on a page."""

import io
import math
import wave
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.image import imsave

from birdnet_nl.audio.activity import frame_activity, window_activity
from birdnet_nl.audio.decode import decode
from birdnet_nl.audio.mel import MelParams, log_mel
from birdnet_nl.data.overview import InspectedRecording
from birdnet_nl.recordings.choice import allows_excerpts, quality_rank
from birdnet_nl.recordings.recording import VOCALIZATION_TYPES

EXCERPT_S = 5.0
MEL = MelParams(  # for the eye alone: nothing is trained or predicted with it
    sample_rate_hz=24000, n_fft=1024, hop_samples=240, n_mels=112, f_min_hz=150.0, f_max_hz=11500.0,
    normalisation="band_median", floor_db=-2.0, ceiling_db=42.0,
)  # fmt: skip
POINT_FRAMES = 5  # of the mel for a point of the activity
TICKS_HZ = (500, 1000, 2000, 4000, 8000)


@dataclass(frozen=True)
class Example:
    """An excerpt as a picture (`mel_png`) and as a sound (`wav`, empty where the licence allows no excerpts).

    `activity` is what training's crops prefer (`audio/activity.py`), float32 [points] from start to end, from 0 to the
    most in the recording, 1.
    """

    inspected: InspectedRecording
    start_s: float
    duration_s: float
    mel_png: bytes
    wav: bytes
    activity: np.ndarray


def choose_examples(recordings: Sequence[InspectedRecording], per_type: int) -> list[InspectedRecording]:
    """Usable recordings of each type, without oddities and by different recordists where there are such, best first."""
    chosen = []
    for kind in VOCALIZATION_TYPES:
        seen: set[str] = set()
        ranked = sorted(
            (one for one in recordings if one.kind == kind and not one.left_out),
            key=lambda one: (
                not allows_excerpts(one.recording),
                bool(one.oddities),
                quality_rank(one.recording.quality),
                abs(math.log(max(one.facts.duration_s, 0.1) / 15)),
                one.recording.id,
            ),
        )
        fresh = [one for one in ranked if not (one.recording.recordist in seen or seen.add(one.recording.recordist))]
        rest = [one for one in ranked if one not in fresh]
        chosen += [*fresh, *rest][:per_type]
    return chosen


def make_example(one: InspectedRecording) -> Example:
    """The stretch of `EXCERPT_S` in which most happens."""
    samples = decode(one.recording.path, MEL.sample_rate_hz)
    mel = log_mel(samples, MEL)  # [mels, frames], dB above each band's median
    frames = min(mel.shape[1], round(EXCERPT_S * MEL.frames_per_s))
    activity = frame_activity(mel, MEL)  # [frames]
    start = int(window_activity(activity, frames).argmax())
    start_s = start / MEL.frames_per_s
    clip = samples[start * MEL.hop_samples :][: round(EXCERPT_S * MEL.sample_rate_hz)]
    return Example(
        inspected=one,
        start_s=start_s,
        duration_s=len(clip) / MEL.sample_rate_hz,
        mel_png=_png(mel[:, start : start + frames]),
        wav=_wav(clip) if allows_excerpts(one.recording) else b"",
        activity=_outline(activity)[start // POINT_FRAMES : (start + frames) // POINT_FRAMES + 1],
    )


def _outline(activity: np.ndarray) -> np.ndarray:
    """Means over `POINT_FRAMES` frames, [frames] -> [points], as shares of the highest."""
    points = np.array([activity[at : at + POINT_FRAMES].mean() for at in range(0, len(activity), POINT_FRAMES)])
    return points / max(float(points.max()), 1e-6)


def ticks() -> list[tuple[str, float]]:
    """Labels in kHz, and their height in the picture from 0 (bottom) to 1."""
    low, high = _mel_of(MEL.f_min_hz), _mel_of(MEL.f_max_hz)
    return [(f"{hz / 1000:g}", (_mel_of(hz) - low) / (high - low)) for hz in TICKS_HZ]


def _mel_of(hz: float) -> float:
    """The mel scale after Slaney: linear to 1 kHz, logarithmic above."""
    return hz * 3 / 200 if hz < 1000 else 15 + 27 * math.log(hz / 1000) / math.log(6.4)


def _png(mel: np.ndarray) -> bytes:
    image = io.BytesIO()
    imsave(image, mel, cmap="magma", origin="lower", vmin=MEL.floor_db, vmax=MEL.ceiling_db, format="png")
    return image.getvalue()


def _wav(clip: np.ndarray) -> bytes:
    """16 bit, made as loud as it goes: recordings differ much in level."""
    loud = clip * (0.9 / max(1e-6, float(np.abs(clip).max())))
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(MEL.sample_rate_hz)
        sound.writeframes((loud * 32767).astype("<i2").tobytes())
    return file.getvalue()
