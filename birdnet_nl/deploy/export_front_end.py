"""Front end of exported models: samples to the mel spectrogram in dB, with the operators that runtimes compute fast.

The kernels that ONNX Runtime has for STFT and DFT take hundreds of times as long as a product of matrices, so the
Fourier transform is one: in two steps (Cooley and Tukey, 1965), which needs a ninth of the products of a single one.
"""

import math

import numpy as np

from birdnet_nl.audio.mel import POWER_FLOOR, MelParams, mel_filterbank
from birdnet_nl.deploy.export_graph import Graph

BAND_GROUPS = 4  # of neighbouring bands: the low ones need few bins


def add_mel(graph: Graph, samples: str, length: int, params: MelParams) -> str:
    """Add the log-mel of clips, `audio.mel.log_mel` without the median: [batch, length] -> [batch, mels, frames]."""
    power, bin_of_row = _add_power(graph, samples, length, params)
    mel = _add_filterbank(graph, power, bin_of_row, params)
    log = graph.add("Log", graph.add("Max", mel, graph.constant(POWER_FLOOR)))
    return graph.add("Mul", log, graph.constant(10 / math.log(10)))


def add_own_median(graph: Graph, mel_db: str, frames: int) -> str:
    """Subtract the lower median of each band over the clip: [batch, mels, frames], same shape."""
    half, _ = graph.add("TopK", mel_db, graph.integers((frames - 1) // 2 + 1), axis=2, largest=0, sorted=0, outputs=2)
    return graph.add("Sub", mel_db, graph.add("ReduceMax", half, graph.integers(2)))


def factorise(n_fft: int, hop_samples: int) -> tuple[int, int]:
    """Return both factors of `n_fft`, of which the second also divides `hop_samples`, with the least products.

    Frames then start at whole rows of a table of samples that has the second factor as its width.
    """
    common = math.gcd(n_fft, hop_samples)
    widths = [width for width in range(1, common + 1) if common % width == 0]

    def products(width: int) -> int:  # of the first step, a convolution and slower, and of the second
        return (n_fft // width // 2 + 1) * (2 * 2 * n_fft + 4 * width**2)

    width = min(widths, key=products)
    return n_fft // width, width


def _add_power(graph: Graph, samples: str, length: int, params: MelParams) -> tuple[str, np.ndarray]:
    """Add the power spectrum, [batch, samples] -> [batch, rows, frames]; returns also the bin of each row.

    Sample n of a frame is in row n1 and column n2 of its table, n = width · n1 + n2, and bin k = k1 + height · k2. The
    first step transforms the columns, the second the rows, multiplied by the twiddle factors. Only half of the k1 are
    needed, because the samples are real.
    """
    n_fft, (height, width) = params.n_fft, factorise(params.n_fft, params.hop_samples)
    k1, n1, n2, k2 = (np.arange(size) for size in (height // 2 + 1, height, width, width))
    table = _add_table(graph, samples, length, n_fft, width)  # -> [batch, width, rows]
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)).reshape(height, width)
    columns = np.exp(-2j * np.pi * np.outer(k1, n1) / height)
    first = window.T[:, None, :] * columns[None]  # [width, k1, n1]
    first = np.stack([first.real, first.imag], axis=2).reshape(-1, 1, height)
    transformed = graph.add(  # -> [batch, width · k1 · 2, frames]
        "Conv", table, graph.constant(first), group=width, strides=[params.hop_samples // width]
    )
    by_column = graph.add("Reshape", transformed, graph.integers(0, width, len(k1), 2, -1))
    by_k1 = graph.add("Transpose", by_column, perm=[0, 2, 1, 3, 4])  # -> [batch, k1, width, 2, frames]
    by_k1 = graph.add("Reshape", by_k1, graph.integers(0, 0, 2 * width, -1))
    bins = k1[:, None] + height * k2  # [k1, k2]
    twiddled = np.exp(-2j * np.pi * bins[:, :, None] * n2 / n_fft)  # [k1, k2, n2]
    real = np.stack([twiddled.real, -twiddled.imag], axis=3).reshape(len(k1), width, 2 * width)
    imaginary = np.stack([twiddled.imag, twiddled.real], axis=3).reshape(len(k1), width, 2 * width)
    both = np.concatenate([real, imaginary], axis=1)  # [k1, 2 · k2, 2 · width]
    spectrum = graph.add("MatMul", graph.constant(both), by_k1)  # -> [batch, k1, 2 · k2, frames]
    squares = graph.add("Mul", spectrum, spectrum)
    squares = graph.add("Reshape", squares, graph.integers(0, len(k1), 2, width, -1))
    power = graph.add("ReduceSum", squares, graph.integers(2), keepdims=0)  # of real and imaginary part
    power = graph.add("Reshape", power, graph.integers(0, bins.size, -1))
    return power, np.minimum(bins, n_fft - bins).ravel()


def _add_table(graph: Graph, samples: str, length: int, n_fft: int, width: int) -> str:
    """Pad with half a frame of zeros at both ends and cut into rows: [batch, length] -> [batch, width, rows].

    Samples beyond the last whole row are in no frame, and are cut off by negative padding.
    """
    padded = graph.add("Pad", samples, graph.integers(0, n_fft // 2, 0, n_fft - n_fft // 2 - length % width))
    rows = graph.add("Reshape", padded, graph.integers(0, -1, width))
    return graph.add("Transpose", rows, perm=[0, 2, 1])


def _add_filterbank(graph: Graph, power: str, bin_of_row: np.ndarray, params: MelParams) -> str:
    """Add the mel filterbank, a product for each group of bands: [batch, rows, frames] -> [batch, mels, frames]."""
    bands = mel_filterbank(params)
    weights = bands.weights.toarray()  # [mels, used bins]
    row_of_bin = {int(bin_index): row for row, bin_index in reversed(list(enumerate(bin_of_row)))}
    groups = []
    for group in np.array_split(weights, min(BAND_GROUPS, params.n_mels)):
        used = np.flatnonzero(group.any(axis=0))
        used = used if len(used) else np.zeros(1, dtype=int)
        rows = graph.constant([row_of_bin[bands.bins.start + int(index)] for index in used], np.int64)
        groups.append(graph.add("MatMul", graph.constant(group[:, used]), graph.add("Gather", power, rows, axis=1)))
    return graph.add("Concat", *groups, axis=1) if len(groups) > 1 else groups[0]
