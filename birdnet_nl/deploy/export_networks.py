"""Networks of this package as ONNX nodes, with batch normalisation folded into the convolutions."""

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from birdnet_nl.audio.mel import MelParams
from birdnet_nl.deploy.export_graph import Graph
from birdnet_nl.models.compact_cnn import CompactCnn, ResidualBlock
from birdnet_nl.models.emsn_cnn import EmsnCnn
from birdnet_nl.models.residual_head import ResidualHead


def array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().float().numpy()


def add_normalise(graph: Graph, mel_db: str, params: MelParams) -> str:
    """Add `audio.mel.Normalise`: dB [batch, mels, frames] -> 0…1, same shape."""
    floor, range_db = graph.constant(params.floor_db), graph.constant(params.ceiling_db - params.floor_db)
    if params.normalisation == "band_median":
        clipped = graph.add("Clip", mel_db, floor, graph.constant(params.ceiling_db))
        return graph.add("Div", graph.add("Sub", clipped, floor), range_db)
    axes = graph.integers(1, 2)
    below_peak = graph.add("Max", graph.add("Sub", mel_db, graph.add("ReduceMax", mel_db, axes)), floor)
    lowest = graph.add("ReduceMin", below_peak, axes)
    depth = graph.add("Max", graph.add("Neg", lowest), graph.constant(1e-6))
    return graph.add("Div", graph.add("Sub", below_peak, lowest), depth)


def add_conv(graph: Graph, inputs: str, conv: nn.Conv2d, norm: nn.BatchNorm2d) -> str:
    """Add a convolution and the normalisation after it as one node."""
    scale = array(norm.weight) / np.sqrt(array(norm.running_var) + norm.eps)
    bias = 0.0 if conv.bias is None else array(conv.bias)
    weight = graph.constant(array(conv.weight) * scale[:, None, None, None])
    shift = graph.constant((bias - array(norm.running_mean)) * scale + array(norm.bias))
    padding, strides = list(conv.padding) * 2, list(conv.stride)
    return graph.add("Conv", inputs, weight, shift, kernel_shape=list(conv.kernel_size), pads=padding, strides=strides)


def add_linear(graph: Graph, inputs: str, linear: nn.Linear) -> str:
    return graph.add("Gemm", inputs, graph.constant(array(linear.weight)), graph.constant(array(linear.bias)), transB=1)


def add_compact_features(graph: Graph, mel: str, network: CompactCnn) -> str:
    features = add_compact_blocks(graph, mel, network)[-1]
    over_bands = graph.add("ReduceMean", features, graph.integers(2), keepdims=0)  # -> [batch, channels, frames]
    frames = graph.add("Cast", graph.add("Shape", over_bands, start=2, end=3), to=1)
    summed = graph.add("ReduceLogSumExp", over_bands, graph.integers(2), keepdims=0)
    return graph.add("Sub", summed, graph.add("Log", frames))


def add_compact_blocks(graph: Graph, mel: str, network: CompactCnn) -> list[str]:
    """Add stem and residual blocks: [batch, 1, mels, frames] -> the output of each block."""
    features = graph.add("Relu", add_conv(graph, mel, network.stem[0], network.stem[1]))
    features = graph.add("MaxPool", features, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    outputs = []
    for block in network.blocks:
        features = _add_residual_block(graph, features, block)
        outputs.append(features)
    return outputs


def _add_residual_block(graph: Graph, inputs: str, block: ResidualBlock) -> str:
    first, norm, _, second, second_norm = block.branch
    branch = add_conv(graph, graph.add("Relu", add_conv(graph, inputs, first, norm)), second, second_norm)
    shortcut = inputs
    if not isinstance(block.shortcut, nn.Identity):
        pool, conv, norm = block.shortcut
        if not isinstance(pool, nn.Identity):
            size = [pool.kernel_size] * 2
            shortcut = graph.add("AveragePool", inputs, kernel_shape=size, strides=size, ceil_mode=1)
        shortcut = add_conv(graph, shortcut, conv, norm)
    return graph.add("Relu", graph.add("Add", branch, shortcut))


def add_emsn_features(graph: Graph, mel: str, network: EmsnCnn) -> str:
    features, layers = mel, list(network.features)
    for index, layer in enumerate(layers):
        if isinstance(layer, nn.Conv2d):
            features = graph.add("Relu", add_conv(graph, features, layer, layers[index + 1]))
        elif isinstance(layer, nn.MaxPool2d):
            features = graph.add("MaxPool", features, kernel_shape=[2, 2], strides=[2, 2])
    return graph.add("ReduceMean", features, graph.integers(2, 3), keepdims=0)


def add_emsn_head(graph: Graph, features: str, network: EmsnCnn) -> str:
    hidden = graph.add("Relu", add_linear(graph, features, network.head[0]))
    return add_linear(graph, hidden, network.head[3])


def add_residual_head(graph: Graph, features: str, base_logits: str, network: ResidualHead) -> str:
    """Add the correction for one species to the base's logits, [batch, types]."""
    scaled = graph.add("Mul", base_logits, graph.constant(network.logit_scale))
    weight = array(network.head.weight) * array(network.scale)  # the scaler is part of the linear layer
    bias = array(network.head.bias) - weight @ array(network.shift)
    head = graph.add("Gemm", features, graph.constant(weight), graph.constant(bias), transB=1)
    return graph.add("Add", scaled, head)


Features = Callable[[Graph, str, nn.Module], str]

CNNS: dict[type, tuple[Features, Features]] = {
    CompactCnn: (add_compact_features, lambda graph, features, network: add_linear(graph, features, network.head)),
    EmsnCnn: (add_emsn_features, add_emsn_head),
}
"""For each network the nodes of `forward_features` and of `forward_head`."""


def is_exportable(network: nn.Module) -> bool:
    return type(network.base if isinstance(network, ResidualHead) else network) in CNNS


def add_cnn(graph: Graph, mel: str, network: nn.Module) -> tuple[str, str]:
    """Add a network of mels: 0…1, [batch, 1, mels, frames] -> features [batch, num_features], logits [batch, types]."""
    base = network.base if isinstance(network, ResidualHead) else network
    add_features, add_head = CNNS[type(base)]
    features = add_features(graph, mel, base)
    logits = add_head(graph, features, base)
    if isinstance(network, ResidualHead):
        logits = add_residual_head(graph, features, logits, network)
    return features, logits


def add_probabilities(graph: Graph, logits: str, temperature: float, min_probability: float) -> str:
    """Add `evaluation.calibration.soften` of the softmax: [batch, types] -> [batch, types]."""
    softmax = graph.add("Softmax", logits, axis=1)
    clipped = graph.add("Log", graph.add("Max", softmax, graph.constant(min_probability)))
    return graph.add("Softmax", graph.add("Div", clipped, graph.constant(temperature)), axis=1)
