"""Clips of BirdNET-Pi: late, growing, purged, in folders of another language, outside; and where the detection is."""

import os
import time
import unicodedata
from datetime import datetime, timedelta

import numpy as np
import pytest
import soundfile

from birdnet_nl.stations.birdnet_pi_clips import BirdnetPiClips, detection_window_s
from birdnet_nl.stations.birdnet_pi_rows import Row, detection_of, pair_renamed, safe_name
from birdnet_nl.stations.station import AudioGoneError, AudioNotReadyError, StationUnavailableError
from tests.stations.birdnet_pi_station import FakeBirdnetPi, row_of

RATE_HZ = 8000


@pytest.fixture
def pi(tmp_path):
    return FakeBirdnetPi(tmp_path)


@pytest.fixture
def clips(pi):
    return BirdnetPiClips(pi.clips)


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    """A complete clip of 6 s in each format that BirdNET-Pi writes."""
    folder = tmp_path_factory.mktemp("sounds")
    samples = np.random.default_rng(0).normal(0, 0.1, 6 * RATE_HZ).astype(np.float32)
    for suffix in ("wav", "flac", "ogg", "mp3"):
        soundfile.write(folder / f"clip.{suffix}", samples, RATE_HZ)
    return folder


def detection(row):
    return detection_of(Row(*row[:5], row[11]))


def row_now(minutes_ago: float = 0, **values):
    return row_of(0, start=datetime.now().replace(microsecond=0) - timedelta(minutes=minutes_ago), **values)


def age(path, seconds):
    moment = time.time() - seconds
    os.utime(path, (moment, moment))


def settle():
    time.sleep(0.35)  # the time of the last change of a file cannot be set


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_a_complete_clip_is_found(pi, clips, sounds, suffix):
    row = row_now(suffix=suffix)
    path = pi.write_clip(row, sounds / f"clip.{suffix}")
    settle()
    assert clips.path(detection(row)) == path


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_a_growing_clip_is_not_ready(pi, clips, sounds, suffix):
    row = row_now(suffix=suffix)
    content = (sounds / f"clip.{suffix}").read_bytes()
    path = pi.write_clip(row, sounds / f"clip.{suffix}")
    for part in (0, len(content) // 3, len(content) * 9 // 10):
        path.write_bytes(content[:part])
        with pytest.raises(AudioNotReadyError, match="is being written"):
            clips.path(detection(row))
        settle()
        with pytest.raises(AudioNotReadyError, match=r"is empty|ends before its sound does"):
            clips.path(detection(row))
    path.write_bytes(content)
    settle()
    assert clips.path(detection(row)) == path


def test_a_wav_whose_length_is_to_be_filled_in_is_not_ready(pi, clips, sounds):
    row = row_now(suffix="wav")
    content = bytearray((sounds / "clip.wav").read_bytes())
    content[4:8] = content[40:44] = b"\xff\xff\xff\xff"
    path = pi.write_clip(row, sounds / "clip.wav")
    path.write_bytes(content)
    settle()
    with pytest.raises(AudioNotReadyError, match="header without the length of its sound"):
        clips.path(detection(row))


def test_an_unfinished_clip_whose_writer_is_gone_is_handed_out(pi, clips, sounds, monkeypatch):
    row = row_now(suffix="wav")
    path = pi.write_clip(row, sounds / "clip.wav")
    path.write_bytes(path.read_bytes()[:5000])
    settle()
    monkeypatch.setattr("birdnet_nl.stations.clip_ready.UNFINISHED_S", 0.3)
    assert clips.path(detection(row)) == path


def test_a_clip_of_a_clock_that_is_ahead_is_ready_when_it_no_longer_grows(pi, clips, sounds):
    row = row_now(suffix="wav")
    path = pi.write_clip(row, sounds / "clip.wav")
    age(path, -3600)
    with pytest.raises(AudioNotReadyError, match="is being written"):
        clips.path(detection(row))
    settle()
    assert clips.path(detection(row)) == path


def test_a_missing_clip_is_awaited_for_ten_minutes_and_then_gone(clips):
    with pytest.raises(AudioNotReadyError, match="is not written yet"):
        clips.path(detection(row_now(minutes_ago=9)))
    with pytest.raises(AudioNotReadyError):
        clips.path(detection(row_now(minutes_ago=-60)))  # of a clock that was put back
    with pytest.raises(AudioGoneError, match="does not exist"):
        clips.path(detection(row_now(minutes_ago=11)))


def test_a_clip_of_the_future_is_not_awaited_for_ever(clips, monkeypatch):
    ahead = detection(row_now(minutes_ago=-100_000))
    with pytest.raises(AudioNotReadyError):
        clips.path(ahead)
    start = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: start + 601)
    with pytest.raises(AudioGoneError):
        clips.path(ahead)


def test_a_missing_folder_blames_no_detection(pi, clips):
    pi.clips.rmdir()
    with pytest.raises(StationUnavailableError, match="check that its disk is mounted"):
        clips.path(detection(row_now(minutes_ago=11)))


def test_another_folder_blames_no_detection_and_an_empty_one_does(pi, clips):
    with pytest.raises(AudioGoneError):
        clips.path(detection(row_now(11)))
    (pi.clips / "Holiday").mkdir()
    with pytest.raises(StationUnavailableError, match="holds no folders of days"):
        clips.path(detection(row_now(11)))
    (pi.clips / "2026-11-30").mkdir()
    with pytest.raises(AudioGoneError):
        clips.path(detection(row_now(11)))


@pytest.mark.parametrize("common", ["Koolmees", "Cetti's Zanger", "Mésange charbonnière", "Grote Gele Kwikstaart"])
def test_the_folder_has_the_safe_name_of_the_species(pi, clips, sounds, common):
    row = row_now(common=common, suffix="wav")
    path = pi.write_clip(row, sounds / "clip.wav")
    settle()
    assert clips.path(detection(row)) == path
    assert "'" not in safe_name(common) and " " not in safe_name(common)


def test_a_clip_in_a_folder_of_another_language_is_found_by_its_name(pi, clips, sounds):
    row = row_now(common="Koolmees", suffix="wav")
    path = pi.write_clip(row, sounds / "clip.wav")
    for number in range(3):
        (pi.clips / row[0] / f"Other {number}").mkdir()
    settle()
    renamed = (*row[:3], "Great Tit", *row[4:])
    assert clips.path(detection(renamed)) == path
    other = path.parent.with_name("Great_Tit_new")
    path.parent.rename(other)  # another folder: the list of the day is read again
    assert clips.path(detection(renamed)) == other / path.name


def test_names_with_accents_are_found_in_both_spellings(pi, clips, sounds):
    row = row_now(common=unicodedata.normalize("NFC", "Mésange bleue"), suffix="wav")
    path = pi.write_clip(row, sounds / "clip.wav")
    copied = path.parent.with_name("copied") / unicodedata.normalize("NFD", path.name)
    copied.parent.mkdir()
    path.rename(copied)
    settle()
    assert clips.path(detection(row)) == copied


def test_no_clip_outside_the_folder_is_found(pi, clips, sounds, tmp_path):
    secret = tmp_path / "secret.wav"
    secret.write_bytes((sounds / "clip.wav").read_bytes())
    row = row_now(minutes_ago=60, suffix="wav")
    path = pi.clip_of(row)
    path.parent.mkdir(parents=True)
    path.symlink_to(secret)
    with pytest.raises(AudioGoneError):
        clips.path(detection(row))
    outside = ["../../../secret.wav", str(secret), "2026-11-30/../../../../secret.wav"]
    for clip in (*outside, "a\0b/c/d.wav", "x" * 5000, ""):
        assert clips.find(clip) is None
    path.unlink()
    path.parent.rmdir()
    path.parent.symlink_to(tmp_path)
    (tmp_path / path.name).write_bytes(b"x")
    assert clips.find(detection(row).clip) is None


def test_a_folder_of_clips_that_is_a_link_is_followed(pi, sounds, tmp_path):
    row = row_now(suffix="wav")
    pi.write_clip(row, sounds / "clip.wav")
    link = tmp_path / "link"
    link.symlink_to(pi.clips)
    settle()
    assert BirdnetPiClips(link).path(detection(row)).is_file()


@pytest.mark.parametrize(
    ("duration_s", "clip_s", "window_s"),
    [
        (6.0, 6.0, (1.5, 4.5)),
        (6.05, 6.0, (1.525, 4.525)),  # mp3 is padded
        (4.5, 6.0, (0.0, 4.5)),  # at an end of the recording
        (3.0, 6.0, (0.0, 3.0)),
        (1.0, 6.0, (0.0, 1.0)),
        (0.0, 6.0, (0.0, 0.0)),
        (15.0, 15.0, (6.0, 9.0)),
        (9.0, 15.0, (0.0, 9.0)),
        (12.0, 15.0, (3.0, 9.0)),
        (10.0, 6.0, (3.5, 6.5)),
        (3.0, 3.0, (0.0, 3.0)),
        (2.9, 3.0, (0.0, 2.9)),
    ],
)
def test_the_detection_is_in_the_window(duration_s, clip_s, window_s):
    assert detection_window_s(duration_s, clip_s) == pytest.approx(window_s)


def test_the_window_holds_the_detection_wherever_birdnet_pi_cuts():
    """The cut as BirdNET-Pi makes it, from a recording of 15 s."""
    for clip_s in (6.0, 9.0, 12.0):
        margin_s = (clip_s - 3) / 2
        for start_s in np.arange(0, 12.01, 0.5):
            cut_s = (max(0, start_s - margin_s), min(15, start_s + 3 + margin_s))
            window = detection_window_s(cut_s[1] - cut_s[0], clip_s)
            if cut_s[0] == 0 and cut_s[1] == 15:
                continue
            assert window[0] <= start_s - cut_s[0] + 1e-9 and window[1] >= start_s + 3 - cut_s[0] - 1e-9


def test_only_unambiguous_changes_are_pairs():
    old = [detection(row_of(0, confidence=0.8, common=name)) for name in ("Merel", "Koolmees")]
    new = [detection(row_of(0, confidence=0.8, common=name)) for name in ("Vink", "Ekster")]
    assert pair_renamed(old, new) == {}
    assert pair_renamed(old[:1], new[:1]) == {old[0].key: new[0].key}
    other = detection(row_of(0, confidence=0.5, common="Vink"))
    assert pair_renamed(old[:1], [other]) == {old[0].key: other.key}
    assert pair_renamed(old[:1], [detection(row_of(1, common="Vink"))]) == {}
    assert pair_renamed(old[:1], [detection(row_of(0, common="Vink", source="RTSP_2"))]) == {}
