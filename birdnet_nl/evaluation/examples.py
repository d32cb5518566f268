"""Examples to look at and listen to: test segments of a run, and excerpts of recordings for a page."""

import io
import math
import wave
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.image import imsave

from birdnet_nl.audio.activity import frame_activity, window_activity
from birdnet_nl.audio.decode import decode
from birdnet_nl.audio.mel import MelParams, Normalise, log_mel
from birdnet_nl.data.dataset import SegmentDataset
from birdnet_nl.data.overview import InspectedRecording
from birdnet_nl.evaluation.plots import INK, new_figure
from birdnet_nl.recordings.recording import Recording, allows_excerpts, quality_rank
from birdnet_nl.recordings.type_colours import TYPE_COLOURS
from birdnet_nl.recordings.type_set import NAMES_OF_RESULTS, type_order
from birdnet_nl.util.errors import DataError

MAX_ERRORS, COLUMNS = 6, 3  # of a plot
SAMPLE_RATE_HZ = 24000  # of the clips to listen to
PEAK = 0.9  # of the clips; recordings differ much in level
EXCERPT_S = 5.0
MEL = MelParams(  # for display only: nothing is trained or predicted with it
    sample_rate_hz=SAMPLE_RATE_HZ, n_fft=1024, hop_samples=240, n_mels=112, f_min_hz=150.0, f_max_hz=11500.0,
    normalisation="band_median", floor_db=-2.0, ceiling_db=42.0,
)  # fmt: skip
POINT_FRAMES = 5  # frames per point of the activity
TICKS_HZ = (500, 1000, 2000, 4000, 8000)


@dataclass(frozen=True)
class SegmentPredictions:
    """Segments of a split and their probabilities [segments, types], in the order of `dataset`."""

    dataset: SegmentDataset
    probabilities: torch.Tensor
    types: Sequence[str]
    frames_per_s: float

    def start_s(self, index: int) -> float:
        return float(self.dataset.start_frames[index]) / self.frames_per_s

    def recording_id(self, index: int) -> str:
        return self.dataset.recording_ids[int(self.dataset.recordings[index])]

    def true_and_predicted(self, index: int) -> tuple[str, str]:
        return self.types[int(self.dataset.types[index])], self.types[int(self.probabilities[index].argmax())]


def choose_typical(segments: SegmentPredictions) -> list[int]:
    """Choose up to three segments of each type: most and medium confident among the correct, most among the wrong."""
    predicted, truth = segments.probabilities.argmax(dim=1), segments.dataset.types
    confidence = segments.probabilities.amax(dim=1)
    chosen: list[int] = []
    for type_index in range(len(segments.types)):
        of_type = torch.nonzero(truth == type_index).flatten()
        for correct in (True, False):
            matching = of_type[(predicted[of_type] == type_index) == correct]
            ranked = matching[confidence[matching].argsort(descending=True)].tolist()
            chosen += dict.fromkeys([*ranked[:1], *(ranked[len(ranked) // 2 :][:1] if correct else [])])
    return chosen


def choose_errors(segments: SegmentPredictions) -> list[int]:
    """Choose the most confident wrong segment of each recording, in order of falling confidence."""
    wrong = torch.nonzero(segments.probabilities.argmax(dim=1) != segments.dataset.types).flatten()
    ranked = wrong[segments.probabilities.amax(dim=1)[wrong].argsort(descending=True)].tolist()
    first_of = {segments.recording_id(index): index for index in reversed(ranked)}
    return sorted(first_of.values(), key=ranked.index)[:MAX_ERRORS]


def draw_segments(
    segments: SegmentPredictions, chosen: Sequence[int], normalise: Normalise, title: str, synthetic: bool
) -> Figure:
    """Draw the normalised mels of segments, with true and predicted type, recording and start; errors in red."""
    mels = normalise(segments.dataset.__getitems__(list(chosen))[0]).numpy()  # [segments, mels, frames], scaled 0…1
    rows = math.ceil(len(mels) / COLUMNS)
    figure = new_figure(3.4 * COLUMNS, 0.5 + 1.9 * rows, title, synthetic)
    all_axes = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    for axes in all_axes:
        axes.set_axis_off()
    for axes, mel, index in zip(all_axes, mels, chosen, strict=False):
        axes.imshow(mel, origin="lower", aspect="auto", cmap="magma", vmin=0, vmax=1)
        true, predicted = segments.true_and_predicted(index)
        outcome, colour = ("✓", INK) if true == predicted else (f"predicted {predicted}", TYPE_COLOURS["alarm"])
        name = f"{segments.recording_id(index)} {segments.start_s(index):.1f} s"
        confidence = float(segments.probabilities[index].max())
        axes.set_title(f"{true}  {outcome} ({confidence:.0%})  {name}", fontsize=7.5, color=colour)
    return figure


def cut_clip(recording: Recording, start_s: float, duration_s: float) -> np.ndarray | None:
    """Cut the samples of a segment at 24 kHz, scaled to `PEAK`; None for a file without sound (spectrograms)."""
    try:
        samples = decode(recording.path, SAMPLE_RATE_HZ)
    except (DataError, OSError):
        return None
    return _scale_to_peak(samples[round(start_s * SAMPLE_RATE_HZ) :][: round(duration_s * SAMPLE_RATE_HZ)])


@dataclass(frozen=True)
class Example:
    """Excerpt of a recording as an image (`mel_png`) and as sound (`wav`, empty where the licence forbids excerpts).

    `activity` is the bird activity (`audio/activity.py`) from start to end, float32 [points], as a share of the maximum
    in the recording.
    """

    inspected: InspectedRecording
    start_s: float
    duration_s: float
    mel_png: bytes
    wav: bytes
    activity: np.ndarray


def choose_examples(recordings: Sequence[InspectedRecording], per_type: int) -> list[InspectedRecording]:
    """Choose usable recordings of each type, best first; different recordists and no oddities are preferred."""
    chosen = []
    for kind in sorted({inspected.kind for inspected in recordings} - NAMES_OF_RESULTS, key=type_order):
        ranked = sorted(
            (inspected for inspected in recordings if inspected.kind == kind and not inspected.left_out),
            key=lambda inspected: (
                not allows_excerpts(inspected.recording),
                bool(inspected.oddities),
                quality_rank(inspected.recording.quality),
                abs(math.log(max(inspected.facts.duration_s, 0.1) / 15)),
                inspected.recording.id,
            ),
        )
        first_of_recordist: dict[str, InspectedRecording] = {}
        for inspected in ranked:
            first_of_recordist.setdefault(inspected.recording.recordist, inspected)
        first = list(first_of_recordist.values())
        chosen += [*first, *(inspected for inspected in ranked if inspected not in first)][:per_type]
    return chosen


def make_example(inspected: InspectedRecording) -> Example:
    """Cut the `EXCERPT_S` with the highest mean activity."""
    samples = decode(inspected.recording.path, MEL.sample_rate_hz)
    mel = log_mel(samples, MEL)  # [mels, frames], dB above each band's median
    frames = min(mel.shape[1], round(EXCERPT_S * MEL.frames_per_s))
    activity = frame_activity(mel, MEL)  # [frames]
    start = int(window_activity(activity, frames).argmax())
    clip = samples[start * MEL.hop_samples :][: round(EXCERPT_S * MEL.sample_rate_hz)]
    return Example(
        inspected=inspected,
        start_s=start / MEL.frames_per_s,
        duration_s=len(clip) / MEL.sample_rate_hz,
        mel_png=_encode_mel(mel[:, start : start + frames]),
        wav=_encode_wav(clip) if allows_excerpts(inspected.recording) else b"",
        activity=_downsample(activity)[start // POINT_FRAMES : (start + frames) // POINT_FRAMES + 1],
    )


def _downsample(activity: np.ndarray) -> np.ndarray:
    """Average over `POINT_FRAMES` frames, [frames] -> [points], and divide by the maximum."""
    points = np.array([activity[at : at + POINT_FRAMES].mean() for at in range(0, len(activity), POINT_FRAMES)])
    return points / max(float(points.max()), 1e-6)


def ticks() -> list[tuple[str, float]]:
    """Return labels in kHz and their height in the image, from 0 (bottom) to 1."""
    low, high = _hz_to_mel(MEL.f_min_hz), _hz_to_mel(MEL.f_max_hz)
    return [(f"{hz / 1000:g}", (_hz_to_mel(hz) - low) / (high - low)) for hz in TICKS_HZ]


def _hz_to_mel(hz: float) -> float:
    """Slaney's mel scale: linear up to 1 kHz, logarithmic above."""
    return hz * 3 / 200 if hz < 1000 else 15 + 27 * math.log(hz / 1000) / math.log(6.4)


def _encode_mel(mel: np.ndarray) -> bytes:
    image = io.BytesIO()
    imsave(image, mel, cmap="magma", origin="lower", vmin=MEL.floor_db, vmax=MEL.ceiling_db, format="png")
    return image.getvalue()


def _encode_wav(clip: np.ndarray) -> bytes:
    """Encode as 16 bit, scaled to `PEAK`."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(MEL.sample_rate_hz)
        sound.writeframes((_scale_to_peak(clip) * 32767).astype("<i2").tobytes())
    return file.getvalue()


def _scale_to_peak(clip: np.ndarray) -> np.ndarray:
    return clip * (PEAK / max(1e-6, float(np.abs(clip).max(initial=0))))
