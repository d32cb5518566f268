"""Files that are no sound, whatever they are called."""

import gzip
import time

import numpy as np
import pytest
import soundfile

from birdnet_nl.audio.decode import decode
from birdnet_nl.audio.inspection import inspect_file
from birdnet_nl.util.errors import DataError
from tests.audio.sounds import FORMATS, soundfile_bytes, tone, with_data_size

RANDOM = np.random.default_rng(0).integers(0, 256, 20_000, dtype=np.uint8).tobytes()
TAG = b"ID3\x03\x00\x00\x00\x00\x02\x00"
CONTENTS = {
    "a web page": b"\r\n<!DOCTYPE html><p>429 Too many requests",
    "JSON": b'{"error": "client_error"}',
    "XML": b'<?xml version="1.0"?><Error/>',
    "text": "Hier staat een verhaal over de koolmees, één keer\n".encode() * 20,
    "only zeros": bytes(100_000),
    "only a tag, without sound": TAG + bytes(256) + bytes(1000),
    "a JPEG image": b"\xff\xd8\xff\xe0" + RANDOM,
    "a zip archive": b"PK\x03\x04" + RANDOM,
    "a gzip archive": gzip.compress(FORMATS["mp3"]()),
    "of no known sound format": b"\x01\x02" + RANDOM,
}


@pytest.mark.parametrize("suffix", [".mp3", ".wav", ".m4a"])
@pytest.mark.parametrize("content", CONTENTS)
def test_the_reason_says_what_a_file_holds_instead_of_sound(tmp_path, content, suffix):
    path = (tmp_path / "XC1").with_suffix(suffix)
    path.write_bytes(CONTENTS[content])
    reason = f"cannot be decoded (its content is {content})"
    with pytest.raises(DataError) as error:
        decode(path, 16_000)
    assert str(error.value) == reason == inspect_file(path).reason


def test_an_unknown_encoding_is_named_in_our_words(tmp_path):
    data = bytearray(soundfile_bytes("WAV", "PCM_16"))
    data[34:36] = bytes(2)  # bits per sample
    (tmp_path / "sound.wav").write_bytes(data)
    reason = inspect_file(tmp_path / "sound.wav").reason
    assert reason.startswith("cannot be decoded (") and "object has no attribute" not in reason


@pytest.mark.parametrize("samples", [np.full(16_000, 0.5), np.full(16_000, 0.5) + 3e-5 * (np.arange(16_000) % 2)])
def test_a_constant_offset_is_silence(tmp_path, samples):
    soundfile.write(tmp_path / "sound.wav", samples, 16_000, subtype="FLOAT")
    reason = inspect_file(tmp_path / "sound.wav").reason
    assert reason == "silent (all samples have nearly the same value)"
    with pytest.raises(DataError, match="nearly the same value"):
        decode(tmp_path / "sound.wav", 16_000)


def test_faint_sound_on_an_offset_is_no_silence(tmp_path):
    soundfile.write(tmp_path / "sound.wav", tone(peak=0.001)[:, 0] * 0.1 + 0.5, 16_000, subtype="FLOAT")
    assert inspect_file(tmp_path / "sound.wav").reason == ""


def test_filling_bytes_take_no_long_time(tmp_path):
    mp3 = FORMATS["mp3"]()
    (tmp_path / "sound.mp3").write_bytes(mp3[: len(mp3) // 2] + b"\xff" * 5_000_000)
    start = time.perf_counter()
    facts = inspect_file(tmp_path / "sound.mp3")
    assert time.perf_counter() - start < 2 and facts.duration_s == pytest.approx(1.0, abs=0.1)


def test_a_gap_is_not_called_an_end(tmp_path):
    mp3, ogg = soundfile_bytes("MP3", samples=tone(8.0)), soundfile_bytes("OGG", "VORBIS", tone(20.0))
    (tmp_path / "gap.mp3").write_bytes(mp3[:20_000] + bytes(5000) + mp3[25_000:])
    pages = ogg.split(b"OggS")
    (tmp_path / "gap.ogg").write_bytes(b"OggS".join(pages[:5] + pages[6:]))
    for name in ("gap.mp3", "gap.ogg"):
        facts = inspect_file(tmp_path / name)
        assert not facts.cut and facts.warning.endswith("s of the sound that its header states are missing"), name


def test_a_wav_of_unknown_size_may_hold_zeros(tmp_path):
    data = with_data_size(soundfile_bytes("WAV", "PCM_16", np.zeros((16_000, 1))), 0)
    (tmp_path / "sound.wav").write_bytes(data)
    assert inspect_file(tmp_path / "sound.wav").reason.startswith("silent")
