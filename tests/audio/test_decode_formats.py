"""Every format is read alike by training, inspection, imports and prediction, whatever the file's name is."""

from pathlib import Path

import numpy as np
import pytest

from birdnet_nl.audio import decode_blocks as reader
from birdnet_nl.audio.decode import decode, decode_blocks, decode_sound, mono_blocks
from birdnet_nl.audio.decode_mono import measure
from birdnet_nl.audio.inspection import inspect_file
from birdnet_nl.recordings.sound_file import find_defect, read_sound_facts
from birdnet_nl.util.errors import DataError
from tests.audio.sounds import AV_FORMATS, FORMATS, RATE_HZ, soundfile_bytes, tone, with_data_size, with_flac_length

DAMAGED = {
    "empty": lambda: b"",
    "web page": lambda: b"<html>429 too many requests</html>" * 20,
    "zeros": lambda: bytes(5000),
    "silent": lambda: soundfile_bytes("WAV", samples=np.zeros((4000, 1))),
    "no samples": lambda: soundfile_bytes("WAV", samples=np.zeros((0, 1))),
    "many NaN": lambda: soundfile_bytes("WAV", "FLOAT", np.full((4000, 1), np.nan)),
    "one NaN": lambda: soundfile_bytes("WAV", "FLOAT", np.where(np.arange(32000) == 9, np.nan, tone()[:, 0])),
    "integers as float": lambda: soundfile_bytes("WAV", "FLOAT", 32768 * tone()),
    "opposite polarity": lambda: soundfile_bytes("WAV", "FLOAT", np.concatenate([tone(), -tone()], axis=1)),
    "power loss": lambda: with_data_size(soundfile_bytes("WAV"), 0),
    "FLAC of unknown length": lambda: with_flac_length(soundfile_bytes("FLAC"), 0),
    "m4a without its index": lambda: AV_FORMATS["m4a"]()[:9000],
    # a file of layer 2 states no length
    **{
        f"half a {name}": lambda name=name: FORMATS[name]()[: len(FORMATS[name]()) // 2]
        for name in FORMATS
        if name != "layer 2"
    },
}
ALL = {**FORMATS, **AV_FORMATS, **DAMAGED}


def outcome(path: Path, read) -> tuple[float, str, str]:
    """Duration in seconds, warning, and reason."""
    try:
        return read(path)
    except DataError as error:
        return 0.0, "", str(error)


def read_for_training(path: Path):
    sound = decode_sound(path, RATE_HZ)
    return len(sound.samples) / RATE_HZ, sound.warning, ""


def read_for_prediction(path: Path):
    blocks, samples = mono_blocks(path, 0.7), 0
    for block, rate_hz in blocks:  # noqa: B007 (used after the loop)
        assert block.ndim == 1 and np.isfinite(block).all()
        samples += len(block)
    return samples / rate_hz, blocks.warning, ""


def read_for_import(path: Path):
    facts = read_sound_facts(path)
    return (facts.duration_s, facts.warning, "") if not facts.reason else (0.0, "", facts.reason)


def read_for_data(path: Path):
    facts = inspect_file(path)
    return (facts.duration_s, facts.warning, "") if not facts.reason else (0.0, "", facts.reason)


@pytest.mark.parametrize("name", ALL)
def test_all_readers_agree(tmp_path, name):
    path = tmp_path / "sound.mp3"  # a misleading name, except for the mp3s
    path.write_bytes(ALL[name]())
    duration_s, warning, reason = outcome(path, read_for_training)
    for read in (read_for_data, read_for_import, read_for_prediction):
        other = outcome(path, read)
        assert other[0] == pytest.approx(duration_s, abs=0.002), read.__name__
        assert other[1:] == (warning, reason), read.__name__
    if name in FORMATS or name in AV_FORMATS:
        assert (warning, reason) == ("", "") and duration_s == pytest.approx(2.0, abs=0.15)
        assert find_defect(path, 2.0) == ""
    if name.startswith("half a"):
        assert ("cut off after" in warning and 0.3 < duration_s < 1.4) or "cut off" in reason or "End of file" in reason
        assert find_defect(path, 2.0) != ""


@pytest.mark.parametrize("name", FORMATS)
def test_the_samples_are_those_of_the_sound(tmp_path, name):
    (tmp_path / "sound.wav").write_bytes(FORMATS[name]())
    samples = decode(tmp_path / "sound.wav", RATE_HZ)
    middle = samples[RATE_HZ // 2 : -RATE_HZ // 2]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    assert np.argmax(spectrum) * RATE_HZ / len(middle) == pytest.approx(1000, abs=2)
    channels = inspect_file(tmp_path / "sound.wav").channels
    level = 0.5 / np.sqrt(2) * np.mean(1 / np.arange(1, channels + 1))
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(level, rel=0.1)


@pytest.mark.parametrize("name", AV_FORMATS)
def test_without_pyav_the_format_and_the_remedy_are_named(tmp_path, monkeypatch, name):
    monkeypatch.setattr(reader, "has_av", lambda: False)
    (tmp_path / "a.m4a").write_bytes(AV_FORMATS[name]())
    with pytest.raises(DataError, match=r'needs PyAV: pip install "birdnet-nl\[formats\]", or convert'):
        decode(tmp_path / "a.m4a", RATE_HZ)


@pytest.mark.parametrize("name", ["half a flac", "half a mp3", "FLAC of unknown length", "power loss"])
def test_without_pyav_damaged_files_are_read_as_well(tmp_path, monkeypatch, name):
    path = tmp_path / "sound"
    path.write_bytes(ALL[name]())
    with_av = outcome(path, read_for_training)
    monkeypatch.setattr(reader, "has_av", lambda: False)
    assert outcome(path, read_for_training) == with_av and with_av[0] > 0.5


def test_blocks_are_the_samples_of_the_whole_file(tmp_path):
    """libsndfile changes samples of an mp3 when it seeks between blocks."""
    path = tmp_path / "sound.mp3"
    path.write_bytes(soundfile_bytes("MP3", samples=tone(5, 44100), rate_hz=44100))
    whole = np.concatenate([block.copy() for block, _ in decode_blocks(path, 100.0)])
    blocks = np.concatenate([block.copy() for block, _ in decode_blocks(path, 0.31)])
    np.testing.assert_array_equal(blocks, whole)
    np.testing.assert_array_equal(whole[:, 0], decode(path, 44100))


def test_a_missing_file_has_a_reason(tmp_path):
    assert measure(tmp_path / "absent.wav").reason == "does not exist"
    assert measure(tmp_path).reason.startswith("cannot be read (")
