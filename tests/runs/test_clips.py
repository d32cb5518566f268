"""Evaluation on clips: the most active stretch, with a mel of its own."""

import json

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from birdnet_nl.audio.cache import cache_mels
from birdnet_nl.cli import app
from birdnet_nl.recordings.recording import Recording
from birdnet_nl.runs.clips import CLIP_RATE_HZ, cut_clip, most_active_start_s, parse_clip_lengths

BURST_S = (7.0, 9.0)


@pytest.fixture
def recording(tmp_path):
    """Twelve seconds of faint noise with one burst of a tone from 7 s to 9 s."""
    rng, rate_hz = np.random.default_rng(1), 24_000
    time_s = np.arange(12 * rate_hz) / rate_hz
    samples = 0.001 * rng.normal(size=len(time_s))
    burst = (time_s >= BURST_S[0]) & (time_s < BURST_S[1])
    samples[burst] += 0.3 * np.sin(2 * np.pi * 3000 * time_s[burst])
    path = tmp_path / "song" / "XC1.wav"
    path.parent.mkdir()
    soundfile.write(path, samples, rate_hz)
    return Recording("XC1", path, "merel", "song", "song", recordist="A")


def test_a_clip_holds_the_most_active_stretch(recording, small_mel, tmp_path):
    mel = cache_mels([recording], small_mel, tmp_path / "mel", 1)[0]["XC1"]
    start_s = most_active_start_s(mel, small_mel, 3.0)
    assert start_s <= BURST_S[0] + 0.1 and start_s + 3.0 >= BURST_S[1] - 0.1
    clip = cut_clip(recording, mel, small_mel, 3.0, tmp_path)
    samples, rate_hz = soundfile.read(clip.path)
    assert (rate_hz, len(samples)) == (CLIP_RATE_HZ, 3 * CLIP_RATE_HZ) and clip.recordist == "A"
    assert (np.abs(samples) > 0.1).mean() > 0.4  # two of three seconds, below the peaks for a part of each period
    assert cut_clip(recording, mel, small_mel, 3.0, tmp_path).path == clip.path


def test_a_recording_that_is_not_longer_is_used_as_it_is(recording, small_mel, tmp_path):
    mel = cache_mels([recording], small_mel, tmp_path / "mel", 1)[0]["XC1"]
    assert cut_clip(recording, mel, small_mel, 15.0, tmp_path) == recording


@pytest.mark.parametrize(("text", "lengths"), [("", []), ("6", [6.0]), ("15, 6,1.5,6", [15.0, 6.0, 1.5])])
def test_lengths_are_read_in_their_order(text, lengths):
    assert parse_clip_lengths(text) == lengths


@pytest.mark.parametrize("text", ["0", "-3", "six", "6s", "1e9", "nan"])
def test_other_lengths_are_refused(text):
    with pytest.raises(ValueError, match=r"--clip-s .* must be a length in seconds, above 0"):
        parse_clip_lengths(text)


@pytest.mark.slow
def test_an_evaluation_reports_clips_beside_whole_recordings(tiny_run, cache, tmp_path):
    arguments = ["evaluate", str(tiny_run), "--data", str(cache / "demo"), "--cache", str(tmp_path / "cache")]
    result = CliRunner().invoke(app, [*arguments, "--clip-s", "600,3", "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "out" / "metrics.json").read_text())
    longer, short = report["clips"]
    count = report["results"]["recording"]["count"]
    assert longer["results"] == report["results"] and longer["shorter"] == count  # all are shorter than ten minutes
    assert short["results"]["recording"]["count"] == count and short["shorter"] < count
    assert short["results"]["segment"]["count"] == count  # one segment of three seconds each
    assert short["calibration"]["temperature"] == report["calibration"]["temperature"]
    assert "clips of 3 s, the most active stretch: ECE" in result.output
    wrong = CliRunner().invoke(app, [*arguments, "--clip-s", "six", "--out", str(tmp_path / "other")])
    assert wrong.exit_code == 1
