"""Mutated, truncated and joined sound files: each is read, or refused with a reason, alike by all readers.

`BIRDNET_NL_FUZZ=1000` sets the number of examples per format; without it there are few and always the same.
"""

import os
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from birdnet_nl.audio.decode import decode_sound, mono_blocks
from birdnet_nl.audio.decode_mono import measure
from birdnet_nl.audio.inspection import inspect_file
from birdnet_nl.recordings.sound_file import find_defect
from birdnet_nl.util.errors import DataError
from tests.audio.sounds import AV_FORMATS, FORMATS, soundfile_bytes, tone

EXAMPLES = int(os.environ.get("BIRDNET_NL_FUZZ", 0))
MAX_BYTES = 200e6  # of memory; the files have a few kB, and state at most what is allowed
HEADER_BYTES = 120
SHORT = tone(0.4)
MADE = {
    "wav": lambda: soundfile_bytes("WAV", samples=SHORT),
    "wav float": lambda: soundfile_bytes("WAV", "FLOAT", SHORT),
    "wav ADPCM": lambda: soundfile_bytes("WAV", "MS_ADPCM", SHORT),
    "rf64": lambda: soundfile_bytes("RF64", samples=SHORT),
    "w64": lambda: soundfile_bytes("W64", samples=SHORT),
    "aiff": lambda: soundfile_bytes("AIFF", samples=SHORT),
    "caf": lambda: soundfile_bytes("CAF", samples=SHORT),
    "flac": lambda: soundfile_bytes("FLAC", samples=SHORT),
    "mp3": lambda: soundfile_bytes("MP3", samples=SHORT),
    "vorbis": lambda: soundfile_bytes("OGG", "VORBIS", SHORT),
    "opus": lambda: soundfile_bytes("OGG", "OPUS", tone(0.4, 48000)),
    "m4a": AV_FORMATS["m4a"],
    "mka": AV_FORMATS["mka"],
}
EDGE_VALUES = [0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x0000FFFE, 500_000_000]


@st.composite
def damaged(draw, content: bytes) -> bytes:
    """Change, cut, join or fill a file in one to three places, more often in its header than elsewhere."""
    data = bytearray(content)
    for _ in range(draw(st.integers(1, 3))):
        last = max(0, len(data) - 1)
        place = draw(st.integers(0, min(HEADER_BYTES, last)) | st.integers(0, last))
        match draw(st.integers(0, 6)):
            case 0:
                del data[place:]
            case 1:
                data[place : place + 1] = draw(st.binary(min_size=1, max_size=8))
            case 2:
                order = draw(st.sampled_from("<>"))
                data[place : place + 4] = struct.pack(order + "I", draw(st.sampled_from(EDGE_VALUES)))
            case 3:
                other = MADE[draw(st.sampled_from(["wav", "mp3", "flac", "vorbis"]))]()
                data[place:place] = other[: draw(st.integers(1, len(other)))]
            case 4:
                del data[place : place + draw(st.integers(1, 2000))]
            case 5:
                data += content[draw(st.integers(0, len(content) - 1)) :]
            case 6:
                data[place : place + draw(st.integers(1, 500))] = bytes(draw(st.integers(0, 500)))
    return bytes(data)


def check_outcome(path) -> str:
    """Read a file in all ways, and return the reason why it cannot be used."""
    tracemalloc.start()
    try:
        sound, reason = decode_sound(path, 16000), ""
        assert np.isfinite(sound.samples).all() and np.abs(sound.samples).max() <= 70
    except DataError as error:
        sound, reason = None, str(error)
        assert reason and "\n" not in reason and str(path.parent) not in reason
    memory = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert memory < MAX_BYTES
    facts, measured = inspect_file(path), measure(path)
    assert facts.reason == measured.reason == reason
    assert facts.duration_s == pytest.approx(measured.duration_s, abs=0.001)
    assert isinstance(find_defect(path), str)
    if sound is not None:
        assert facts.warning == measured.warning == sound.warning
        assert len(sound.samples) / 16000 == pytest.approx(measured.duration_s, abs=0.001)
        blocks = list(mono_blocks(path, 0.1))
        assert sum(len(block) for block, _ in blocks) / blocks[0][1] == pytest.approx(measured.duration_s, abs=0.001)
    return reason


@pytest.mark.parametrize("name", MADE)
def test_a_damaged_file_is_read_or_refused_with_a_reason(tmp_path, name):
    content, path = MADE[name](), tmp_path / "sound.wav"
    reasons = []

    @settings(
        max_examples=EXAMPLES or 100, deadline=5000, derandomize=not EXAMPLES, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(damaged(content))
    def check(data: bytes) -> None:
        path.write_bytes(data)
        reasons.append(check_outcome(path))

    check()
    assert "" in reasons and any(reasons)


@pytest.mark.parametrize("name", [*FORMATS, *AV_FORMATS])
def test_a_file_cut_anywhere_is_read_or_refused_with_a_reason(tmp_path, name):
    content = {**FORMATS, **AV_FORMATS}[name]()
    for share in (0.001, 0.01, 0.05, 0.37, 0.61, 0.99):
        path = tmp_path / "sound"
        path.write_bytes(content[: max(1, round(share * len(content)))])
        reason = check_outcome(path)
        facts = measure(path)
        assert reason or facts.cut or facts.duration_s > 1.9, share
