"""Encoded sound has the length and pitch of the samples, whatever their rate."""

import io

import numpy as np
import pytest
import soundfile

from birdnet_nl.audio.encode import encode_mp3


@pytest.mark.parametrize(
    ("rate_hz", "expected_hz"), [(4_000, 8_000), (22_050, 22_050), (44_100, 32_000), (384_000, 32_000)]
)
def test_a_tone_keeps_its_length_and_pitch(rate_hz, expected_hz):
    time = np.arange(2 * rate_hz) / rate_hz
    tone = np.sin(2 * np.pi * 1000 * time).astype(np.float32)
    samples, encoded_hz = soundfile.read(io.BytesIO(encode_mp3(tone, rate_hz)))
    assert encoded_hz == expected_hz
    assert len(samples) / encoded_hz == pytest.approx(2, abs=0.1)
    spectrum = np.abs(np.fft.rfft(samples[:encoded_hz]))
    assert spectrum.argmax() == pytest.approx(1000, abs=2)
