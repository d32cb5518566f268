"""Headers that state a wrong length, joined files and absurd headers."""

import logging
import re
import struct
import tracemalloc

import numpy as np
import pytest

from birdnet_nl.audio import decode_messages
from birdnet_nl.audio.decode import decode, decode_sound
from birdnet_nl.util.errors import DataError
from tests.audio.sounds import (
    FORMATS,
    RATE_HZ,
    soundfile_bytes,
    tone,
    vbr_mp3,
    wav_header,
    with_data_size,
    with_flac_length,
)

NO_LENGTH = "its header states no length, so it was read to its end"
TOO_SHORT = "its header states less sound than it holds, so it was read to its end"
WAV, FLAC, MP3 = soundfile_bytes("WAV"), soundfile_bytes("FLAC"), FORMATS["mp3"]()
OTHER_RATE = soundfile_bytes("MP3", samples=tone(1.0, 44100), rate_hz=44100)
STEREO = soundfile_bytes("MP3", samples=tone(1.0, channels=2))
ID3 = b"ID3\x04\x00\x00\x00\x00\x02\x00" + b"\xff\xfb\x90\xc4" * 64
GARBAGE = np.random.default_rng(0).integers(0, 255, 3000, dtype=np.uint8).tobytes()
OTHER_FORMAT = r"s of another sample rate or number of channels are left out"


def rf64_of_power_loss() -> bytes:
    data = bytearray(soundfile_bytes("RF64"))
    place = data.index(b"ds64") + 8
    data[place : place + 24] = bytes(24)
    return bytes(data)


@pytest.mark.parametrize(
    ("content", "duration_s", "warning"),
    [
        (with_data_size(WAV, 0), 2.0, NO_LENGTH),
        (with_data_size(WAV, 0xFFFFFFFF), 2.0, NO_LENGTH),
        (with_data_size(WAV, 0x7FFFFFFF), 2.0, NO_LENGTH),
        (with_data_size(WAV, 1000), 2.0, TOO_SHORT),
        (with_data_size(WAV, 100_000), 2.0, "cut off after 2.0 s"),
        (WAV + b"LIST" + struct.pack("<I", 8) + b"INFOabcd", 2.0, ""),
        (WAV + b"\x00\x01\x02", 2.0, ""),
        (WAV[:-1], 2.0, "cut off after 2.0 s"),
        (rf64_of_power_loss(), 2.0, NO_LENGTH),
        (with_flac_length(FLAC, 0), 2.0, NO_LENGTH),
        (with_flac_length(FLAC, 5000), 2.0, TOO_SHORT),
        (with_flac_length(FLAC, 50_000), 2.0, "cut off after 2.0 s"),
        (with_flac_length(FLAC, 2**36 - 1), 2.0, "cut off after 2.0 s"),
        (FLAC + FLAC, 4.0, ""),
        (ID3 + FLAC, 2.0, ""),
        (ID3 + WAV, 2.0, ""),
        (vbr_mp3(), 6.0, ""),
        (ID3 + vbr_mp3(), 6.0, ""),
        (MP3 + MP3, 4.0, ""),
        (MP3 + ID3 + MP3 + b"TAG" + bytes(125), 4.0, ""),
        (MP3 + GARBAGE + MP3, 4.0, ""),
        (GARBAGE[:500] + MP3, 2.0, ""),
        (MP3 + OTHER_RATE, 2.0, rf"^1\.\d {OTHER_FORMAT}$"),
        (OTHER_RATE + MP3, 2.0, rf"^1\.\d {OTHER_FORMAT}$"),
        (MP3 + STEREO, 2.0, rf"^1\.\d {OTHER_FORMAT}$"),
        (FORMATS["vorbis"]() * 2, 4.0, ""),
        (FORMATS["opus"]() * 2, 4.0, ""),
    ],
    ids=[
        "wav 0", "wav ffffffff", "wav 7fffffff", "wav too small", "wav too large", "wav with a list",
        "wav with odd bytes", "wav without its last byte", "rf64 0", "flac 0", "flac too small", "flac too large",
        "flac absurd", "two flacs", "tagged flac", "tagged wav", "vbr mp3", "tagged vbr mp3", "two mp3s",
        "two tagged mp3s", "garbage between", "garbage before", "mp3s of two rates", "mp3s of two rates, longest last",
        "mono and stereo mp3", "two vorbis", "two opus",
    ],
)  # fmt: skip
def test_the_whole_file_is_read_and_faults_are_reported(tmp_path, content, duration_s, warning):
    path = tmp_path / "sound"
    path.write_bytes(content)
    sound = decode_sound(path, RATE_HZ)
    assert len(sound.samples) / RATE_HZ == pytest.approx(duration_s, abs=0.2)
    if warning.startswith("^"):
        assert re.search(warning, sound.warning)
    else:
        assert sound.warning == warning


@pytest.mark.parametrize("name", ["flac", "vorbis", "mp3"])
def test_sound_behind_damaged_bytes_is_read(tmp_path, name):
    content = bytearray(FORMATS[name]() if name != "vorbis" else soundfile_bytes("OGG", samples=tone(8.0)))
    middle = len(content) // 2
    content[middle : middle + 200] = bytes(200)
    (tmp_path / "sound").write_bytes(content)
    sound = decode_sound(tmp_path / "sound", RATE_HZ)
    assert len(sound.samples) > 0.6 * len(decode_whole(tmp_path, name))
    if name == "flac":
        assert "damaged after" in sound.warning


def decode_whole(tmp_path, name: str) -> np.ndarray:
    (tmp_path / "whole").write_bytes(FORMATS[name]() if name != "vorbis" else soundfile_bytes("OGG", samples=tone(8.0)))
    return decode(tmp_path / "whole", RATE_HZ)


@pytest.mark.parametrize(
    ("rate_hz", "channels", "message"),
    [
        (1, 1, "states a sample rate of 1 Hz; possible are 1000 to 1000000 Hz"),
        (500_000_000, 1, "states a sample rate of 500000000 Hz"),
        (48_000, 65, "states 65 channels; possible are 1 to 64"),
        (48_000, 60_000, "cannot be decoded|channels"),
        (0, 1, "cannot be decoded|sample rate"),
    ],
)
def test_an_absurd_header_is_refused_before_memory_is_allocated(tmp_path, rate_hz, channels, message):
    (tmp_path / "a.wav").write_bytes(wav_header(rate_hz, channels))
    tracemalloc.start()
    with pytest.raises(DataError, match=message):
        decode(tmp_path / "a.wav", 48_000)
    assert tracemalloc.get_traced_memory()[1] < 4e6
    tracemalloc.stop()


def test_a_bat_recorder_is_decoded(tmp_path):
    (tmp_path / "a.wav").write_bytes(soundfile_bytes("WAV", samples=tone(0.5, 500_000), rate_hz=500_000))
    assert len(decode(tmp_path / "a.wav", 48_000)) == 24_000


def test_messages_of_the_decoder_are_logged_with_the_name_and_not_printed(tmp_path, caplog, capfd):
    if decode_messages.platform.libc_ver()[0] != "glibc":
        pytest.skip("needs glibc")
    path = tmp_path / "merel.mp3"
    path.write_bytes(MP3[: len(MP3) // 3])  # its Xing header states another size
    with caplog.at_level(logging.INFO, "birdnet_nl"):
        decode(path, RATE_HZ)
    assert any("merel.mp3: decoder: Warning: Xing" in message for message in caplog.messages)
    assert capfd.readouterr().err == ""
