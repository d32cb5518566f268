"""Which segments are shown, and that what is heard is what is seen."""

import numpy as np
import pytest
import soundfile
import torch

from birdnet_nl.audio.cache import CachedMel, write_mel
from birdnet_nl.audio.mel import Normalise
from birdnet_nl.data.dataset import SegmentDataset
from birdnet_nl.data.segments import Segment
from birdnet_nl.evaluation.segment_examples import (
    SAMPLE_RATE_HZ,
    SegmentPredictions,
    choose_errors,
    choose_typical,
    cut_clip,
    draw_segments,
)
from birdnet_nl.recordings.recording import Recording

TYPES = ["song", "call"]


@pytest.fixture
def answers(tmp_path, small_mel) -> SegmentPredictions:
    """Two recordings of each type with three segments each; XC1 is always wrong, XC3 once."""
    ids = ["XC0", "XC1", "XC2", "XC3"]
    mels = {}
    for id in ids:
        write_mel(np.full((16, 96), -30, dtype=np.float16), tmp_path / f"{id}.npy")
        mels[id] = CachedMel(tmp_path / f"{id}.npy", 96, id)
    segments = [Segment(id, 0.5 * number) for id in ids for number in range(3)]
    dataset = SegmentDataset(segments, mels, {"XC0": 0, "XC1": 0, "XC2": 1, "XC3": 1}, small_mel, 0.5)
    song = torch.tensor([0.9, 0.8, 0.7, 0.2, 0.1, 0.3, 0.4, 0.3, 0.2, 0.6, 0.1, 0.45])
    return SegmentPredictions(dataset, torch.stack([song, 1 - song], dim=1), TYPES, small_mel.frames_per_s)


def test_errors_are_the_surest_and_one_of_each_recording(answers):
    assert choose_errors(answers) == [4, 9]
    assert choose_errors(answers, most=1) == [4]
    assert (answers.recording_id(4), answers.start_s(4), answers.verdict(4)) == (
        "XC1",
        pytest.approx(0.5, abs=0.02),
        ("song", "call"),
    )


def test_typical_segments_are_right_and_wrong_ones_of_each_type(answers):
    assert choose_typical(answers) == [0, 1, 4, 10, 7, 9]


def test_their_mels_are_drawn_with_the_verdict(answers, small_mel):
    figure = draw_segments(answers, [4, 9], Normalise(small_mel), "errors", False)
    titles = [axes.get_title() for axes in figure.axes]
    assert titles[0] == "song  answered call (90%)  XC1 0.5 s"
    assert titles[1] == "call  answered song (60%)  XC3 0.0 s"


def test_the_clip_is_the_stretch_of_the_recording(tmp_path):
    time_s = np.arange(3 * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    tone = 0.2 * np.sin(2 * np.pi * np.where(time_s < 1, 500, 2000) * time_s)
    soundfile.write(tmp_path / "XC1.wav", tone.astype(np.float32), SAMPLE_RATE_HZ)
    clip = cut_clip(Recording("XC1", tmp_path / "XC1.wav", "merel", "song", "song"), 1.0, 0.5)
    assert len(clip) == SAMPLE_RATE_HZ // 2 and np.abs(clip).max() == pytest.approx(0.9, abs=0.01)
    peak_hz = np.abs(np.fft.rfft(clip)).argmax() * 2
    assert peak_hz == pytest.approx(2000, abs=4)


def test_spectrograms_have_no_sound(tmp_path):
    assert cut_clip(Recording("XC1", tmp_path / "song" / "XC1", "merel", "song", "song"), 0.0, 3.0) is None
