"""Spectrogram as a PNG image for pages, computed with NumPy alone, so that it also works without PyTorch and pillow."""

import struct
import zlib

import numpy as np

HEIGHT = 96  # rows, from 0 Hz at the bottom to `max_hz` at the top
MAX_HZ = 12_000.0
RANGE_DB = 45.0  # shown above the median of each row
DYNAMIC_RANGE_DB = 70.0  # below the loudest point; bands that mp3 removed are quieter, and would look loud
_PALETTE_ANCHORS = (  # matplotlib's "magma" at ten equal steps
    (0, 0, 4), (24, 15, 61), (68, 15, 118), (114, 31, 129), (158, 47, 127),
    (205, 64, 113), (241, 96, 93), (253, 150, 104), (254, 202, 141), (252, 253, 191),
)  # fmt: skip


def spectrogram_png(samples: np.ndarray, sample_rate_hz: int, width: int, max_hz: float = MAX_HZ) -> bytes:
    """Draw float [samples] as a PNG of `width` columns and `HEIGHT` rows, in dB above the median of each row."""
    return encode_png(spectrogram_shades(samples, sample_rate_hz, width, max_hz))


def spectrogram_shades(samples: np.ndarray, sample_rate_hz: int, width: int, max_hz: float = MAX_HZ) -> np.ndarray:
    """Compute the uint8 image [HEIGHT, width] of `spectrogram_png`, the highest frequency first."""
    max_hz = min(max_hz, sample_rate_hz / 2)
    levels = _levels_db(samples, sample_rate_hz, width, max_hz)
    levels -= np.maximum(np.median(levels, axis=1, keepdims=True), levels.max() - DYNAMIC_RANGE_DB)
    shades = np.clip(levels * (255 / RANGE_DB), 0, 255).astype(np.uint8) & 0xF0  # 16 colours, for a third of the bytes
    return shades[::-1]


def _levels_db(samples: np.ndarray, sample_rate_hz: int, width: int, max_hz: float) -> np.ndarray:
    """Compute the mean power in dB for each row and column, [HEIGHT, width]; one FFT or several in each column."""
    n_fft = 1 << int(np.log2(sample_rate_hz * HEIGHT * 2 / max_hz) + 0.5)  # two bins in a row, nearly
    hop = max(1, len(samples) // width)
    per_column = min(4, max(1, hop // n_fft))
    starts = np.linspace(0, max(0, len(samples) - n_fft), width * per_column).astype(int)
    padded = np.pad(np.asarray(samples, dtype=np.float32), (0, n_fft))
    window = np.hanning(n_fft).astype(np.float32)
    bins_per_row = max_hz * n_fft / sample_rate_hz / HEIGHT
    edges = np.unique((np.arange(HEIGHT + 1) * bins_per_row).astype(int))
    power = np.empty((len(edges) - 1, len(starts)), dtype=np.float32)
    for first in range(0, len(starts), 256):  # bounds memory
        block = starts[first : first + 256]
        frames = padded[block[:, None] + np.arange(n_fft)] * window  # [frames, n_fft]
        spectrum = np.abs(np.fft.rfft(frames, axis=1)[:, : edges[-1]]) ** 2
        power[:, first : first + 256] = np.add.reduceat(spectrum, edges[:-1], axis=1).T
    power = power.reshape(len(power), width, per_column).mean(axis=2)
    if len(power) != HEIGHT:  # fewer bins than rows
        power = power[np.linspace(0, len(power) - 1, HEIGHT).astype(int)]
    return 10 * np.log10(np.maximum(power, 1e-10))


def encode_png(shades: np.ndarray) -> bytes:
    """Encode uint8 [rows, columns] as a PNG with the palette of `magma`."""
    rows, columns = shades.shape
    anchors = np.array(_PALETTE_ANCHORS, dtype=float)
    steps = np.linspace(0, len(anchors) - 1, 256)
    palette = np.stack([np.interp(steps, np.arange(len(anchors)), channel) for channel in anchors.T], axis=1)
    pixels = np.concatenate([np.zeros((rows, 1), dtype=np.uint8), shades], axis=1)  # each row begins with its filter: 0
    header = struct.pack(">IIBBBBB", columns, rows, 8, 3, 0, 0, 0)
    chunks = [
        (b"IHDR", header),
        (b"PLTE", palette.round().astype(np.uint8).tobytes()),
        (b"IDAT", zlib.compress(pixels.tobytes(), 6)),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, content) for name, content in chunks)


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
