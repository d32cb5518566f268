"""Trained classifiers without training, for the tests of export and prediction."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

from birdnet_nl.audio.mel import WIDE_COARSE, MelParams
from birdnet_nl.embeddings.birdnet import BirdNet
from birdnet_nl.embeddings.distilled import DistillationNetwork, Distilled
from birdnet_nl.embeddings.frozen_cnn import FrozenCnn
from birdnet_nl.embeddings.modulation import BLOCKS as MODULATION
from birdnet_nl.inference.classifier import Classifier
from birdnet_nl.models.registry import build_network, to_half
from birdnet_nl.species.table import get_species

COMPACT = {
    "_target_": "birdnet_nl.models.compact_cnn.CompactCnn", "channels": [4, 8, 8], "dropout": 0.1, "types": 3,
}  # fmt: skip
EMSN = {
    "_target_": "birdnet_nl.models.emsn_cnn.EmsnCnn", "channels": [4, 8], "hidden": 6, "channel_dropout": 0.1,
    "hidden_dropout": 0.1, "types": 3,
}  # fmt: skip
HEAD = {"_target_": "birdnet_nl.models.residual_head.ResidualHead", "base": COMPACT, "logit_scale": 0.8, "l2": 1.0,
        "types": 3}  # fmt: skip
PEAK = MelParams(48_000, 2048, 512, 128, 500.0, 8000.0, "segment_peak", -80.0, 0.0)
MELS = {"band_median": WIDE_COARSE, "segment_peak": PEAK}


def make_checkpoint(
    path: Path,
    network: dict[str, Any] = COMPACT,
    mel: MelParams = WIDE_COARSE,
    slug: str = "koolmees",
    seed: int = 0,
    base_seed: int = 0,
    **metadata: Any,
) -> Path:
    """Write a checkpoint whose weights are drawn, with statistics of batches as after training.

    Those of a head's base are drawn by `base_seed`.
    """
    torch.manual_seed(base_seed)
    built = build_network(network)
    for layer in built.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.1)
            layer.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias, 0, 0.2)
    torch.manual_seed(seed)
    head = built.head[-1] if isinstance(built.head, nn.Sequential) else built.head
    nn.init.normal_(head.weight, 0, 5)
    nn.init.normal_(head.bias, 0, 0.2)
    content = make_content(network, mel, slug) | metadata
    weights = {f"network.{name}": value for name, value in built.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"state_dict": weights, "birdnet_nl": content}, path)
    return path


def make_embedding_checkpoint(path: Path, kind: str = "frozen", head: bool = False, **metadata: Any) -> Path:
    """Write a checkpoint of a classifier of embeddings, fitted to random ones, or of a head on it."""
    embeddings = FrozenCnn()
    if kind == "distilled":
        torch.manual_seed(3)
        embeddings = Distilled()
        embeddings.load_state(to_half(DistillationNetwork(40).state_dict()))
    length = embeddings.dimensions + sum(MODULATION)
    classifier = {
        "_target_": "birdnet_nl.models.recording_classifier.RecordingClassifier", "types": 3, "blocks": [length],
        "pooling": ["mean", "std"], "l2": 0.05, "landmarks": 8, "gamma": 0.003,
    }  # fmt: skip
    network = {**HEAD, "base": classifier} if head else classifier
    torch.manual_seed(4)
    built = build_network(network)
    base = built.base if head else built
    vectors, recordings = torch.rand(60, 1 + length), torch.arange(20).repeat_interleave(3)
    base.fit_statistics(vectors, recordings)
    features = base.forward_features(vectors, recordings)
    base.fit_scaler(features)
    base.fit_landmarks(features, None)
    nn.init.normal_(base.head.weight, 0, 3)
    if head:
        nn.init.normal_(built.head.weight, 0, 0.05)
    content = make_content(network, PEAK, "koolmees") | {
        "embeddings": embeddings.describe(), "embedding_state": embeddings.state(), "pooling": "network", **metadata,
    }  # fmt: skip
    weights = {f"network.{name}": value for name, value in built.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"state_dict": weights, "birdnet_nl": content}, path)
    return path


def make_birdnet_checkpoint(
    path: Path, head: bool = False, seed: int = 0, species_score: bool = True, **metadata: Any
) -> Path:
    """Write a checkpoint of a classifier of BirdNET's embeddings, fitted to random ones, or of a head on it."""
    classifier = {
        "_target_": "birdnet_nl.models.recording_classifier.RecordingClassifier", "types": 3,
        "blocks": [BirdNet.dimensions], "pooling": ["mean", "std"], "l2": 0.05, "landmarks": 8, "gamma": 0.3,
        "species_score": species_score,
    }  # fmt: skip
    network = {**HEAD, "base": classifier} if head else classifier
    torch.manual_seed(5)
    built = build_network(network)
    base = built.base if head else built
    vectors, recordings = torch.rand(60, 1 + BirdNet.dimensions), torch.arange(20).repeat_interleave(3)
    base.fit_statistics(vectors, recordings)
    features = base.forward_features(vectors, recordings)
    base.fit_scaler(features)
    base.fit_landmarks(features, None)
    nn.init.normal_(base.head.weight, 0, 3)
    if head:
        torch.manual_seed(seed)
        nn.init.normal_(built.head.weight, 0, 0.05)
    content = make_content(network, PEAK, "koolmees") | {
        "embeddings": BirdNet().describe(), "embedding_state": None, "pooling": "network", "parameter_set": "birdnet",
        **metadata,
    }  # fmt: skip
    weights = {f"network.{name}": value for name, value in built.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"state_dict": weights, "birdnet_nl": content}, path)
    return path


def make_content(network: dict[str, Any], mel: MelParams, slug: str) -> dict[str, Any]:
    """Metadata of a checkpoint."""
    return {
        "version": "0.2.0", "parameter_set": "turbo", "types": ["song", "call", "alarm"], "mel": asdict(mel),
        "network": network, "temperature": 1.3, "temperatures_of_species": {}, "pooling": "activity", "threshold": 0.5,
        "segment_s": 3.0, "segment_hop_s": 1.5, "species": asdict(get_species(slug)), "synthetic": False, "pool": None,
        "data_fingerprint": "0123", "embeddings": None,
    }  # fmt: skip


def make_classifier(folder: Path, **options: Any) -> Classifier:
    return Classifier.load(make_checkpoint(folder / "best.ckpt", **options))
