"""Embedding networks of this package as ONNX nodes, and the classifier of their embeddings."""

from typing import Any

import numpy as np
import onnx
import torch
from torch import nn

from birdnet_nl.deploy.export_graph import Graph
from birdnet_nl.deploy.export_networks import add_compact_blocks, add_linear, add_residual_head, array
from birdnet_nl.embeddings.base import MEL, EmbeddingModel
from birdnet_nl.embeddings.distilled import Distilled
from birdnet_nl.embeddings.frozen_cnn import FrozenCnn
from birdnet_nl.embeddings.modulation import (
    CYCLES_IN_PITCH,
    CYCLES_IN_TIME,
    FLAT_BANDS,
    GROUPS,
    MAX_BANDS,
    MAX_FRAMES,
    RATES_HZ,
    SCALES,
    Modulation,
    _filter,
    _stride,
)
from birdnet_nl.models.recording_classifier import PRIOR_SEGMENTS, NystroemFeatures, RecordingClassifier
from birdnet_nl.models.residual_head import ResidualHead


def without_head(network: nn.Module) -> nn.Module:
    """Return the base of a head on embeddings, or the network itself."""
    return network.base if isinstance(network, ResidualHead) else network


def describe_classifier(network: nn.Module) -> dict[str, Any]:
    """Describe how a `RecordingClassifier`, or the base of a head, pools the segments of a recording, plain values."""
    pooling = without_head(network).pooling
    variance = pooling.typical_variance.numpy().astype("<f4").tobytes().hex()
    return {
        "pooling_of_embeddings": {
            "kinds": pooling.kinds,
            "typical_variance": variance,
            "prior_segments": PRIOR_SEGMENTS,
        }
    }


def has_onnx_form(embeddings: EmbeddingModel, network: nn.Module) -> bool:
    """Whether the embedding networks and the classifier are ones that can be exported."""
    others = [type(part) for part in embeddings.parts[1:]]
    return (
        isinstance(embeddings, Distilled | FrozenCnn)
        and others == [Modulation]
        and isinstance(without_head(network), RecordingClassifier)
    )


def add_embedding(graph: Graph, mel: str, embeddings: EmbeddingModel) -> str:
    """Add the embedding network, without the modulation: 0…1, [batch, 1, mels, frames] -> [batch, dimensions]."""
    if isinstance(embeddings, FrozenCnn):
        blocks = add_compact_blocks(graph, mel, embeddings.network)
        return graph.add("Concat", *(_add_layer_statistics(graph, block) for block in blocks), axis=1)
    network = embeddings.network
    features = _add_layer_statistics(graph, add_compact_blocks(graph, mel, network.base)[-1])
    standardised = add_linear(graph, features, network.to_teacher)
    scaled = graph.add("Mul", standardised, graph.constant(array(network.scale)))
    return graph.add("Add", scaled, graph.constant(array(network.shift)))


def _add_layer_statistics(graph: Graph, features: str) -> str:
    """See `models.compact_cnn.layer_statistics`: [batch, channels, mels, frames] -> [batch, 4 · channels]."""
    over_bands = graph.add("ReduceMean", features, graph.integers(2), keepdims=0)  # -> [batch, channels, frames]
    loudest = graph.add("ReduceMax", features, graph.integers(2), keepdims=0)
    mean, _, std = _add_moments(graph, over_bands, 2, 1e-6)
    return graph.add(
        "Concat",
        mean,
        graph.add("ReduceMax", loudest, graph.integers(2), keepdims=0),
        std,
        graph.add("ReduceMean", loudest, graph.integers(2), keepdims=0),
        axis=1,
    )


def _add_moments(
    graph: Graph, values: str, axis: int, offset: float = 0.0, factor: float = 1.0
) -> tuple[str, str, str]:
    """Add mean, maximum, and the square root of `factor` · variance + `offset` along an axis."""
    axes = graph.integers(axis)
    mean = graph.add("ReduceMean", values, axes, keepdims=1)
    difference = graph.add("Sub", values, mean)
    variance = graph.add("ReduceMean", graph.add("Mul", difference, difference), axes, keepdims=0)
    variance = graph.add("Add", graph.add("Mul", variance, graph.constant(factor)), graph.constant(offset))
    return (
        graph.add("Squeeze", mean, axes),
        graph.add("ReduceMax", values, axes, keepdims=0),
        graph.add("Sqrt", variance),
    )


def add_modulation_maps(graph: Graph, mel: str) -> list[str]:
    """Add the maps of `embeddings.modulation`: 0…1, [batch, 1, mels, frames] -> per rate [batch, maps, groups, steps].

    The maps of a rate follow the scales, downwards before upwards.
    """
    over_bands = [_add_band_filter(graph, mel, scale) for scale in SCALES]
    return [
        graph.add("Concat", *(_add_frame_filters(graph, *bands, rate_hz) for bands in over_bands), axis=1)
        for rate_hz in RATES_HZ
    ]


def _add_band_filter(graph: Graph, mel: str, scale: float) -> tuple[str, int, bool]:
    """Filter along the bands.

    Returns real and imaginary part, [batch, 2, bands, frames], the number of bands, and whether there are two
    directions.
    """
    wave, envelope = _filter(scale, CYCLES_IN_PITCH, MAX_BANDS if scale else FLAT_BANDS)
    kernel = (wave if scale else envelope + 0j).flip(0)
    weights = torch.stack([kernel.real, kernel.imag])[:, None, :, None]  # [2, 1, bands of the filter, 1]
    stride, padding = _stride(wave), len(kernel) // 2
    convolved = graph.add(
        "Conv", mel, graph.constant(array(weights)), strides=[stride, 1], pads=[padding, 0, padding, 0]
    )
    return convolved, (MEL.n_mels + 2 * padding - len(kernel)) // stride + 1, bool(scale)


def _add_frame_filters(graph: Graph, over_bands: str, bands: int, both: bool, rate_hz: float) -> str:
    """Filter along time: [batch, 2, bands, frames] -> strengths [batch, 1 or 2, groups, steps]."""
    wave, envelope = _filter(rate_hz / MEL.frames_per_s, CYCLES_IN_TIME, MAX_FRAMES)
    weights = []
    for directed in (wave, wave.conj())[: 2 if both else 1]:
        kernel = (directed - envelope * (directed.sum() / envelope.sum())).flip(0)
        weights += [torch.stack([kernel.real, -kernel.imag]), torch.stack([kernel.imag, kernel.real])]
    kernels = torch.stack(weights)[:, :, None, :]  # [2 · maps, 2, 1, frames of the filter]
    stride, padding = _stride(wave), len(wave) // 2
    parts = graph.add(
        "Conv", over_bands, graph.constant(array(kernels)), strides=[1, stride], pads=[0, padding, 0, padding]
    )
    squares = graph.add("Reshape", graph.add("Mul", parts, parts), graph.integers(0, len(weights) // 2, 2, bands, -1))
    power = graph.add("ReduceSum", squares, graph.integers(2), keepdims=0)
    strength = graph.add("Sqrt", graph.add("Sqrt", power))  # -> [batch, maps, bands, steps]
    return graph.add("MatMul", graph.constant(_group_means(bands)), strength)


def _group_means(bands: int) -> np.ndarray:
    """Matrix of `adaptive_avg_pool2d`, [groups, bands]."""
    matrix = np.zeros((GROUPS, bands), dtype=np.float32)
    for group in range(GROUPS):
        first, end = group * bands // GROUPS, -(-(group + 1) * bands // GROUPS)
        matrix[group, first:end] = 1 / (end - first)
    return matrix


def add_modulation(graph: Graph, mel: str, frames: int) -> str:
    """Add the modulation of clips: 0…1, [batch, 1, mels, frames] -> [batch, dimensions]."""
    strengths = add_modulation_maps(graph, mel)
    moments = [_add_moments(graph, strength, 3) for strength in strengths]  # each [batch, maps, groups]
    order = modulation_order()

    def in_order(values: list[str]) -> str:
        joined = graph.add("Gather", graph.add("Concat", *values, axis=1), graph.integers(*order), axis=1)
        return graph.add("Flatten", joined, axis=1)

    loudest = []
    for strength in strengths:
        over_groups = graph.add("ReduceMax", strength, graph.integers(2), keepdims=0)  # -> [batch, maps, steps]
        mean, maximum, _ = _add_moments(graph, over_groups, 2)
        pair = [graph.add("Unsqueeze", value, graph.integers(2)) for value in (mean, maximum)]
        loudest.append(graph.add("Concat", *pair, axis=2))
    bands = graph.add("Squeeze", mel, graph.integers(1))
    level_mean, level_max, level_std = _add_moments(graph, bands, 2, factor=frames / (frames - 1))
    parts = [in_order([values[kind] for values in moments]) for kind in range(3)]
    return graph.add("Concat", *parts, in_order(loudest), level_mean, level_std, level_max, axis=1)


def modulation_order() -> list[int]:
    """For each of the 54 maps in the order of an embedding its position in the joined maps of all rates."""
    maps, order, position = len(SCALES) * 2 - 1, [], 0
    for scale in SCALES:
        directions = 2 if scale else 1
        for rate in range(len(RATES_HZ)):
            order += [rate * maps + position + direction for direction in range(directions)]
        position += directions
    return order


def modulation_strides() -> list[int]:
    """Frames per step of the maps of each rate."""
    return [_stride(_filter(rate_hz / MEL.frames_per_s, CYCLES_IN_TIME, MAX_FRAMES)[0]) for rate_hz in RATES_HZ]


def add_features_of_segments(graph: Graph, vectors: str, classifier: RecordingClassifier) -> str:
    """Add the pooling of single segments: float32 [batch, dimensions] -> [batch, num_features]."""
    pooling = classifier.pooling
    std = np.sqrt(array(pooling.typical_variance) * PRIOR_SEGMENTS / PRIOR_SEGMENTS + 1e-12)
    zeros = graph.add("Mul", vectors, graph.constant(0.0))
    of_kind = {"mean": vectors, "std": graph.add("Add", zeros, graph.constant(std))}
    parts = [of_kind[kind] for kind in pooling.kinds]
    return graph.add("Concat", *parts, axis=1) if len(parts) > 1 else parts[0]


def add_classifier(graph: Graph, features: str, network: nn.Module) -> str:
    """Add `forward_head` of a `RecordingClassifier`, or of a head on one: [batch, num_features] -> [batch, types]."""
    base = without_head(network)
    shifted = graph.add("Sub", features, graph.constant(array(base.shift)))
    scaled = graph.add("Mul", shifted, graph.constant(array(base.scale)))
    if base.landmarks is not None:
        scaled = _add_landmarks(graph, scaled, base.landmarks)
    logits = add_linear(graph, scaled, base.head)
    return add_residual_head(graph, features, logits, network) if isinstance(network, ResidualHead) else logits


def _add_landmarks(graph: Graph, features: str, landmarks: NystroemFeatures) -> str:
    points = graph.constant(landmarks.points.numpy(), np.float16)
    points = graph.add("Cast", points, to=onnx.TensorProto.FLOAT)
    squares = graph.add("ReduceSumSquare", features, graph.integers(1), keepdims=1)
    norms = graph.constant(landmarks.points.float().square().sum(dim=1).numpy())
    products = graph.add("Gemm", features, points, transB=1, alpha=-2.0)
    distances = graph.add("Max", graph.add("Add", graph.add("Add", squares, norms), products), graph.constant(0.0))
    kernel = graph.add("Exp", graph.add("Mul", distances, graph.constant(-landmarks.gamma)))
    return graph.add("MatMul", kernel, graph.constant(array(landmarks.whitening)))
