"""The spectrogram image is a valid PNG with a tone in the row of its frequency."""

import io

import numpy as np
import pytest
from PIL import Image

from birdnet_nl.audio.spectrogram_image import HEIGHT, MAX_HZ, spectrogram_png


def test_a_tone_is_bright_in_the_row_of_its_frequency_and_at_its_time():
    rate_hz, tone_hz = 32_000, 6_000
    time = np.arange(4 * rate_hz) / rate_hz
    noise = np.random.default_rng(0).normal(0, 0.01, len(time))
    samples = noise + np.sin(2 * np.pi * tone_hz * time) * (time > 3)
    image = np.array(Image.open(io.BytesIO(spectrogram_png(samples, rate_hz, width=400))).convert("L"), dtype=float)
    assert image.shape == (HEIGHT, 400)
    row, column = np.unravel_index(image.argmax(), image.shape)
    assert abs((HEIGHT - 0.5 - row) / HEIGHT * MAX_HZ - tone_hz) < 300
    assert column > 290 and image[row, :280].max() < image[row, column] / 2


@pytest.mark.parametrize(("samples", "rate_hz"), [(0, 48_000), (10, 48_000), (1000, 1000), (100_000, 500_000)])
def test_short_slow_and_fast_recordings_give_an_image_of_the_same_size(samples, rate_hz):
    noise = np.random.default_rng(0).normal(0, 0.1, samples)
    assert Image.open(io.BytesIO(spectrogram_png(noise, rate_hz, width=50))).size == (50, HEIGHT)
