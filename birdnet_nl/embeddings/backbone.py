"""Embedding model of a network in a file, TensorFlow Lite or ONNX, that takes the samples of a window.

A YAML names the file, the outputs that make up an embedding, and the network's sample rate and window; no code is
needed for another network (docs/any_bird.md).
"""

import hashlib
from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from birdnet_nl.audio.resample import resample as resample_as_in_training
from birdnet_nl.embeddings.backbone_labels import column_of_species, read_labels
from birdnet_nl.embeddings.interface import NO_SPECIES, Embed, EmbeddingModel, cut_clip
from birdnet_nl.species.table import Species
from birdnet_nl.util.errors import SetupError
from birdnet_nl.util.files import did_you_mean, user_path

Resample = Callable[[np.ndarray, int, int], np.ndarray]
RunNetwork = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray | None]]
"""Samples of a window, float32 [samples] -> its embedding, float32 [dimensions], and the logits of species, if any."""

SILENCE_LEVEL = 1e-6  # of the noise in place of digital silence, for which some networks give no number


class Backbone(EmbeddingModel):
    """Network in a file: base of `TfliteBackbone` and `OnnxBackbone`.

    Args:
        file: of the network; its content is part of the version, so that another file is embedded again.
        output: name of the output (or layer) that is the embedding, or several whose embeddings follow each other. A
            vector is taken as it is; a map [bands, times, channels] is summarised, see `summarise_layer`.
        sample_rate_hz, window_s: of the network's input, samples between -1 and 1.
        name: of the folder of cached embeddings and in messages; the name of the file by default.
        half_speed: whether both halves of a window are embedded at half speed too, and their maximum follows. It brings
            fast and high sounds into the range that the network was trained for.
        scores: name of the output with one logit per species, for the species score; None without.
        labels: file with the species of each of the scores, one per line, as `Parus major` or `Parus major_Great Tit`.
        licence, credit: of the network, printed and stored with every model that uses it.
    """

    def __init__(
        self,
        file: str,
        output: str | Sequence[str],
        sample_rate_hz: int,
        window_s: float,
        name: str = "",
        half_speed: bool = False,
        scores: str | None = None,
        labels: str | None = None,
        licence: str = "",
        credit: str = "",
    ) -> None:
        if not file:
            raise ValueError("embeddings.file= names the file of the network; download it and give its path")
        if sample_rate_hz <= 0 or window_s <= 0:
            raise ValueError(
                f"embeddings.sample_rate_hz={sample_rate_hz} and embeddings.window_s={window_s} must be above 0"
            )
        if (scores is None) != (labels is None):
            raise ValueError("embeddings.scores= and embeddings.labels= belong together; give both or neither")
        self.file, self.name = user_path(file).resolve(), name or Path(file).stem
        self.outputs = [output] if isinstance(output, str) else list(output)
        self.sample_rate_hz, self.window_s, self.half_speed = int(sample_rate_hz), float(window_s), bool(half_speed)
        self.scores, self.labels = scores, str(user_path(labels).resolve()) if labels else None
        self.licence, self.credit = licence, credit

    @property
    def arguments(self) -> dict[str, Any]:
        """Arguments of the constructor, plain values, for a checkpoint."""
        return {
            "file": str(self.file), "output": self.outputs, "sample_rate_hz": self.sample_rate_hz,
            "window_s": self.window_s, "name": self.name, "half_speed": self.half_speed, "scores": self.scores,
            "labels": self.labels,
        }  # fmt: skip

    def describe(self) -> dict[str, Any]:
        return {**super().describe(), "arguments": self.arguments}

    @property
    def version(self) -> str:
        """Hash of the network's file, the outputs and the speeds."""
        self.check_installed()
        status = self.file.stat()
        speeds = " at two speeds" if self.half_speed else ""
        scores = f", scores {self.scores}" if self.scores else ""
        return f"{_hash(self.file, status.st_size, status.st_mtime_ns)} {'+'.join(self.outputs)}{speeds}{scores}"

    def check_installed(self) -> None:
        for path, parameter in ((self.file, "file"), (self.labels, "labels")):
            if path and not Path(path).is_file():
                raise SetupError(
                    f"embeddings.{parameter}={path} does not exist{did_you_mean(path)}; {self.name} is not part of "
                    "birdnet_nl, so download it and give its path"
                )
        self.check_runtime()

    @abstractmethod
    def check_runtime(self) -> None:
        """Raise `SetupError` where the package that runs the network is not installed; fast."""

    @abstractmethod
    def load_outputs(self, names: Sequence[str]) -> Callable[[np.ndarray], list[np.ndarray]]:
        """Load the network for one thread: samples of a window -> the named outputs, without the batch dimension."""

    @cached_property
    def dimensions(self) -> int:
        """Length of an embedding, found by embedding a window of noise once."""
        embedding, _ = self._load_network()(_quiet_noise(self.window_samples))
        return len(embedding) * (2 if self.half_speed else 1)

    def _load_network(self) -> RunNetwork:
        run = self.load_outputs([*self.outputs, *([self.scores] if self.scores else [])])

        def run_network(clip: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
            results = run(clip)
            if not clip.any() and not all(np.isfinite(result).all() for result in results):
                results = run(_quiet_noise(len(clip)))
            vectors = [summarise_layer(result) for result in results[: len(self.outputs)]]
            return np.concatenate(vectors), results[-1].ravel() if self.scores else None

        return run_network

    def load(self, resample: Resample = resample_as_in_training) -> Embed:
        columns = column_of_species(read_labels(Path(self.labels))) if self.labels else {}
        return embed_with(
            self._load_network(), self.window_samples, self.sample_rate_hz, columns, self.half_speed, resample
        )


def embed_with(
    run: RunNetwork,
    window_samples: int,
    sample_rate_hz: int,
    column_of: dict[str, int],
    half_speed: bool,
    resample: Resample,
) -> Embed:
    """Return a function that embeds windows with a network, for one thread.

    Args:
        column_of: column of the logits by scientific name; empty for a network without scores.
        half_speed: whether the maximum over both halves of a window at half speed follows the embedding of the window.
    """
    half = window_samples // 2
    slow_halves: dict[int, np.ndarray] = {}  # of the last window by their start: neighbouring windows share one
    recording: list[np.ndarray] = []

    def at_half_speed(samples: np.ndarray, start: int) -> np.ndarray:
        if start not in slow_halves:
            clip = resample(cut_clip(samples, start, half), sample_rate_hz // 2, sample_rate_hz)
            slow_halves[start] = run(clip)[0]
        return slow_halves[start]

    def embed(samples: np.ndarray, start: int, species: Species) -> np.ndarray:
        if not recording or recording[0] is not samples:
            recording[:] = [samples]
            slow_halves.clear()
        vector, logits = run(cut_clip(samples, start, window_samples))
        parts = [np.array([species_score(logits, species, column_of)], dtype=np.float32), vector]
        if half_speed:
            starts = (start, start + half)
            parts.append(np.maximum(*(at_half_speed(samples, place) for place in starts)))
            for other in slow_halves.keys() - starts:
                del slow_halves[other]
        return np.concatenate(parts)

    return embed


def species_score(logits: np.ndarray | None, species: Species, column_of: dict[str, int]) -> float:
    """Return the logit of a species; the largest for one that the network does not have, and 0 for no species."""
    if logits is None or species == NO_SPECIES:
        return 0.0
    column = column_of.get(species.birdnet or species.scientific)
    return float(logits.max() if column is None else logits[column])


def summarise_layer(layer: np.ndarray) -> np.ndarray:
    """Summarise the activation of each channel, [bands, times, channels] -> [4 · channels]; a vector stays as it is.

    Mean and maximum, the standard deviation over time of the mean over bands, and the mean over time of the loudest
    band. A sequence, [times, channels], counts as one band.
    """
    if layer.ndim == 1:
        return layer.astype(np.float32, copy=False)
    if layer.ndim == 2:
        layer = layer[None]
    if layer.ndim != 3:
        raise ValueError(f"an output of shape {list(layer.shape)} is neither a vector nor [bands, times, channels]")
    over_bands = layer.mean(axis=0)
    return np.concatenate(
        [over_bands.mean(axis=0), layer.max(axis=(0, 1)), over_bands.std(axis=0), layer.max(axis=0).mean(axis=0)]
    )


def _quiet_noise(length: int) -> np.ndarray:
    return np.random.default_rng(0).normal(0, SILENCE_LEVEL, length).astype(np.float32)


@lru_cache(maxsize=16)
def _hash(path: Path, size: int, modified_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]
