"""birdnet_nl: says what a bird is doing (song, call or alarm), with one classifier per species of the Netherlands."""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from birdnet_nl.inference.model import PredictionModel

try:
    __version__ = version("birdnet-nl")
except PackageNotFoundError:  # used from a source tree that was never installed
    __version__ = "0+unknown"


def load(model: "Path | str") -> "PredictionModel":
    """Load a model to predict with: an exported .onnx file, or a run directory or checkpoint where torch is installed.

    >>> birdnet_nl.load("koolmees.onnx").predict("clip.mp3")  # a pandas frame where pandas is installed

    Raises:
        birdnet_nl.util.errors.RunError: if there is no model, or it cannot be used.
    """
    from birdnet_nl.inference.model import load_model  # heavy libraries are imported when they are needed

    return load_model(model)
