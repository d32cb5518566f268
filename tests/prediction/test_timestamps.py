"""Date and time of a recording by the names of recorders and by metadata in the file."""

import struct
from pathlib import Path

import pytest

from birdnet_nl.prediction.timestamps import recorded_at


@pytest.mark.parametrize(
    ("name", "start", "zone"),
    [
        ("20260501_061233.WAV", "2026-05-01 06:12:33", "UTC"),  # AudioMoth
        ("SMA01234_20260501_061233.wav", "2026-05-01 06:12:33", ""),  # Song Meter
        ("2MM01234_20260501$061233.wav", "2026-05-01 06:12:33", ""),
        ("SM4_0+1_20260501_061233.wav", "2026-05-01 06:12:33", ""),
        ("Koolmees-85-2026-05-01-birdnet-06:12:33.mp3", "2026-05-01 06:12:33", ""),  # BirdNET-Pi
        ("Koolmees-85-2026-05-01-birdnet-RTSP_1-06:12:33.mp3", "2026-05-01 06:12:33", ""),
        ("parus_major_80p_20260501T061233Z_15s.wav", "2026-05-01 06:12:33", "UTC"),  # BirdNET-Go
        ("x_20260501T061233+0200.flac", "2026-05-01 06:12:33", "+02:00"),
        ("5E90A4D4.WAV", "2020-04-10 16:54:44", "UTC"),  # first AudioMoths
    ],
)
def test_names_of_recorders(tmp_path, name, start, zone):
    found = recorded_at(tmp_path / name)
    assert (f"{found.start}", found.zone) == (start, zone)


@pytest.mark.parametrize(
    "name", ["clip.wav", "20261301_061233.wav", "XC123456.mp3", "20240101.wav", "120260501_0612331.wav"]
)
def test_other_numbers_are_not_times(tmp_path, name):
    assert recorded_at(tmp_path / name) is None


def write_wav(path: Path, name: bytes, text: str) -> Path:
    chunk = text.encode()
    chunks = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16)
    chunks += b"data" + struct.pack("<I", 4) + b"\0\0\0\0"
    chunks += name + struct.pack("<I", len(chunk)) + chunk
    path.write_bytes(b"RIFF" + struct.pack("<I", len(chunks) + 4) + b"WAVE" + chunks)
    return path


def test_guano_precedes_the_name(tmp_path):
    guano = "GUANO|Version: 1.0\nTimestamp: 2026-05-01T06:12:33+02:00\nMake: X\n"
    found = recorded_at(write_wav(tmp_path / "20200101_000000.WAV", b"guan", guano))
    assert found.columns(30.0) == ("2026-05-01", "06:13:03", "+02:00")


def test_the_comment_of_an_audiomoth_gives_its_time_zone(tmp_path):
    comment = "INFOICMT\x50\0\0\0Recorded at 19:17:30 15/05/2026 (UTC+2) by AudioMoth 24F319055FDF2F5B"
    found = recorded_at(write_wav(tmp_path / "a.wav", b"LIST", comment))
    assert found.columns(0.0) == ("2026-05-15", "19:17:30", "+02:00")
    comment = comment.replace("UTC+2", "UTC")
    assert recorded_at(write_wav(tmp_path / "b.wav", b"LIST", comment)).zone == "UTC"


def test_a_row_after_midnight_has_the_next_date(tmp_path):
    assert recorded_at(tmp_path / "20261231_235959.WAV").columns(1.5)[:2] == ("2027-01-01", "00:00:00")


def test_a_damaged_wav_is_no_error(tmp_path):
    (tmp_path / "a_20260501_061233.wav").write_bytes(b"RIFF\0\0\0\0WAVEguan\xff")
    assert recorded_at(tmp_path / "a_20260501_061233.wav").columns(0.0)[0] == "2026-05-01"
