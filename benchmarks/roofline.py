"""Roofline: the measured peak of the processor, and the counted arithmetic of a network."""

import time
from collections.abc import Sequence

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

SIZE = 2048


def peak_gflops(threads: int, size: int = SIZE, repeats: int = 7) -> dict[str, float]:
    """Measure the GFLOP/s of a square matrix product in fp32 and bf16; the fastest of `repeats`."""
    torch.set_num_threads(threads)
    roofs = {}
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        a, b = torch.randn(size, size, dtype=dtype), torch.randn(size, size, dtype=dtype)
        out = torch.empty(size, size, dtype=dtype)
        times = []
        for _ in range(repeats + 1):
            started = time.perf_counter()
            torch.mm(a, b, out=out)
            times.append(time.perf_counter() - started)
        roofs[name] = 2 * size**3 / min(times[1:]) / 1e9
    return roofs


def training_flops(network: nn.Module, shape: tuple[int, int], batch_size: int = 2) -> float:
    """Count the floating-point operations per segment of a training step: convolutions and matrix products.

    Forward and backward; `shape` is [mels, frames]. On the meta device, so nothing is computed.
    """
    network = network.to("meta").train()
    mels = torch.empty(batch_size, 1, *shape, device="meta")
    with FlopCounterMode(display=False) as counter:
        network(mels).sum().backward()
    return counter.get_total_flops() / batch_size


def training_flops_of(overrides: Sequence[str]) -> dict[str, float]:
    """Count the operations and weights of the network of a run with `overrides`, for three types."""
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    from benchmarks.timed_run import compose_run
    from birdnet_nl.models.registry import build_network

    cfg = compose_run(overrides)
    mel = instantiate(cfg.mel)
    network = build_network({**OmegaConf.to_container(cfg.model, resolve=True), "types": 3})
    weights = sum(parameter.numel() for parameter in network.parameters())
    return {"flops": training_flops(network, (mel.n_mels, mel.segment_frames(cfg.data.segment_s))), "weights": weights}
