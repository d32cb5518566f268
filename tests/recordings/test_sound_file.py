"""Facts and defects of sound files, compared with libsndfile."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from birdnet_nl.recordings.sound_file import find_defect, read_sound_facts

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "recordings"


@pytest.mark.parametrize("rate_hz", [8000, 16000, 22050, 44100, 48000])
def test_duration_and_sample_rate_agree_with_libsndfile(tmp_path, rate_hz):
    path = tmp_path / "noise.mp3"
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 3 * rate_hz), rate_hz, format="MP3")
    facts = read_sound_facts(path)
    assert facts.sample_rate_hz == soundfile.info(path).samplerate
    assert facts.duration_s == pytest.approx(3.0, abs=0.3)  # an encoder pads
    assert find_defect(path, 3.0) == ""


@pytest.mark.parametrize("keep", [0.1, 0.3, 0.5, 0.8, 0.95, 0.999])
def test_a_cut_file_is_detected(tmp_path, mp3_bytes, keep):
    path = tmp_path / "cut.mp3"
    path.write_bytes(mp3_bytes[: int(keep * len(mp3_bytes))])
    assert "cut off" in find_defect(path, 2.0)
    assert find_defect(path) != ""  # also without the expected duration


def test_tags_that_look_like_frames_are_skipped(tmp_path, mp3_bytes):
    path = tmp_path / "tagged.mp3"
    id3 = b"ID3\x04\x00\x00" + bytes([0, 0, 2, 0]) + b"\xff\xfb\x90\xc4" * 64
    path.write_bytes(id3 + mp3_bytes + b"TAG" + b"\xff\xfb\x90\xc4" + b" " * 121)
    assert find_defect(path, 2.0) == ""


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not a sound file"),
        (b"just text", "not a sound file"),
        (b"\n<!DOCTYPE html><html>", "received a web page"),
        (b'{"error": "no"}', "received a web page"),
        (bytes(5000), "not a sound file"),
    ],
)
def test_files_without_sound_are_detected(tmp_path, content, reason):
    for suffix in (".mp3", ".wav", ".flac", ".ogg"):
        path = tmp_path / f"x{suffix}"
        path.write_bytes(content)
        assert reason in find_defect(path)


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg"])
def test_other_formats_have_facts_too(tmp_path, suffix):
    path = tmp_path / "noise.part"  # the content decides
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 32000), 16000, format=suffix[1:].upper())
    assert find_defect(path, 2.0) == ""
    assert read_sound_facts(path).duration_s == pytest.approx(2.0, abs=0.001)


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the shared recordings")
def test_real_recordings_have_no_defect():
    paths = sorted(SHARED.glob("xeno-canto-*/*/*.mp3"))
    assert [path.name for path in paths if find_defect(path, soundfile.info(path).duration)] == []
