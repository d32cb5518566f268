"""Examples: choice and drawing of test segments, and excerpts of recordings."""

import dataclasses
import io
import struct
import wave

import librosa
import numpy as np
import pytest
import soundfile
import torch

from birdnet_nl.audio.cache import CachedMel, write_mel
from birdnet_nl.audio.inspection import inspect_file
from birdnet_nl.audio.mel import Normalise
from birdnet_nl.data.dataset import SegmentDataset
from birdnet_nl.data.overview import InspectedRecording
from birdnet_nl.data.segments import Segment
from birdnet_nl.evaluation.examples import (
    EXCERPT_S,
    MEL,
    SAMPLE_RATE_HZ,
    SegmentPredictions,
    choose_errors,
    choose_examples,
    choose_typical,
    cut_clip,
    draw_segments,
    make_example,
    ticks,
)
from birdnet_nl.recordings.recording import Recording

TYPES = ["song", "call"]
ND = "https://creativecommons.org/licenses/by-nc-nd/4.0/"


@pytest.fixture
def segments(tmp_path, small_mel) -> SegmentPredictions:
    """Two recordings of each type with three segments each; all of XC1 and one of XC3 are wrong."""
    ids = ["XC0", "XC1", "XC2", "XC3"]
    mels = {}
    for id in ids:
        write_mel(np.full((16, 96), -30, dtype=np.float16), tmp_path / f"{id}.npy")
        mels[id] = CachedMel(tmp_path / f"{id}.npy", 96, id)
    cut = [Segment(id, 0.5 * number) for id in ids for number in range(3)]
    dataset = SegmentDataset(cut, mels, {"XC0": 0, "XC1": 0, "XC2": 1, "XC3": 1}, small_mel, 0.5)
    song = torch.tensor([0.9, 0.8, 0.7, 0.2, 0.1, 0.3, 0.4, 0.3, 0.2, 0.6, 0.1, 0.45])
    return SegmentPredictions(dataset, torch.stack([song, 1 - song], dim=1), TYPES, small_mel.frames_per_s)


def test_errors_are_the_most_confident_of_each_recording(segments):
    assert choose_errors(segments) == [4, 9]
    assert (segments.recording_id(4), segments.start_s(4), segments.true_and_predicted(4)) == (
        "XC1",
        pytest.approx(0.5, abs=0.02),
        ("song", "call"),
    )


def test_typical_segments_are_correct_and_wrong_ones_of_each_type(segments):
    assert choose_typical(segments) == [0, 1, 4, 10, 7, 9]


def test_mels_are_drawn_with_true_and_predicted_type(segments, small_mel):
    figure = draw_segments(segments, [4, 9, 0, 6], Normalise(small_mel), "examples", True)
    assert [axes.get_title() for axes in figure.axes] == [
        "song  predicted call (90%)  XC1 0.5 s",
        "call  predicted song (60%)  XC3 0.0 s",
        "song  ✓ (90%)  XC0 0.0 s",
        "call  ✓ (60%)  XC2 0.0 s",
        *("", ""),  # four examples on two rows of three
    ]
    assert figure.axes[0].title.get_color() != figure.axes[2].title.get_color()
    assert "synthetic" in figure.get_suptitle() and len(figure.axes[0].images) == 1


def test_a_clip_has_the_samples_of_the_segment(tmp_path):
    time_s = np.arange(3 * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    tone = 0.2 * np.sin(2 * np.pi * np.where(time_s < 1, 500, 2000) * time_s)
    soundfile.write(tmp_path / "XC1.wav", tone.astype(np.float32), SAMPLE_RATE_HZ)
    clip = cut_clip(Recording("XC1", tmp_path / "XC1.wav", "merel", "song", "song"), 1.0, 0.5)
    assert len(clip) == SAMPLE_RATE_HZ // 2 and np.abs(clip).max() == pytest.approx(0.9, abs=0.01)
    peak_hz = np.abs(np.fft.rfft(clip)).argmax() * 2
    assert peak_hz == pytest.approx(2000, abs=4)


def test_spectrograms_have_no_clip(tmp_path):
    assert cut_clip(Recording("XC1", tmp_path / "song" / "XC1", "merel", "song", "song"), 0.0, 3.0) is None


@pytest.fixture
def recorded(tmp_path):
    """Make a recording of faint noise with a tone of two seconds from `start_s`."""

    def recorded(number: int, kind: str = "song", duration_s: float = 20.0, start_s: float = 12.0, **known):
        rng = np.random.default_rng(number)
        time_s = np.arange(round(duration_s * 24000)) / 24000
        sounding = (time_s > start_s) & (time_s < start_s + 2)
        path = tmp_path / f"XC{number}.wav"
        tone = 0.3 * sounding * np.sin(2 * np.pi * 3000 * time_s)
        soundfile.write(path, rng.normal(0, 0.001, len(time_s)) + tone, 24000)
        recording = Recording(f"XC{number}", path, "koolmees", kind, kind, **known)
        return InspectedRecording(recording, inspect_file(path), kind, "", "", "", segments=1, oddities=())

    return recorded


def test_the_excerpt_contains_the_bird_and_its_activity_is_high_there(recorded):
    example = make_example(recorded(1))
    assert example.start_s <= 12.0 and example.start_s + EXCERPT_S >= 14.0
    with wave.open(io.BytesIO(example.wav)) as sound:
        assert sound.getframerate() == MEL.sample_rate_hz
        samples = np.frombuffer(sound.readframes(10**6), "<i2") / 32768
    assert len(samples) / MEL.sample_rate_hz == pytest.approx(EXCERPT_S, abs=0.02)
    assert np.abs(samples).max() == pytest.approx(0.9, abs=0.01)
    assert example.mel_png.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", example.mel_png[16:24])
    assert (width, height) == (round(EXCERPT_S * MEL.frames_per_s), MEL.n_mels)
    at_s = example.start_s + np.linspace(0, example.duration_s, len(example.activity))
    singing = (at_s > 12.1) & (at_s < 13.9)
    silent = (at_s < 11.8) | (at_s > 14.2)
    assert example.activity.max() <= 1
    assert example.activity[singing].min() > 2 * example.activity[silent].mean()


def test_a_short_recording_is_shown_whole_and_without_sound_where_the_licence_forbids_it(recorded):
    example = make_example(recorded(1, duration_s=1.5, start_s=0.5, licence=ND))
    assert example.start_s == 0.0 and example.duration_s == pytest.approx(1.5)
    assert example.wav == b"" and example.mel_png


def test_the_best_recordings_of_different_recordists_are_chosen(recorded):
    recordings = [
        recorded(1, quality="C", recordist="Anna"),
        recorded(2, quality="B", recordist="Anna"),
        recorded(3, quality="B", recordist="Bert"),
        recorded(4, quality="A", recordist="Cor", licence=ND),
        recorded(5, "alarm", quality="E"),
        dataclasses.replace(recorded(6, quality="A"), left_out="silent"),
        dataclasses.replace(recorded(7, quality="A", recordist="Dirk"), oddities=("clipped",)),
        recorded(8, "several", quality="A"),
    ]
    assert [item.recording.id for item in choose_examples(recordings, 2)] == ["XC2", "XC3", "XC5"]
    assert [item.recording.id for item in choose_examples(recordings, 4)] == ["XC2", "XC3", "XC7", "XC4", "XC5"]


def test_the_ticks_are_on_the_mel_scale():
    hz = np.array([500, 1000, 2000, 4000, 8000])
    low, high = librosa.hz_to_mel([MEL.f_min_hz, MEL.f_max_hz])
    expected = (librosa.hz_to_mel(hz) - low) / (high - low)
    assert [label for label, _ in ticks()] == ["0.5", "1", "2", "4", "8"]
    np.testing.assert_allclose([height for _, height in ticks()], expected, atol=1e-6)
