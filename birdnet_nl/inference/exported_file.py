"""Exported model files: an ONNX graph with metadata, further graphs that share its weights, and a stored prediction.

The content is two serialized parts of one ONNX model, one after the other: everything but the weights, then the
weights. A reader of Protocol Buffers merges them, so that any program opens the file as usual. The metadata holds the
other graphs without weights; followed by the second part they are models too.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from birdnet_nl.util.errors import RunError

FORMAT = 1
PRODUCER = "birdnet_nl"
GOLDEN_TOLERANCE = 1e-3  # processors round differently, by about 1e-6; what is wrong differs by much more
MAIN = "main"
CHECKSUM, NO_CHECKSUM = "checksum", "0" * 64  # of the first part, with zeros in the place of the checksum


def golden_input(sample_rate_hz: int, samples: int) -> np.ndarray:
    """Return the sound whose prediction is stored in every exported file, float32 [samples]; see `GOLDEN_FORMULA`."""
    n = np.arange(samples)
    time_s = n / sample_rate_hz
    hashed = np.sin(n * 12.9898) * 43758.5453
    noise = hashed - np.floor(hashed) - 0.5
    return (0.3 * np.sin(2 * np.pi * (1000 + 800 * time_s) * time_s) * (time_s % 0.5 < 0.25) + 0.02 * noise).astype("f")


GOLDEN_FORMULA = (
    "t = n / sample_rate_hz; x = 0.3 sin(2 pi (1000 + 800 t) t) (t mod 0.5 < 0.25) + 0.02 (frac(43758.5453 "
    "sin(12.9898 n)) - 0.5)"
)


@dataclass(frozen=True)
class ExportedFile:
    """Content of an exported file.

    Attributes:
        metadata: values by name; texts, numbers, lists and tables.
        weights: serialized second part.
    """

    path: Path
    content: bytes
    metadata: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> "ExportedFile":
        """Read a file; raises `RunError` where it is missing, damaged, or of another program."""
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise RunError(f"{path} does not exist; make it with birdnet-nl export") from None
        except OSError as error:
            raise RunError(f"{path} cannot be read ({error.strerror})") from None
        properties = start_session(content, path).get_modelmeta().custom_metadata_map
        if "birdnet_nl" not in properties:
            raise RunError(f"{path} is an ONNX file of another program; give one that birdnet-nl export wrote")
        try:
            metadata = {name: json.loads(value) for name, value in properties.items()}
            if metadata["format"] > FORMAT:
                raise RunError(
                    f"{path} was exported by birdnet_nl {metadata['birdnet_nl']}, which is newer than this one; "
                    "update birdnet-nl"
                )
            if CHECKSUM not in metadata:
                raise RunError(f"{path} was exported by another version of birdnet_nl; export it again")
            first_part, weights = split_parts(content, metadata["weights"]["bytes"])
            intact = hashlib.sha256(weights).hexdigest() == metadata["weights"]["sha256"]
            unchanged = checksum_of(first_part, metadata[CHECKSUM]) == metadata[CHECKSUM]
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise RunError(f"{path} is damaged (its metadata cannot be read: {error}); export it again") from None
        if not intact:
            raise RunError(f"{path} is damaged or was changed (its weights are not those exported); export it again")
        if not unchanged:
            raise RunError(
                f"{path} is damaged or was changed (its metadata or graph are not those exported); export it again"
            )
        return cls(path, content, metadata)

    @cached_property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.content).hexdigest()[:16]

    def session(self, graph: str = MAIN, threads: int = 1) -> onnxruntime.InferenceSession:
        """Start a session of the graph `main`, or of another one."""
        if graph == MAIN:
            return start_session(self.content, self.path, threads)
        _, weights = split_parts(self.content, self.metadata["weights"]["bytes"])
        return start_session(base64.b64decode(self.metadata["graphs"][graph]) + weights, self.path, threads)


def split_parts(content: bytes, weights_bytes: int) -> tuple[bytes, bytes]:
    """Split a file into everything but the weights, and the weights."""
    end = len(content) - weights_bytes
    return content[:end], content[end:]


def checksum_of(first_part: bytes, stored: str = NO_CHECKSUM) -> str:
    """Compute the checksum over metadata and graphs, in which `stored` is in the place of the checksum."""
    return hashlib.sha256(first_part.replace(stored.encode(), NO_CHECKSUM.encode())).hexdigest()


def start_session(content: bytes, path: Path, threads: int = 1) -> onnxruntime.InferenceSession:
    """Start a session on the CPU; raises `RunError` for content that ONNX Runtime cannot load."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 4  # errors are raised and reported
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # leaves the core to the decoder
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the library has no base class for its errors
        reason = (str(error).splitlines() or [type(error).__name__])[0].rpartition(" : ")[2]
        raise RunError(f"{path} is not a complete ONNX file ({reason[:150]}); export it again") from None


def check_golden(path: Path, actual: np.ndarray, stored: Any, tolerance: float = GOLDEN_TOLERANCE) -> None:
    """Raise `RunError` where the prediction for the golden input is not the one stored at export."""
    stored = np.asarray(stored, dtype=np.float32)
    difference = np.abs(actual - stored).max() if actual.shape == stored.shape else np.inf
    if not difference <= tolerance:
        raise RunError(
            f"{path} predicts otherwise on this computer than where it was exported (a probability differs by "
            f"{difference:.2g}; at most {tolerance:g} is rounding); export it again, or use another version of "
            "onnxruntime"
        )
