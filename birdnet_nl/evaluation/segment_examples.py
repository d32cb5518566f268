"""Test segments worth looking at and listening to: typical ones, and the errors a run is surest of."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.figure import Figure

from birdnet_nl.audio.decode import decode
from birdnet_nl.audio.mel import Normalise
from birdnet_nl.data.dataset import SegmentDataset
from birdnet_nl.evaluation.plots import draw_examples
from birdnet_nl.recordings.recording import Recording
from birdnet_nl.util.errors import DataError

MAX_ERRORS = 6
SAMPLE_RATE_HZ = 24000  # of the clips to listen to


@dataclass(frozen=True)
class SegmentPredictions:
    """A split's segments and what was answered: probabilities [segments, types] in the order of `dataset`."""

    dataset: SegmentDataset
    probabilities: torch.Tensor
    types: Sequence[str]
    frames_per_s: float

    def start_s(self, index: int) -> float:
        return float(self.dataset.start_frames[index]) / self.frames_per_s

    def recording_id(self, index: int) -> str:
        return self.dataset.recording_ids[int(self.dataset.recordings[index])]

    def verdict(self, index: int) -> tuple[str, str]:
        """True type and answer of a segment."""
        return self.types[int(self.dataset.types[index])], self.types[int(self.probabilities[index].argmax())]


def choose_typical(answers: SegmentPredictions) -> list[int]:
    """Three segments of each type: the surest right answer, a middling one, the surest wrong one."""
    given, truth = answers.probabilities.argmax(dim=1), answers.dataset.types
    certainty = answers.probabilities.amax(dim=1)
    chosen: list[int] = []
    for kind in range(len(answers.types)):
        of_type = torch.nonzero(truth == kind).flatten()
        for right in (True, False):
            matching = of_type[(given[of_type] == kind) == right]
            ranked = matching[certainty[matching].argsort(descending=True)].tolist()
            chosen += dict.fromkeys([*ranked[:1], *(ranked[len(ranked) // 2 :][:1] if right else [])])
    return chosen


def choose_errors(answers: SegmentPredictions, most: int = MAX_ERRORS) -> list[int]:
    """Segments answered wrongly with the greatest certainty, one of each recording, the surest first."""
    wrong = torch.nonzero(answers.probabilities.argmax(dim=1) != answers.dataset.types).flatten()
    ranked = wrong[answers.probabilities.amax(dim=1)[wrong].argsort(descending=True)].tolist()
    first_of = {answers.recording_id(index): index for index in reversed(ranked)}
    return sorted(first_of.values(), key=ranked.index)[:most]


def draw_segments(
    answers: SegmentPredictions, chosen: Sequence[int], normalise: Normalise, title: str, synthetic: bool
) -> Figure:
    """Their mels as the network sees them, with true type, answer and where they are."""
    mels = normalise(answers.dataset.__getitems__(list(chosen))[0]).numpy()
    truth, given = zip(*(answers.verdict(index) for index in chosen), strict=True)
    names = [f"{answers.recording_id(index)} {answers.start_s(index):.1f} s" for index in chosen]
    certainty = [float(answers.probabilities[index].max()) for index in chosen]
    return draw_examples(mels, truth, given, certainty, names, title, synthetic)


def cut_clip(recording: Recording, start_s: float, duration_s: float) -> np.ndarray | None:
    """The samples of a segment at 24 kHz, as loud as they go, or None where the file holds no sound (spectrograms)."""
    try:
        samples = decode(recording.path, SAMPLE_RATE_HZ)
    except (DataError, OSError):
        return None
    clip = samples[round(start_s * SAMPLE_RATE_HZ) :][: round(duration_s * SAMPLE_RATE_HZ)]
    return clip * (0.9 / max(1e-6, float(np.abs(clip).max(initial=0))))
