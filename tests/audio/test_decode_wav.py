"""WAV files whose chunks are not as the standard says, and WAV files that were joined."""

import struct

import numpy as np
import pytest

from birdnet_nl.audio.decode import decode, decode_sound
from birdnet_nl.audio.inspection import inspect_file
from tests.audio.sounds import RATE_HZ, tone

SAMPLES = (tone()[:, 0] * 32767).astype("<i2")
SOUND = SAMPLES.tobytes()
ODD_LIST = b"LIST" + struct.pack("<I", 7) + b"INFOabc"


def chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content


FORM = chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, RATE_HZ, 2 * RATE_HZ, 2, 16))


def wav(*chunks: bytes) -> bytes:
    return b"RIFF" + chunk(b"", b"WAVE" + b"".join(chunks))


WHOLE = wav(FORM, chunk(b"data", SOUND))
CASES = {
    "an odd chunk without padding": (wav(FORM, ODD_LIST, chunk(b"data", SOUND)), 1),
    "an odd chunk with padding": (wav(FORM, ODD_LIST + b"\0", chunk(b"data", SOUND)), 1),
    "an odd chunk without padding behind": (wav(FORM, chunk(b"data", SOUND), ODD_LIST, chunk(b"id3 ", bytes(20))), 1),
    "two odd chunks around the format": (wav(ODD_LIST, FORM, ODD_LIST, chunk(b"data", SOUND)), 1),
    "zeros behind": (WHOLE + bytes(50_000), 1),
    "a cut chunk behind": (WHOLE + b"LIST" + struct.pack("<I", 5000) + b"INFOabcd", 1),
    "two data chunks": (wav(FORM, chunk(b"data", SOUND), chunk(b"data", SOUND)), 2),
    "two files": (WHOLE * 2, 2),
    "three files, one with a list": (WHOLE + wav(FORM, chunk(b"data", SOUND), ODD_LIST) + WHOLE, 3),
    "two files behind odd chunks": (wav(FORM, ODD_LIST, chunk(b"data", SOUND)) * 2, 2),
    "two thousand files": (wav(FORM, chunk(b"data", SOUND[:32])) * 2000, 0.5),
}


@pytest.mark.parametrize("name", CASES)
def test_all_sound_of_a_wav_is_read_and_nothing_else(tmp_path, name):
    content, times = CASES[name]
    path = tmp_path / "sound.wav"
    path.write_bytes(content)
    sound = decode_sound(path, RATE_HZ)
    expected = np.tile(SAMPLES, times) if times >= 1 else np.tile(SAMPLES[:16], 2000)
    np.testing.assert_array_equal(sound.samples, expected / np.float32(32768))
    assert sound.warning == "" and inspect_file(path).duration_s == pytest.approx(len(expected) / RATE_HZ, abs=0.001)


def test_a_joined_wav_of_another_rate_is_named(tmp_path):
    other = FORM.replace(struct.pack("<I", RATE_HZ), struct.pack("<I", 8000))
    (tmp_path / "sound.wav").write_bytes(WHOLE + wav(other, chunk(b"data", SOUND)))
    sound = decode_sound(tmp_path / "sound.wav", RATE_HZ)
    assert len(sound.samples) == len(SAMPLES) and sound.warning.startswith("4.0 s of another sample rate")


def test_the_last_of_two_wavs_may_be_cut(tmp_path):
    (tmp_path / "sound.wav").write_bytes((WHOLE * 2)[:-10_000])
    facts = inspect_file(tmp_path / "sound.wav")
    assert facts.cut and len(decode(tmp_path / "sound.wav", RATE_HZ)) == 2 * len(SAMPLES) - 5000
