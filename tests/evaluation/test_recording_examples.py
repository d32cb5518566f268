"""Excerpts to see and hear: chosen well, cut where something happens, and never of a work that may not be cut."""

import dataclasses
import io
import struct
import wave

import librosa
import numpy as np
import pytest
import soundfile

from birdnet_nl.audio.inspection import inspect_file
from birdnet_nl.data.overview import InspectedRecording
from birdnet_nl.evaluation.recording_examples import EXCERPT_S, MEL, choose_examples, make_example, ticks
from birdnet_nl.recordings.library import FoundRecording

ND = "https://creativecommons.org/licenses/by-nc-nd/4.0/"


@pytest.fixture
def recorded(tmp_path):
    """A recording of silence with a tone from `start_s` on, for two seconds."""

    def recorded(number: int, kind: str = "song", duration_s: float = 20.0, start_s: float = 12.0, **known):
        rng = np.random.default_rng(number)
        time_s = np.arange(round(duration_s * 24000)) / 24000
        there = (time_s > start_s) & (time_s < start_s + 2)
        path = tmp_path / f"XC{number}.wav"
        soundfile.write(
            path, rng.normal(0, 0.001, len(time_s)) + 0.3 * there * np.sin(2 * np.pi * 3000 * time_s), 24000
        )
        recording = FoundRecording(f"XC{number}", path, "koolmees", kind, kind, **known)
        facts = inspect_file(path)
        return InspectedRecording(
            recording, facts, kind, left_out="", duplicate_of="", split="", segments=1, oddities=()
        )

    return recorded


def test_the_excerpt_is_where_the_bird_is(recorded):
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


def test_the_activity_is_high_where_the_bird_is(recorded):
    example = make_example(recorded(1))
    at_s = example.start_s + np.linspace(0, example.duration_s, len(example.activity))
    singing = (at_s > 12.1) & (at_s < 13.9)
    silent = (at_s < 11.8) | (at_s > 14.2)
    assert example.activity.max() <= 1
    assert example.activity[singing].min() > 2 * example.activity[silent].mean()


def test_a_recording_shorter_than_the_excerpt_is_shown_whole(recorded):
    example = make_example(recorded(1, duration_s=1.5, start_s=0.5))
    assert example.start_s == 0.0 and example.duration_s == pytest.approx(1.5)


@pytest.mark.parametrize("licence", [ND, "CC BY-NC-ND 4.0", "by-nd"])
def test_no_sound_is_cut_from_what_may_not_be_cut(recorded, licence):
    example = make_example(recorded(1, licence=licence))
    assert example.wav == b"" and example.mel_png


def test_the_best_are_chosen_by_different_people(recorded):
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
    assert [one.recording.id for one in choose_examples(recordings, 2)] == ["XC2", "XC3", "XC5"]
    assert [one.recording.id for one in choose_examples(recordings, 4)] == ["XC2", "XC3", "XC7", "XC4", "XC5"]


def test_the_scale_is_that_of_the_mel():
    hz = np.array([500, 1000, 2000, 4000, 8000])
    low, high = librosa.hz_to_mel([MEL.f_min_hz, MEL.f_max_hz])
    expected = (librosa.hz_to_mel(hz) - low) / (high - low)
    assert [label for label, _ in ticks()] == ["0.5", "1", "2", "4", "8"]
    np.testing.assert_allclose([height for _, height in ticks()], expected, atol=1e-6)
