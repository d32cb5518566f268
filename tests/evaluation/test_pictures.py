"""A picture of 256 colours looks as the figure does and takes a fraction of its bytes."""

import io

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from birdnet_nl.evaluation.pictures import encode_figure


def test_every_pixel_is_near_and_the_file_is_small():
    figure = Figure(figsize=(6, 3), dpi=120)
    noise = np.random.default_rng(0).random((96, 200)).cumsum(axis=1) % 1
    figure.subplots().imshow(noise, cmap="magma", aspect="auto")
    whole = io.BytesIO()
    figure.savefig(whole, format="png", dpi=120)
    small = encode_figure(figure)
    expected = np.asarray(Image.open(whole).convert("RGB")).astype(int)
    found = np.asarray(Image.open(io.BytesIO(small)).convert("RGB")).astype(int)
    assert found.shape == expected.shape
    assert np.abs(found - expected).mean() < 6  # of 255
    assert len(small) < whole.tell() / 2
