"""A checkpoint reduced to what prediction needs: the weights of the network, and the card."""

import hashlib
import io
from pathlib import Path

import torch

from birdnet_nl.training.checkpoint import CARD, read_checkpoint


def shipped_bytes(checkpoint: Path) -> bytes:
    """The model file made of a checkpoint; the same checkpoint gives the same bytes, whatever its name.

    `load_classifier` reads it. The state of training and the epochs' history stay behind.
    """
    content = read_checkpoint(checkpoint)
    weights = {name: value for name, value in content["state_dict"].items() if name.startswith("network.")}
    card = {name: value for name, value in content[CARD].items() if name != "history"}
    file = io.BytesIO()  # torch writes a file's name into it, so a file on disk would differ with its name
    torch.save({"state_dict": weights, CARD: card}, file)
    return file.getvalue()


def sha256_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
